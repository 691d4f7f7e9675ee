"""Every family of transformers under every method: the promises of hosting, on tiny models."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from portfolio.errors import BaseUnavailable, Conflict
from portfolio.hosting.bank import Bank
from portfolio.hosting.base import fingerprint
from portfolio.hosting.encode import pad
from portfolio.hosting.plan import Plan, Shared, Trunk
from portfolio.hosting.ready import passes_of
from portfolio.hosting.sites import LAYOUTS
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.lora import LoraConfig

CONFIGS = {
    "pfeiffer": BottleneckConfig(rank=3),
    "houlsby": BottleneckConfig(rank=3, placement="houlsby", activation="gelu"),
    "parallel": BottleneckConfig(rank=3, placement="parallel", activation="silu", scale=2.0),
    "lora": LoraConfig(rank=2, alpha=2.0),
}


@pytest.fixture(params=sorted(CONFIGS))
def config(request):
    return CONFIGS[request.param]


@pytest.fixture
def base(base_of, family):
    return base_of(family)


@pytest.fixture
def batch(rows_of, base):
    return pad(rows_of(), base.pad_id)


def states_of(model, batch):
    with torch.no_grad():
        return model(**batch.to(model.device).inputs()).last_hidden_state


def bits(tensor):
    return tensor.cpu().numpy().tobytes()


def test_every_line_of_the_table_of_layouts_is_tried_here(base_of, family_names):
    assert set(LAYOUTS) <= set(family_names)


def test_a_fresh_adapter_changes_no_bit(base, batch, config, host_on, adapter_of, plan_of):
    before = states_of(base.model, batch)
    host = host_on(base)
    plan = plan_of(adapter_of(host, config, fresh=True))
    with torch.no_grad():
        assert len(plan.updates) >= 2
        assert bits(host.run(batch, plan).last) == bits(before)


def test_an_adapter_with_weights_changes_every_token_and_no_state_of_the_trunk(
    base, batch, config, host_on, adapter_of, plan_of
):
    host = host_on(base)
    with torch.no_grad():
        bare, adapted = host.run(batch), host.run(batch, plan_of(adapter_of(host, config)))
    assert bits(adapted.trunk.state) == bits(bare.trunk.state)
    change = (adapted.last - bare.last).abs().amax(dim=2)[batch.attention_mask.bool()]
    assert change.min() > 1e-3


def test_without_a_plan_and_after_the_host_is_gone_the_model_is_as_before(
    base, batch, config, host_on, adapter_of, plan_of
):
    before, keys = states_of(base.model, batch), list(base.model.state_dict())
    modules = {name: dict(vars(module)) for name, module in base.model.named_modules()}
    host = host_on(base)
    with torch.no_grad():
        host.run(batch, plan_of(adapter_of(host, config)))
        assert bits(host.run(batch).last) == bits(before)
    assert bits(states_of(base.model, batch)) == bits(before)
    assert list(base.model.state_dict()) == keys
    host.detach()
    assert bits(states_of(base.model, batch)) == bits(before)
    assert list(base.model.state_dict()) == keys
    for name, module in base.model.named_modules():
        assert set(vars(module)) == set(modules[name]), name
        assert not module._forward_hooks and not module._forward_pre_hooks, name


def test_starting_from_the_trunks_states_gives_what_the_whole_pass_gives(
    base_of, family, rows_of, config, host_on, adapter_of, plan_of
):
    """The states come from a pass over other batches, cut to each row's own length, as training keeps them."""
    base = base_of(family, torch.float64)
    host, rows = host_on(base), rows_of()
    plan = plan_of(adapter_of(host, config))
    with torch.no_grad():
        alone = [host.run(pad([row], base.pad_id)).trunk for row in rows]
        states = pad_sequence([one.state[0] for one in alone], batch_first=True)
        batch = pad(rows, base.pad_id)
        whole = host.run(batch, plan)
        upper = host.run(batch, plan, trunk=Trunk(states, torch.cat([one.features for one in alone])))
    real = batch.attention_mask.bool()
    torch.testing.assert_close(upper.last[real], whole.last[real], rtol=0, atol=1e-10)
    torch.testing.assert_close(upper.features, whole.features, rtol=0, atol=1e-10)


def test_starting_from_the_trunks_states_runs_no_block_of_the_trunk(base, batch, host_on):
    host, ran = host_on(base), []
    handles = [
        next(block.children()).register_forward_hook(lambda *_, number=number: ran.append(number))
        for number, block in enumerate(host.blocks)
    ]
    with torch.no_grad():
        trunk = host.run(batch).trunk
        assert set(ran) == {0, 1, 2, 3}
        ran.clear()
        host.run(batch, trunk=trunk)
    for handle in handles:
        handle.remove()
    assert set(ran) == {2, 3}


