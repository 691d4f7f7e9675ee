"""The host: one pass under one plan, seen by nobody else."""

from __future__ import annotations

import threading

import pytest
import torch

from portfolio.errors import ConfigError
from portfolio.hosting.encode import pad
from portfolio.hosting.host import Host, default_feature_blocks
from portfolio.hosting.plan import CALL, Plan
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.lora import LoraConfig


@pytest.fixture
def base(base_of):
    return base_of("bert")


@pytest.fixture
def batch(rows_of):
    return pad(rows_of(), 0)


def last(host, batch, plan=None):
    with torch.no_grad():
        return host.run(batch, *([] if plan is None else [plan])).last


class Failing:
    """An update that cannot be made."""

    def add_to(self, y, x):
        raise ArithmeticError("no")


def test_an_exception_within_a_pass_leaves_nothing_behind(base, batch, host_on):
    host = host_on(base)
    before = last(host, batch)
    with pytest.raises(ArithmeticError):
        last(host, batch, Plan({"3.ffn_output": (Failing(),)}))
    assert CALL.get() is None
    assert torch.equal(last(host, batch), before)
    with torch.no_grad():
        assert torch.equal(base.model(**batch.to(base.model.device).inputs()).last_hidden_state, before)


def test_two_threads_run_under_two_plans_at_once(base, batch, host_on, adapter_of, plan_of):
    """Both passes are half done at the same time: each waits for the other inside the model."""
    host = host_on(base)
    meet = threading.Barrier(2, timeout=60)

    class Meeting:
        def __init__(self, inner):
            self.inner = inner

        def add_to(self, y, x):
            meet.wait()
            return self.inner.add_to(y, x)

    plans = [plan_of(adapter_of(host, BottleneckConfig(rank=3), seed=seed)) for seed in (1, 2)]
    expected = [last(host, batch, plan) for plan in plans]
    meeting = [Plan({key: tuple(map(Meeting, updates)) for key, updates in plan.updates.items()}) for plan in plans]
    got: dict[int, torch.Tensor] = {}
    threads = [threading.Thread(target=lambda n=n: got.update({n: last(host, batch, meeting[n])})) for n in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(got[0], expected[0])
    assert torch.equal(got[1], expected[1])
    assert not torch.equal(got[0], got[1])


def test_two_hosts_on_one_model_do_not_meet(base, batch, host_on, adapter_of, plan_of):
    bare = last(host_on(base), batch)
    one, other = host_on(base, trunk=1), host_on(base, trunk=3)
    plan = plan_of(adapter_of(one, BottleneckConfig(rank=3)))
    changed = last(one, batch, plan)
    assert not torch.equal(changed, bare)
    assert torch.equal(last(other, batch), bare)
    one.detach()
    assert torch.equal(last(other, batch), bare)
    upper = plan_of(adapter_of(other, BottleneckConfig(rank=3)))
    assert not torch.equal(last(other, batch, upper), bare)
    other.detach()
    with torch.no_grad():
        assert torch.equal(base.model(**batch.to(base.model.device).inputs()).last_hidden_state, bare)


def test_detaching_twice_is_no_fault(base, batch):
    host = Host(base, trunk=2)
    host.detach()
    host.detach()
    with torch.no_grad():
        assert torch.isfinite(base.model(**batch.to(base.model.device).inputs()).last_hidden_state).all()


@pytest.mark.parametrize("trunk", [0, 1, 3])
def test_the_trunk_may_be_any_number_of_blocks_but_all(base, batch, host_on, adapter_of, plan_of, trunk):
    host = host_on(base, trunk=trunk)
    adapter = adapter_of(host, BottleneckConfig(rank=3))
    assert sorted(adapter.sites) == [f"{number}.ffn_output" for number in range(trunk, 4)]
    plan = plan_of(adapter)
    with torch.no_grad():
        whole = host.run(batch, plan)
        again = host.run(batch, plan, trunk=whole.trunk)
    torch.testing.assert_close(again.last, whole.last, rtol=0, atol=1e-6)
    torch.testing.assert_close(again.features, whole.features, rtol=0, atol=1e-6)


@pytest.mark.parametrize("trunk", [-1, 4, 9])
def test_a_trunk_that_leaves_no_block_is_refused(base, trunk):
    with pytest.raises(ConfigError, match=f"trunk must be 0 to 3 blocks, got {trunk}"):
        Host(base, trunk=trunk)


def test_an_unknown_pooling_is_refused(base):
    with pytest.raises(ConfigError, match="pooling must be one of mean, last; got 'max'"):
        Host(base, trunk=2, pooling="max")


def test_a_refused_host_leaves_the_model_alone(base):
    with pytest.raises(ConfigError):
        Host(base, trunk=9)
    assert not any(module._forward_hooks for module in base.model.modules())


def test_blocks_outside_of_what_may_be_adapted_are_refused_with_what_may(base, host_on):
    host = host_on(base)
    with pytest.raises(
        ConfigError, match=r"adapters act in blocks 2 to 3 here \(the trunk is 2 blocks\); got \[1, 7\]"
    ):
        host.sites_for(BottleneckConfig(blocks=(1, 2, 7)))
    assert [site.key for site in host.sites_for(BottleneckConfig(blocks=(3,)))] == ["3.ffn_output"]


def test_a_target_that_no_layer_has_is_refused_with_those_there_are(base, host_on):
    with pytest.raises(ConfigError, match=r"no site 'linear:qkv' in blocks .*linear:attention.self.query"):
        host_on(base).sites_for(LoraConfig(targets=("query", "qkv")))


def test_targets_match_whole_parts_of_names_and_each_site_once(base, host_on):
    host = host_on(base, trunk=3)
    assert [site.key for site in host.sites_for(LoraConfig(targets=("dense", "output.dense", "query")))] == [
        "3.linear:attention.output.dense",
        "3.linear:intermediate.dense",
        "3.linear:output.dense",
        "3.linear:attention.self.query",
    ]
    with pytest.raises(ConfigError, match="linear:uery"):
        host.sites_for(LoraConfig(targets=("uery",)))


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_pooling_regards_a_rows_own_tokens_only(base, rows_of, host_on, pooling):
    host, rows = host_on(base, pooling=pooling), rows_of((3, 1, 6))
    states = torch.randn(3, 6, 16)
    pooled = host.pool(states, pad(rows, 0))
    for number, row in enumerate(rows):
        own = [states[number, place] for place in range(len(row.ids))]
        expected = own[-1] if pooling == "last" else sum(own) / len(own)
        torch.testing.assert_close(pooled[number], expected)


def test_features_are_the_pooled_states_after_some_blocks_each_of_unit_length(own_base, rows_of):
    """Read off the model by another way: its own list of hidden states."""
    base = own_base("bert")  # asked for them, transformers leaves hooks of its own behind
    host = Host(base, trunk=2, feature_blocks=(1, 2, 4))
    rows = rows_of((5, 3))
    batch = pad(rows, 0)
    with torch.no_grad():
        features = host.run(batch).features
        every = base.model(**batch.to(base.model.device).inputs(), output_hidden_states=True).hidden_states
    assert features.shape == (2, host.feature_width)
    for row, length in enumerate((5, 3)):
        for part, block in enumerate((1, 2, 4)):
            mean = every[block][row, :length].mean(0)
            torch.testing.assert_close(features[row, part * 16 : part * 16 + 16], mean / mean.norm())
    assert host.trunk_feature_width == 2 * 16


def test_features_above_the_trunk_are_those_under_the_plan(base, batch, host_on, adapter_of, plan_of):
    host = host_on(base)
    with torch.no_grad():
        bare, adapted = host.run(batch), host.run(batch, plan_of(adapter_of(host, BottleneckConfig(rank=3))))
    width = host.trunk_feature_width
    assert torch.equal(bare.features[:, :width], adapted.features[:, :width])
    assert (bare.features[:, -16:] - adapted.features[:, -16:]).abs().max() > 1e-3


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 12, 40])
def test_the_blocks_of_the_features_rise_hold_the_trunks_last_and_end_with_the_last(count):
    for trunk in range(count):
        chosen = default_feature_blocks(count, trunk)
        assert list(chosen) == sorted(set(chosen))
        assert chosen[0] >= 1
        assert trunk in (0, *chosen)
        assert chosen[-1] == count


