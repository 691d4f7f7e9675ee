"""What the first block above the trunk makes before an adapter acts is kept, and then not made again."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from portfolio.hosting.encode import pad
from portfolio.hosting.host import NO_ADAPTER
from portfolio.hosting.plan import Prelude, Trunk
from portfolio.hosting.trunk import prepare
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.lora import LoraConfig

AFTER = {
    "pfeiffer": BottleneckConfig(rank=3),
    "parallel": BottleneckConfig(rank=3, placement="parallel", activation="silu"),
    "above": BottleneckConfig(rank=3, placement="houlsby", blocks=(3,)),
}
INSIDE = {"houlsby": BottleneckConfig(rank=3, placement="houlsby"), "lora": LoraConfig(rank=2, alpha=2.0)}
TOKENS = 5 + 9 + 1 + 7


def kept_of(host, rows):
    """The trunk of these rows with its prelude, from a pass over each alone, as training keeps them."""
    alone = [host.run(pad([row], host.base.pad_id)) for row in rows]
    states = pad_sequence([one.trunk.state[0] for one in alone], batch_first=True)
    attention = pad_sequence([one.prelude.attention[0] for one in alone], batch_first=True)
    feed_forward = pad_sequence([one.prelude.feed_forward[0] for one in alone], batch_first=True)
    return Trunk(states, torch.cat([one.trunk.features for one in alone]), Prelude(attention, feed_forward))


def linears_run(block, names):
    """A list that grows by the name of each of these linear layers that computes, and the handles of what watches."""
    ran, handles = [], []
    for name in names:
        layer = block.get_submodule(name)
        handles.append(
            layer.register_forward_hook(lambda _, given, made, name=name: ran.append((name, made.shape[-1])))
        )
    return ran, handles


@pytest.mark.parametrize("name", sorted({**AFTER, **INSIDE}))
def test_starting_from_the_prelude_gives_what_the_whole_pass_gives(
    base_of, family, rows_of, name, host_on, adapter_of, plan_of
):
    """Twice, with and without gradients: what is kept is not written over. Adapters inside it have it made again."""
    host, rows = host_on(base_of(family, torch.float64)), rows_of()
    plan = plan_of(adapter_of(host, {**AFTER, **INSIDE}[name]))
    batch = pad(rows, host.base.pad_id)
    with torch.no_grad():
        kept, whole = kept_of(host, rows), host.run(batch, plan)
        upper = [host.run(batch, plan, trunk=kept), host.run(batch, plan, trunk=kept)]
    upper.append(host.run(batch, plan, trunk=kept))
    for one in upper:
        torch.testing.assert_close(one.features, whole.features, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", sorted({**AFTER, **INSIDE}))
def test_the_trunk_may_make_the_prelude_for_all_passes_that_follow(
    base_of, family, rows_of, name, host_on, adapter_of, plan_of
):
    """Of some of the rows each, under adapters and under none; the first block above it is then not among those left."""
    host = host_on(base_of(family, torch.float64))
    batch, plan = pad(rows_of(), host.base.pad_id), plan_of(adapter_of(host, {**AFTER, **INSIDE}[name]))
    some = torch.tensor([3, 0, 3])
    with torch.no_grad():
        plain, begun = host.run_trunk(batch), host.run_trunk(batch, with_prelude=True)
        assert plain.prelude is None and torch.equal(begun.state, plain.state)
        for under in (plan, NO_ADAPTER):
            whole = host.run(batch, under).features
            upper = host.run(batch.select(some), under, trunk=begun.select(some)).features
            torch.testing.assert_close(upper, whole[some], rtol=0, atol=1e-10)
            again = host.run(batch, under, trunk=begun).features
            torch.testing.assert_close(again, whole, rtol=0, atol=1e-10)
    left = len(host.blocks) - host.trunk
    assert host.blocks_left(plan, None) == len(host.blocks)
    assert host.blocks_left(plan, plain) == left
    spared = begun.prelude is not None and name in AFTER
    assert host.blocks_left(plan, begun) == left - spared


def test_gradients_are_those_of_the_whole_pass(base_of, family, rows_of, host_on, adapter_of, plan_of):
    host, rows = host_on(base_of(family, torch.float64)), rows_of()
    adapter = adapter_of(host, AFTER["pfeiffer"])
    weights = [tensor.requires_grad_() for site in adapter.sites.values() for tensor in site.values()]
    batch = pad(rows, host.base.pad_id)
    with torch.no_grad():
        kept = kept_of(host, rows)
    gradients = []
    for trunk in (None, kept):
        loss = (
            host.run(batch, plan_of(adapter), trunk=trunk)
            .features.square()
            .mul(torch.arange(64, device=host.device))
            .sum()
        )
        gradients.append(torch.autograd.grad(loss, weights))
    for ours, expected in zip(*gradients, strict=True):
        assert expected.abs().max() > 0
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


def test_what_makes_the_prelude_does_not_run_again(base_of, rows_of, host_on, adapter_of, plan_of):
    host, rows = host_on(base_of("bert")), rows_of()
    block, names = host.blocks[2], ("attention.self.query", "attention.output.dense", "intermediate.dense")
    after, inside = (plan_of(adapter_of(host, config)) for config in (AFTER["pfeiffer"], INSIDE["lora"]))
    batch, widest = pad(rows, host.base.pad_id), block.intermediate.dense.out_features
    with torch.no_grad():
        kept = kept_of(host, rows)
        ran, handles = linears_run(block, names)
        host.run(batch, after, trunk=kept)
        assert ran == [("intermediate.dense", 2)]  # it hands on two numbers a token, which nobody reads
        ran.clear()
        host.run(batch, inside, trunk=kept)
        assert [name for name, _ in ran] == list(names) and ran[-1][1] == widest
    for handle in handles:
        handle.remove()


def test_a_pass_under_adapters_or_from_a_kept_trunk_makes_no_prelude(base_of, rows_of, host_on, adapter_of, plan_of):
    host = host_on(base_of("bert"))
    batch, plan = pad(rows_of(), host.base.pad_id), plan_of(adapter_of(host, INSIDE["lora"]))
    with torch.no_grad():
        bare = host.run(batch, NO_ADAPTER)
        assert bare.prelude is not None and bare.trunk.prelude is None
        assert host.run(batch, plan).prelude is None
        assert host.run(batch, trunk=bare.trunk).prelude is None


def test_preludes_are_kept_where_they_fit_beside_the_states(base_of, rows_of, host_on):
    host, rows = host_on(base_of("bert")), rows_of()
    hidden = host.base.model.config.hidden_size
    fits = 3 * 4 * hidden * TOKENS
    kept, left = prepare(host, rows, keep_bytes=fits), prepare(host, rows, keep_bytes=fits - 1)
    assert kept.kept_bytes == fits and left.kept_bytes == fits // 3
    assert left.states is not None and left.batch(host, [0, 1])[1].prelude is None
    prelude = kept.batch(host, [3, 0])[1].prelude
    assert prelude.attention.shape == prelude.feed_forward.shape == (2, 7, hidden)
    with torch.no_grad():
        alone = host.run(pad([rows[0]], host.base.pad_id)).prelude
    torch.testing.assert_close(prelude.feed_forward[1, :5], alone.feed_forward[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(prelude.attention[1, :5], alone.attention[0], rtol=0, atol=1e-5)
    assert not prelude.attention[1, 5:].any()