def test_the_trunk_alone_is_the_trunk_of_the_whole_pass_and_runs_no_block_above_it(base, batch, host_on):
    host, ran = host_on(base), []
    handles = [
        next(block.children()).register_forward_hook(lambda *_, number=number: ran.append(number))
        for number, block in enumerate(host.blocks)
    ]
    with torch.no_grad():
        whole = host.run(batch)
        ran.clear()
        trunk = host.run_trunk(batch)
    for handle in handles:
        handle.remove()
    assert set(ran) == {0, 1}
    assert bits(trunk.state) == bits(whole.trunk.state)
    assert bits(trunk.features) == bits(whole.trunk.features)


def test_going_on_from_the_trunk_alone_gives_what_the_whole_pass_gives(
    base, batch, config, host_on, adapter_of, plan_of
):
    """Also for some of its rows, and under an adapter."""
    host = host_on(base)
    plan, some = plan_of(adapter_of(host, config)), torch.tensor([2, 0, 2])
    with torch.no_grad():
        trunk = host.run_trunk(batch)
        for under in ((), (plan,)):
            whole, upper = host.run(batch, *under), host.run(batch, *under, trunk=trunk)
            assert bits(upper.last) == bits(whole.last)
            assert bits(upper.features) == bits(whole.features)
            part = host.run(batch.select(some), *under, trunk=trunk.select(some))
            torch.testing.assert_close(part.features, whole.features[some], rtol=0, atol=1e-5)


def test_an_adapter_learns_while_the_base_stays_what_it_was(base, batch, config, host_on, adapter_of):
    """The loss falls, every weight at every site moves, and no bit of the base does."""
    host = host_on(base)
    adapter = adapter_of(host, config, fresh=True)
    weights = [weight.requires_grad_() for site in adapter.sites.values() for weight in site.values()]
    began = [weight.detach().clone() for weight in weights]
    readout = torch.randn(2, 16, generator=torch.Generator().manual_seed(1)).to(host.device)
    optimizer = torch.optim.Adam(weights, lr=0.02)
    losses = []
    for _ in range(8):
        plan = Plan({key: (Shared(update),) for key, update in adapter.updates().items()})
        logits = host.pool(host.run(batch, plan).last, batch) @ readout.T
        loss = functional.cross_entropy(logits, torch.tensor([0, 1, 1, 0], device=host.device))
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]
    assert not any(torch.equal(weight, before) for weight, before in zip(weights, began, strict=True))
    assert all(parameter.grad is None for parameter in base.model.parameters())
    assert fingerprint(base.model, base.tokenizer) == base.fingerprint


def test_lora_on_every_linear_layer_serves_a_batch_of_two_adapters_as_each_row_alone(
    family, base_of, host_on, adapter_of, plan_of, rows_of
):
    """Where the base computes something once for all rows, each adapter has a batch of its own."""
    host = host_on(base_of(family, torch.float64))
    adapters = {name: adapter_of(host, LoraConfig(rank=2), seed=seed) for seed, name in enumerate("ab")}
    bank = Bank(common_sites=host.common_sites)
    for ref, adapter in adapters.items():
        bank.add(ref, *passes_of(adapter))
    assert bank.runs_alone("a") == family.startswith("deberta")
    rows, names = rows_of((5, 9, 1, 7)), ["a", "b", "b", "a"]
    groups = [[0, 3], [1, 2]] if bank.runs_alone("a") else [[0, 1, 2, 3]]
    with torch.no_grad():
        for group in groups:
            mixed = host.run(pad([rows[row] for row in group], 0), bank.plan([((names[row], 1.0),) for row in group]))
            for place, row in enumerate(group):
                alone = host.run(pad([rows[row]], 0), plan_of(adapters[names[row]]))
                torch.testing.assert_close(mixed.features[place], alone.features[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("mixes", [[(("a", 1.0),), (("b", 1.0),)], [(("a", 0.5),)] * 2, [(("a", 1.0),), ()]])
def test_what_must_run_alone_is_refused_in_a_mixed_batch(base_of, host_on, adapter_of, mixes):
    host = host_on(base_of("deberta-v2"))
    bank = Bank(common_sites=host.common_sites)
    for ref in "ab":
        bank.add(ref, *passes_of(adapter_of(host, LoraConfig(rank=2))))
    with pytest.raises(Conflict, match="a acts where this base computes once for all rows"):
        bank.plan(mixes)
    bank.remove("a")
    bank.add("a", *passes_of(adapter_of(host, LoraConfig(rank=2, targets=("value_proj",)))))
    assert not bank.runs_alone("a")


def test_a_layer_that_computes_once_for_all_rows_without_being_known_to_is_named_rather_than_answered_wrongly(
    base_of, host_on, adapter_of, rows_of
):
    host = host_on(base_of("deberta-v2"))
    bank = Bank()
    bank.add("a", *passes_of(adapter_of(host, LoraConfig(rank=2))))
    with torch.no_grad(), pytest.raises(BaseUnavailable, match="makes 1 rows for a batch of 4"):
        host.run(pad(rows_of(), 0), bank.plan([(("a", 1.0),)] * 4))