@pytest.fixture
def blocks_run():
    """`blocks_run(HOST)` is a list that grows by a block's number each time it is run."""
    handles = []

    def watch(host):
        ran = []
        for number, block in enumerate(host.blocks):
            part = next(block.children())  # the block itself is called also where its gate skips it
            handles.append(part.register_forward_hook(lambda *_, number=number: ran.append(number)))
        return ran

    yield watch
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("trunk", [0, 1, 3])
def test_the_trunk_alone_is_run_without_what_stands_above_it(own_base, batch, blocks_run, trunk):
    """But for the first call, when a block's output must be seen once to be known."""
    host = Host(own_base("bert"), trunk=trunk)
    ran = blocks_run(host)
    with torch.no_grad():
        first = host.run_trunk(batch)
        assert ran == [0, 1, 2, 3]
        ran.clear()
        again = host.run_trunk(batch)
    assert ran == list(range(trunk))
    assert torch.equal(again.state, first.state)
    assert torch.equal(again.features, first.features)


def test_the_trunk_alone_does_not_depend_on_what_ran_before_it(own_base, batch):
    """Before any other pass, after one, and after one under another host on the same model."""
    base = own_base("bert")
    with torch.no_grad():
        fresh = Host(base, trunk=2).run_trunk(batch)
        other = Host(base, trunk=3)
        other.run_trunk(batch)
        host = Host(base, trunk=2)
        whole = host.run(batch).trunk
        after = host.run_trunk(batch)
    for one in (fresh, after):
        assert torch.equal(one.state, whole.state)
        assert torch.equal(one.features, whole.features)


def test_a_failure_in_the_trunk_leaves_nothing_behind(base, batch, host_on):
    host = host_on(base)
    before = last(host, batch)
    handle = next(host.blocks[1].children()).register_forward_pre_hook(Failing().add_to)
    with pytest.raises(ArithmeticError):
        host.run_trunk(batch)
    handle.remove()
    assert CALL.get() is None
    assert torch.equal(last(host, batch), before)
