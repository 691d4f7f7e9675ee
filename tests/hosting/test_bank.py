"""The bank: adapters come and go, and what is under way does not notice."""

from __future__ import annotations

import threading

import pytest
import torch
from torch.nn import functional

from portfolio.errors import Conflict, NotFound
from portfolio.hosting.bank import Bank
from portfolio.hosting.encode import pad
from portfolio.hosting.plan import Plan, Selected
from portfolio.hosting.ready import Pass, blended, passes_of
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.lora import LoraConfig

NARROW = BottleneckConfig(rank=2)
LORA = LoraConfig(rank=2, alpha=2.0)


@pytest.fixture
def host(base_of, host_on):
    return host_on(base_of("bert"))


@pytest.fixture
def batch(rows_of):
    return pad(rows_of((4, 6, 2)), 0)


@pytest.fixture
def adapter(host, adapter_of):
    def make(config=NARROW, seed=0, labels=3):
        return adapter_of(host, config, seed=seed, labels=labels)

    return make


def only(*refs):
    """For each row one adapter."""
    return [((ref, 1.0),) for ref in refs]


def last(host, batch, plan):
    with torch.no_grad():
        return host.run(batch, plan).last


def test_it_tells_what_it_holds_in_order_of_arrival(adapter):
    bank = Bank()
    assert bank.refs == ()
    bank.add("b@1", *passes_of(adapter()))
    bank.add("a@1", *passes_of(adapter(LORA)))
    assert bank.refs == ("b@1", "a@1")
    assert "a@1" in bank
    bank.remove("b@1")
    assert bank.refs == ("a@1",)
    assert "b@1" not in bank


def test_a_reference_that_is_taken_is_refused(adapter):
    bank = Bank()
    bank.add("a@1", *passes_of(adapter()))
    with pytest.raises(Conflict, match="a@1 is in the bank already"):
        bank.add("a@1", *passes_of(adapter(LORA)))


def test_an_unknown_reference_is_refused_wherever_it_is_named(adapter):
    bank = Bank()
    bank.add("a@1", *passes_of(adapter()))
    with pytest.raises(NotFound, match="b@1 not in the bank"):
        bank.plan(only("a@1", "b@1"))
    with pytest.raises(NotFound, match="b@1 not in the bank"):
        bank.heads(["a@1", "b@1"])
    with pytest.raises(NotFound, match="b@1 is not in the bank; it holds a@1"):
        bank.remove("b@1")
    bank.remove("a@1")
    with pytest.raises(NotFound, match="it holds nothing"):
        bank.remove("a@1")


def test_plans_and_heads_made_before_stay_whole_while_the_bank_grows_and_shrinks(host, batch, adapter):
    """Wider ranks and more labels than before make every stack move to new tensors."""
    bank = Bank()
    for number, config in enumerate((NARROW, LORA, NARROW)):
        bank.add(f"{number}@1", *passes_of(adapter(config, seed=number)))
    refs, features = ["2@1", "0@1", "1@1"], torch.randn(3, 4)
    mixed, alone = bank.plan(only(*refs)), bank.plan(only("2@1", "2@1", "2@1"))
    heads = bank.heads(refs)
    before = last(host, batch, mixed), last(host, batch, alone), heads.logits(features)
    bank.remove("0@1")
    for number in range(3, 9):
        bank.add(f"{number}@1", *passes_of(adapter(BottleneckConfig(rank=number), seed=number, labels=number)))
        bank.add(f"lora{number}@1", *passes_of(adapter(LoraConfig(rank=number), seed=number, labels=2)))
    bank.remove("2@1")
    bank.remove("1@1")
    after = last(host, batch, mixed), last(host, batch, alone), heads.logits(features)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_what_stays_answers_the_same_after_others_came_and_went(host, batch, adapter):
    bank, plain = Bank(), Bank()
    for number in range(6):
        bank.add(
            f"{number}@1",
            *passes_of(adapter(BottleneckConfig(rank=1 + number % 3), seed=number, labels=2 + number % 4)),
        )
    for number in (0, 2, 3):
        bank.remove(f"{number}@1")
    for number in range(6, 14):
        bank.add(f"{number}@1", *passes_of(adapter(BottleneckConfig(rank=6), seed=number, labels=7)))
    for number in (1, 4, 5):
        plain.add(
            f"{number}@1",
            *passes_of(adapter(BottleneckConfig(rank=1 + number % 3), seed=number, labels=2 + number % 4)),
        )
    refs, features = ["5@1", "1@1", "4@1"], torch.randn(3, 4)
    torch.testing.assert_close(last(host, batch, bank.plan(only(*refs))), last(host, batch, plain.plan(only(*refs))))
    ours, theirs = bank.heads(refs).logits(features), plain.heads(refs).logits(features)
    torch.testing.assert_close(torch.softmax(ours, 1)[:, : theirs.shape[1]], torch.softmax(theirs, 1))


