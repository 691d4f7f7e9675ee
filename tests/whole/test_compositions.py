"""Adapters that are made of adapters: fused, merged, stacked and together; stored, routed, answered with, removed."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
import torch

from portfolio.choices import steady
from portfolio.engine import MOST_VARIED
from portfolio.errors import ConfigError, Conflict, NotFound
from portfolio.hosting.plan import Plan
from portfolio.hosting.ready import Variation
from portfolio.hosting.trunk import prepare
from portfolio.loading import load_adapter, load_passes
from portfolio.made_of import EnsembleOf, Fuse, Merge, StackOn
from portfolio.portfolio import Portfolio
from portfolio.running import predict_logits
from portfolio.training import TrainingConfig

MARKET = {
    "bread": ("rose", "spade", "soup", "pan", "ferry", "fog"),
    "fruit": ("tulip", "rake", "stew", "bowl", "tug", "gale"),
}
KINDS = {
    "fusion": Fuse(adapters=("garden", "harbour"), keep="fusion"),
    "light": Fuse(adapters=("garden", "harbour"), gate="light", keep="fusion"),
    "with own": Fuse(adapters=("garden", "harbour"), with_own=True, keep="fusion"),
    "kept best": Fuse(adapters=("garden", "kitchen")),
    "mixed methods": Fuse(adapters=("garden", "kitchen"), keep="fusion"),
    "auto": Fuse(adapters=("auto:2",), keep="fusion"),
    "merge": Merge(adapters=("garden", "harbour"), weights=(0.7, 0.3)),
    "stack": StackOn(adapter="kitchen"),
    "ensemble": EnsembleOf(adapters=("garden", "kitchen", "harbour"), weights=(1, 2, 1)),
}


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def wish(request):
    return request.param


@pytest.fixture
def market(files_of):
    return files_of("market", MARKET)


@pytest.fixture
def add(grown, market, quick):
    """A wish -> the record of the task `market` made so."""

    def made(wish, name="market"):
        return grown.add_task(name, market.train, test=market.test, method=wish, training=quick)

    return made


def blobs_of(portfolio):
    """Digest -> bytes of every adapter, read from the files themselves."""
    return {one.digest: portfolio.store.get(one.digest) for one in portfolio.snapshot().adapters}


def test_it_is_stored_routed_answered_with_and_removed_like_any_adapter(grown, add, wish, market, examples_in):
    before = grown.snapshot()
    record = add(wish)
    assert str(record.ref) == f"market@{2 if wish == KINDS['with own'] else 1}"
    texts, labels = examples_in(market.test)
    answers = grown.predict(texts, task="market")
    assert {answer.adapter for answer in answers} == {str(record.ref)}
    assert {answer.label for answer in answers} <= set(MARKET)
    right = sum(answer.label == label for answer, label in zip(answers, labels, strict=True)) / len(labels)
    [cell] = [c for c in grown.snapshot().cells if c.step == c.task == "market"]
    assert right == pytest.approx(cell.oracle)
    assert all(answer.task for answer in grown.predict(texts, abstain=False))
    grown.remove_task("market")
    assert grown.snapshot().tasks == before.tasks
    assert grown.snapshot().adapters == before.adapters


def test_members_and_base_keep_every_bit(grown, add, wish):
    before, fingerprint = blobs_of(grown), grown.engine().host.base.fingerprint
    add(wish)
    after = blobs_of(grown)
    assert {digest: after[digest] for digest in before} == before
    assert all(hashlib.sha256(data).hexdigest() == digest for digest, data in after.items())
    from portfolio.hosting.base import fingerprint as fingerprint_of

    base = grown.engine().host.base
    assert fingerprint_of(base.model, base.tokenizer) == fingerprint


def test_what_was_saved_gives_the_same_bits_when_it_is_opened_again(grown, add, wish, market, examples_in):
    add(wish)
    texts, _ = examples_in(market.test)
    here = grown.predict(texts, task="market")
    with_base = Portfolio.open(grown.path, base=grown.engine().host.base)
    again = with_base.predict(texts, task="market")
    with_base.close()
    assert [answer.probability for answer in again] == [answer.probability for answer in here]


def test_in_a_mixed_batch_each_row_is_answered_as_alone(grown, add, wish, market, examples_in):
    add(wish)
    texts = ["rose spade soup", "ferry storm tug", "soup pan pie", "tulip rake stew", "rose daisy ivy"]
    together = grown.predict(texts, top_k=4, abstain=False)
    for text, answer in zip(texts, together, strict=True):
        [alone] = grown.predict([text], top_k=4, abstain=False)
        assert (alone.label, alone.task) == (answer.label, answer.task)
        assert alone.probability == pytest.approx(answer.probability, abs=1e-5)


def test_the_bank_gives_what_the_adapter_gives_alone(grown, add, wish, market, examples_in):
    record = add(wish)
    texts, _ = examples_in(market.test)
    engine = grown.engine()
    logits = predict_logits(
        engine.host, load_passes(grown.store, record), prepare(engine.host, engine.encode(texts, None))
    )
    probabilities = torch.softmax(logits, dim=1)
    answers = grown.predict(texts, task="market")
    assert [a.probability for a in answers] == pytest.approx(probabilities.max(1).values.tolist(), abs=1e-5)


def test_everything_simpler_is_measured_and_the_best_is_kept(add):
    record = add(KINDS["kept best"])
    assert [one.choice for one in record.comparison] == ["best member", "uniform", "own", "on top", "fusion"]
    [kept] = [one for one in record.comparison if one.is_kept]
    assert kept.score == max(one.score for one in record.comparison) == record.validation_score
    assert kept.p_value is None
    assert all(0 < one.p_value <= 1 for one in record.comparison if not one.is_kept)


def test_a_merge_is_kept_and_told_beside_its_members(add):
    record = add(KINDS["merge"])
    assert [one.choice for one in record.comparison] == ["best member", "uniform", "merge"]
    assert [one.is_kept for one in record.comparison] == [False, False, True]
    assert record.comparison[2].score == record.validation_score
    assert "merged from garden@1:0.7, harbour@1:0.3 by linear" in record.notes[0]


def test_the_exact_versions_of_the_members_are_kept(grown, add):
    record = add(KINDS["with own"])
    own = next(one for one in grown.snapshot().adapters if str(one.ref) == "market@1")
    assert [str(member.ref) for member in record.members] == ["garden@1", "harbour@1", "market@1"]
    assert record.members[2].digest == own.digest
    assert load_adapter(grown.store, record).config.members == tuple(member.digest for member in record.members)
    assert grown.store.verify() == ()


def test_a_member_that_is_needed_stays(grown, add):
    add(KINDS["fusion"])
    before = grown.snapshot()
    with pytest.raises(Conflict, match=r"market@1 is made of garden@1.*--cascade"):
        grown.remove_task("garden")
    assert grown.snapshot() == before
    assert grown.remove_task("garden", cascade=True) == ("garden", "market")
    assert [task.name for task in grown.tasks()] == ["kitchen", "harbour"]
    assert grown.predict(["ferry storm tug"])[0].task == "harbour"


def test_what_was_merged_needs_its_members_no_longer(grown, add, market, examples_in):
    add(KINDS["merge"])
    texts, _ = examples_in(market.test)
    before = [answer.label for answer in grown.predict(texts, task="market")]
    grown.remove_task("garden")
    assert [answer.label for answer in grown.predict(texts, task="market")] == before


def test_what_is_attended_to_is_kept_and_told(grown, add, market, examples_in):
    record = add(KINDS["fusion"])
    attention = grown.attention("market")
    assert attention.members == tuple(str(member.ref) for member in record.members)
    assert attention.blocks == (2, 3)
    assert set(attention.labels) == set(MARKET)
    for block in (*attention.mean, *(block for label in attention.by_label for block in label)):
        assert sum(block) == pytest.approx(1, abs=1e-5)
    texts, _ = examples_in(market.test)
    for answer in grown.predict(texts, task="market", explain=True):
        assert {member for member, _ in answer.attention} == set(attention.members)
        assert sum(share for _, share in answer.attention) == pytest.approx(1, abs=1e-5)
    assert grown.predict(texts, task="market")[0].attention == ()
    assert grown.attention("garden") is None


@pytest.mark.parametrize("kind", ["fusion", "light", "ensemble"])
def test_a_dropped_member_has_no_say(grown, add, kind, market, examples_in):
    """What is left of two members is the other one alone."""
    record = add(KINDS[kind] if kind != "ensemble" else EnsembleOf(adapters=("garden", "harbour")))
    texts, _ = examples_in(market.test)
    left = grown.predict(texts, task="market", drop=["garden"])
    passes = load_passes(grown.store, record, Variation(dropped=frozenset({0})))
    prepared = prepare(grown.engine().host, grown.engine().encode(texts, None))
    expected = torch.softmax(predict_logits(grown.engine().host, passes, prepared), dim=1).max(1).values
    assert [answer.probability for answer in left] == pytest.approx(expected.tolist(), abs=1e-5)
    assert [a.probability for a in left] != [a.probability for a in grown.predict(texts, task="market")]
    if kind != "ensemble":
        explained = grown.predict(texts[:1], task="market", drop=["garden"], explain=True)
        assert dict(explained[0].attention) == pytest.approx({"garden@1": 0, "harbour@1": 1})


def test_constant_weights_take_the_place_of_learned_ones(grown, add, market, examples_in):
    add(KINDS["fusion"])
    texts, _ = examples_in(market.test)
    alone = grown.predict(texts, task="market", member_weights={"harbour": 1.0})
    dropped = grown.predict(texts, task="market", drop=["garden@1"])
    assert [a.probability for a in alone] == pytest.approx([a.probability for a in dropped], abs=1e-5)
    assert grown.predict(texts[:1], task="market", member_weights={"harbour": 1.0}, explain=True)[0].attention == ()


def test_a_stack_reads_what_the_lower_adapter_made(grown, add):
    """By hand: the lower LoRA first, then the bottleneck on what it left, block by block."""
    record = add(KINDS["stack"])
    adapter = load_adapter(grown.store, record)
    below = load_adapter(grown.store, next(one for one in grown.snapshot().adapters if one.name == "kitchen"))
    engine = grown.engine()
    [text] = engine.encode(["rose spade soup"], None)
    batch = prepare(engine.host, [text]).batch(engine.host, [0])[0]
    [one] = load_passes(grown.store, record)
    seen = {}
    dense = engine.host.blocks[3].get_submodule("output.dense")
    handle = dense.register_forward_hook(lambda module, inputs, output: seen.update(x=inputs[0], y=output))
    with torch.inference_mode():
        engine.host.run(batch, Plan(one.updates))
    handle.remove()
    lora, bottleneck = below.sites["3.linear:output.dense"], adapter.sites["3.ffn_output"]
    lower = below.config
    y = seen["x"] @ dense.weight.T + dense.bias
    y = y + (lower.alpha / lower.rank) * (seen["x"] @ lora["down"].T @ lora["up"].T)
    hidden = torch.relu(y @ bottleneck["down"].T + bottleneck["down_bias"])
    y = y + hidden @ bottleneck["up"].T + bottleneck["up_bias"]
    torch.testing.assert_close(seen["y"], y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("wish", "error", "message"),
    [
        (Fuse(adapters=("garden", "cellar")), NotFound, "there is no task 'cellar'"),
        (
            Fuse(adapters=("garden", "kitchen@7")),
            NotFound,
            "there is no adapter 'kitchen@7'; of 'kitchen' there are: kitchen@1",
        ),
        (Fuse(adapters=("garden", "garden@1")), ConfigError, "expected each adapter once"),
        (StackOn(adapter="cellar"), NotFound, "there is no task 'cellar'"),
        (Merge(adapters=("garden", "kitchen"), weights=(1, 1)), ConfigError, "LoRA"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_changed(grown, add, wish, error, message):
    before = grown.snapshot()
    with pytest.raises(error, match=message):
        add(wish)
    assert grown.snapshot() == before


def test_members_are_plain_adapters(grown, add):
    add(KINDS["fusion"])
    with pytest.raises(ConfigError, match="market@1 is made of others"):
        add(Fuse(adapters=("market", "kitchen")), "fair")


@pytest.mark.parametrize("asked", [{"drop": ["cellar"]}, {"member_weights": {"kitchen": 1.0}}])
def test_a_member_that_nobody_has_is_an_error(grown, add, asked):
    add(KINDS["fusion"])
    with pytest.raises(NotFound, match="members here: garden@1, harbour@1"):
        grown.predict(["rose"], task="market", **asked)


def test_dropping_everybody_is_an_error(grown, add):
    add(KINDS["fusion"])
    with pytest.raises(ConfigError, match="all are dropped"):
        grown.predict(["rose"], task="market", drop=["garden", "harbour"])


def test_fuse_is_the_short_form(grown, market, quick):
    record = grown.fuse(
        "market", market.train, test=market.test, adapters=["garden", "harbour"], keep="fusion", training=quick
    )
    assert record.method == "fusion"
    assert grown.snapshot().adapters[-1] == replace(record, created_at=grown.snapshot().adapters[-1].created_at)


def test_only_the_last_variations_are_kept_in_memory(grown, add):
    add(KINDS["fusion"])
    asked = [{"garden": weight / 20, "harbour": 1 - weight / 20} for weight in range(20)]
    for weights in asked:
        grown.predict(["rose spade soup"], task="market", member_weights=weights)
    assert len(grown.engine().bank.refs) == MOST_VARIED
    assert len(grown.predict(["rose spade soup"], task="market")) == 1
    assert len(grown.engine().bank.refs) == MOST_VARIED + 1


@pytest.mark.parametrize(("batch_size", "accumulation"), [(32, 1), (64, 1), (8, 4), (5, 7), (1, 32)])
def test_small_batches_are_put_together_to_steps_of_enough_rows(batch_size, accumulation):
    assert steady(TrainingConfig(batch_size=batch_size)).accumulation == accumulation