def test_a_reference_may_come_again_with_other_weights(host, batch, adapter):
    bank = Bank()
    bank.add("a@1", *passes_of(adapter(seed=1)))
    bank.add("b@1", *passes_of(adapter(seed=2)))
    bank.remove("a@1")
    bank.add("a@1", *passes_of(adapter(BottleneckConfig(rank=5, activation="tanh"), seed=3)))
    fresh = Bank()
    fresh.add("a@1", *passes_of(adapter(BottleneckConfig(rank=5, activation="tanh"), seed=3)))
    torch.testing.assert_close(
        last(host, batch, bank.plan(only("a@1", "a@1", "a@1"))),
        last(host, batch, fresh.plan(only("a@1", "a@1", "a@1"))),
    )


def test_heads_of_different_sizes_equal_each_rows_own_head(adapter):
    bank = Bank()
    sizes = {"two@1": 2, "five@1": 5, "three@1": 3}
    adapters = {ref: adapter(seed=size, labels=size) for ref, size in sizes.items()}
    for ref, one in adapters.items():
        bank.add(ref, *passes_of(one))
    refs = ["three@1", "two@1", "three@1", "five@1"]
    features = torch.randn(4, 4)
    logits = bank.heads(refs).logits(features)
    assert logits.shape == (4, 5)
    for row, ref in enumerate(refs):
        head, size = adapters[ref].head, sizes[ref]
        torch.testing.assert_close(logits[row, :size], functional.linear(features[row], head.weight, head.bias))
        assert (logits[row, size:] == -torch.inf).all()
    same = bank.heads(["two@1", "two@1"]).logits(features[:2])
    torch.testing.assert_close(
        same[:, :2], functional.linear(features[:2], adapters["two@1"].head.weight, adapters["two@1"].head.bias)
    )
    assert (torch.softmax(same, 1)[:, 2:] == 0).all()


def test_adapters_taken_in_under_inference_mode_can_be_joined_by_others_outside_of_it(host, batch, adapter):
    bank = Bank()
    with torch.inference_mode():
        bank.add("a@1", *passes_of(adapter(seed=1)))
    bank.add("b@1", *passes_of(adapter(seed=2)))
    with torch.inference_mode():
        bank.add("c@1", *passes_of(adapter(seed=3)))
    assert torch.isfinite(last(host, batch, bank.plan(only("a@1", "b@1", "c@1")))).all()


def test_a_limit_is_kept_by_taking_out_before_taking_in(host, batch, adapter):
    """What one gave back the next one takes, though other ranks and sites come."""
    configs = [NARROW, BottleneckConfig(rank=5, placement="houlsby"), LORA, LoraConfig(rank=3, targets=("query",))]
    comers = [passes_of(adapter(configs[seed % 4], seed=seed, labels=2 + seed % 5)) for seed in range(24)]
    limit = 12_000
    bank, seen = Bank(most_bytes=limit), []
    for number, passes in enumerate(comers):
        while not bank.has_room(passes):
            if not bank.refs:
                bank.trim()
                break
            bank.remove(bank.refs[0])
        bank.add(f"{number}@1", *passes)
        seen.append(bank.bytes)
        wanted = last(host, batch, Plan(passes[0].updates))
        got = last(host, batch, bank.plan(only(*[f"{number}@1"] * 3)))
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)
    assert max(seen) <= limit
    assert len(bank.refs) > 1
    assert seen[-1] > limit / 3


def test_without_a_limit_there_is_always_room(adapter):
    assert Bank().has_room(passes_of(adapter()))


def test_a_wide_adapter_or_head_makes_no_room_for_the_narrow_beside_it(adapter):
    """Each takes what it needs: nothing is padded to the widest."""
    bank = Bank()
    for number in range(7):
        bank.add(f"{number}@1", *passes_of(adapter(seed=number, labels=2)))
    before = bank.bytes
    bank.add("wide@1", *passes_of(adapter(BottleneckConfig(rank=40), seed=9, labels=30)))
    alone = Bank()
    alone.add("wide@1", *passes_of(adapter(BottleneckConfig(rank=40), seed=9, labels=30)))
    bank.trim()
    alone.trim()
    assert bank.bytes <= before + alone.bytes


def test_members_with_constant_weights_are_rows_like_any_other(host, batch, adapter, plan_of):
    """A blend of adapters with different activations and biases, mixed with a plain adapter."""
    members = [adapter(seed=1), adapter(BottleneckConfig(rank=3, activation="tanh"), seed=2), adapter(LORA, seed=3)]
    mixed = Pass(updates=blended(members, (0.5, -1.0, 2.0)), head=members[0].head)
    bank = Bank()
    bank.add("mixed@1", mixed)
    bank.add("plain@1", *passes_of(members[1]))
    got = last(host, batch, bank.plan([(("mixed@1", 0.5),), (("plain@1", 1.0),), ()]))
    shares = tuple(zip(members, (0.25, -0.5, 1.0), strict=True))
    assert all(
        not isinstance(one, Selected) for here in bank.plan(only("mixed@1", "plain@1")).updates.values() for one in here
    )
    torch.testing.assert_close(got[0], last(host, batch, plan_of(*shares))[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(got[1], last(host, batch, plan_of((members[1], 1.0)))[1], rtol=0, atol=1e-5)


def test_adapters_in_training_leave_no_gradient_in_the_bank(host, batch, adapter):
    learning = adapter()
    for weights in learning.sites.values():
        for weight in weights.values():
            weight.requires_grad_()
    bank = Bank()
    bank.add("a@1", *passes_of(learning))
    bank.add("b@1", *passes_of(adapter(seed=1)))
    assert not host.run(batch, bank.plan(only("a@1", "b@1", "a@1"))).last.requires_grad


def test_threads_that_take_in_remove_and_run_at_once_do_not_disturb_each_other(host, batch, adapter):
    bank = Bank()
    configs = {"a@1": NARROW, "b@1": LORA, "c@1": BottleneckConfig(rank=3, placement="houlsby")}
    for seed, (ref, config) in enumerate(configs.items()):
        bank.add(ref, *passes_of(adapter(config, seed=seed)))
    plans = [only("a@1", "b@1", "c@1"), only("c@1", "c@1", "c@1"), only("b@1", "a@1", "a@1")]
    features = torch.randn(3, 4)

    def asked(mixes):
        heads = bank.heads([mix[0][0] for mix in mixes]).logits(features)
        return last(host, batch, bank.plan(mixes)), torch.softmax(heads, 1)[:, :3]

    expected = [asked(mixes) for mixes in plans]
    comers = [adapter(BottleneckConfig(rank=1 + number % 5), seed=number, labels=2 + number % 6) for number in range(6)]
    failures: list[str] = []
    ready, done = threading.Barrier(len(plans) + 1, timeout=60), threading.Event()

    def run(number):
        try:
            ready.wait()
            while not done.is_set():
                for got, wanted in zip(asked(plans[number]), expected[number], strict=True):
                    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)
        except BaseException as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(plans))]
    for thread in threads:
        thread.start()
    ready.wait()
    for number in range(200):
        bank.add(f"{number}@2", *passes_of(comers[number % len(comers)]))
        if number >= 3:
            bank.remove(f"{number - 3}@2")
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
