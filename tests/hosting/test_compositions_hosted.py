"""Compositions beside plain adapters in one batch, against every row alone with each equation written out."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusion.written_out import blend_written_out
from portfolio.errors import ConfigError, DamagedBlob
from portfolio.hosting.attending import attend, attended_blocks
from portfolio.hosting.bank import Bank
from portfolio.hosting.encode import pad
from portfolio.hosting.plan import Plan
from portfolio.hosting.ready import Variation, fresh_gates, gates_of, members_at, passes_of, weights_of_gates
from portfolio.hosting.weights import ComposedWeights, Head, from_bytes
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.compositions import Blend, Ensemble, Fusion, Stack
from portfolio.methods.lora import LoraConfig
from portfolio.methods.table import config_to_json

PLAIN = {
    "pfeiffer": BottleneckConfig(rank=3),
    "wide": BottleneckConfig(rank=7, activation="gelu", scale=0.5),
    "upper": BottleneckConfig(rank=2, activation="tanh", blocks=(3,)),
    "lora": LoraConfig(rank=2, alpha=2.0),
}
FUSED = ("pfeiffer", "upper", "wide")
WITH_LORA = ("pfeiffer", "lora", "upper")
KINDS = ("fusion", "light", "with lora", "blend", "stack", "stack on lora")
ROWS = st.lists(st.tuples(st.integers(1, 9), st.sampled_from((*KINDS, *sorted(PLAIN), None))), min_size=1, max_size=6)


@dataclass
class Written:
    """At one site a sum of functions of its input, added to what the base made."""

    parts: list

    def add_to(self, y, x):
        for part in self.parts:
            y = y + part(x)
        return y


@dataclass
class InTurn:
    """At one site one update after the other, each reading what the earlier left where it reads the site's own output."""

    updates: list
    reads_output: bool

    def add_to(self, y, x):
        for update in self.updates:
            y = y + output_of(update, y if self.reads_output else x)
        return y


def output_of(update, x):
    """What a low-rank update adds, by its equation."""
    f = {"relu": torch.relu, "gelu": torch.nn.functional.gelu, "tanh": torch.tanh, "identity": lambda z: z}
    hidden = f[update.activation](x @ update.down.T + (0 if update.down_bias is None else update.down_bias))
    return hidden @ update.up.T + (0 if update.up_bias is None else update.up_bias)


@pytest.fixture
def served(base_of, host_on, adapter_of):
    """A host in float64 with plain adapters, all kinds of compositions over them, and the plan of each written out."""
    host = host_on(base_of("bert", torch.float64))
    plain = {name: adapter_of(host, config, seed=seed) for seed, (name, config) in enumerate(PLAIN.items())}
    head = plain["pfeiffer"].head
    draw = torch.Generator().manual_seed(7)
    composed, written = {}, {}

    def fuse(name, members, gate):
        config = Fusion(members=members, gate=gate, width=3)
        gates = fresh_gates(config, members_at([plain[m] for m in members]), draw)
        with torch.no_grad():
            for one in gates.values():
                one.double()
                for parameter in one.parameters():
                    parameter.add_(0.3 * torch.randn(parameter.shape, generator=draw, dtype=torch.float64))
        composed[name] = ComposedWeights(config=config, sites=weights_of_gates(gates), heads=(head,))
        return gates

    for name, members in (("fusion", FUSED), ("with lora", WITH_LORA)):
        gates, at_sites = fuse(name, members, "attention"), members_at([plain[m] for m in members])
        written[name] = {
            key: (Written([lambda x, g=gates[key], m=at_sites[key]: blend_written_out(g, m, x).output]),)
            for key in at_sites
        }
    gates, at_sites = fuse("light", FUSED, "light"), members_at([plain[m] for m in FUSED])
    written["light"] = {key: (Written([light_written_out(gates[key], at_sites[key])]),) for key in at_sites}
    weights = (0.5, -0.25, 1.0)
    composed["blend"] = ComposedWeights(config=Blend(members=FUSED, weights=weights), sites={}, heads=(head,))
    written["blend"] = {}
    for member, weight in zip(FUSED, weights, strict=True):
        for key, update in plain[member].updates().items():
            part = Written([lambda x, u=update, w=weight: w * output_of(u, x)])
            written["blend"][key] = (*written["blend"].get(key, ()), part)
    for name, below in (("stack", "wide"), ("stack on lora", "lora")):
        top = plain["pfeiffer"]
        config = Stack(members=(below,), top=config_to_json(top.config))
        composed[name] = ComposedWeights(config=config, sites=top.sites, heads=(head,))
        both = {}
        for one in (plain[below], top):
            for key, update in one.updates().items():
                both.setdefault(key, []).append(update)
        written[name] = {key: (InTurn(here, reads_output="linear" not in key),) for key, here in both.items()}
    passes = {name: passes_of(one, [plain[m] for m in one.config.members]) for name, one in composed.items()}
    passes |= {name: passes_of(one) for name, one in plain.items()}
    for name, one in plain.items():
        written[name] = {
            key: (Written([lambda x, u=update: output_of(u, x)]),) for key, update in one.updates().items()
        }
    bank = Bank()
    for name, (one,) in passes.items():
        bank.add(name, one)
    return host, bank, written, plain, composed, passes


def light_written_out(gate, members):
    """The light gate's equations, member by member."""

    def blend(x):
        query = x @ gate.query.T + gate.query_bias
        scores, outputs, start, place = [], [], 0, 0
        for member in members:
            if member is None:
                continue
            hidden = member.activation(x @ member.down.T + (0 if member.down_bias is None else member.down_bias))
            key = hidden @ gate.key[:, start : start + member.rank].T + gate.key_bias[:, place]
            scores.append((query * key).sum(-1))
            outputs.append(gate.gain[place] * member.output(x))
            start, place = start + member.rank, place + 1
        shares = torch.softmax(torch.stack(scores, -1), -1)
        return sum(shares[..., k : k + 1] * output for k, output in enumerate(outputs))

    return blend


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, seed=st.integers(0, 100))
def test_a_mixed_batch_equals_each_row_alone_and_written_out(served, rows_of, rows, seed):
    host, bank, written, *_ = served
    encoded = rows_of([length for length, _ in rows], seed)
    with torch.no_grad():
        mixed = host.run(pad(encoded, 0), bank.plan([() if name is None else ((name, 1.0),) for _, name in rows]))
        for number, (row, (_, name)) in enumerate(zip(encoded, rows, strict=True)):
            alone = host.run(pad([row], 0), Plan({} if name is None else written[name]))
            torch.testing.assert_close(mixed.last[number, : len(row.ids)], alone.last[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", KINDS)
def test_a_composition_alone_in_a_batch_equals_it_written_out(served, rows_of, name):
    host, bank, written, *_ = served
    batch = pad(rows_of((5, 5)), 0)
    with torch.no_grad():
        ours = host.run(batch, bank.plan([((name, 1.0),)] * 2)).last
        theirs = host.run(batch, Plan(written[name])).last
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


def test_a_weight_counts_for_a_composition_as_for_any_adapter(served, rows_of):
    """Half of a fusion and half of an adapter, at a site of the last block, whose input neither changes."""
    host, bank, _, _plain, _composed, _passes = served
    seen = {}
    dense = host.blocks[2].get_submodule("output.dense")
    handle = dense.register_forward_hook(lambda module, inputs, output: seen.setdefault("y", []).append(output))
    batch = pad(rows_of((4,)), 0)
    with torch.no_grad():
        host.run(batch)
        for mix in ((("fusion", 1.0),), (("wide", 1.0),), (("fusion", 0.5), ("wide", 0.25))):
            host.run(batch, bank.plan([mix]))
    handle.remove()
    bare, fusion, wide, both = seen["y"]
    torch.testing.assert_close(both, bare + 0.5 * (fusion - bare) + 0.25 * (wide - bare), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", KINDS)
def test_a_composition_comes_back_from_its_bytes(served, name):
    *_, composed, _ = served
    again = from_bytes(composed[name].to_bytes())
    assert again.config == composed[name].config
    assert again.to_bytes() == composed[name].to_bytes()
    assert again.parameters == composed[name].parameters


def test_an_ensemble_has_a_pass_and_a_head_for_each_member(served):
    _, _, _, plain, *_ = served
    heads = tuple(Head(torch.full((2, 4), float(n)), torch.zeros(2)) for n in range(3))
    adapter = ComposedWeights(config=Ensemble(members=FUSED, weights=(0.5, 0.0, 0.5)), sites={}, heads=heads)
    again = from_bytes(adapter.to_bytes())
    passes = passes_of(again, [plain[m] for m in FUSED])
    assert [one.weight for one in passes] == [0.5, 0.5]
    assert [one.head.weight[0, 0].item() for one in passes] == [0.0, 2.0]
    [left] = passes_of(again, [plain[m] for m in FUSED], Variation(dropped=frozenset({0})))
    assert (left.weight, left.head.weight[0, 0].item()) == (1.0, 2.0)


def test_attention_is_what_the_written_out_form_attends_to(served, rows_of):
    host, _, _, plain, composed, passes = served
    [one] = passes["fusion"]
    [row] = rows_of((6,))
    batch = pad([row], 0)
    inputs = {}
    handles = [
        host.blocks[block]
        .get_submodule("output.dense")
        .register_forward_hook(lambda module, given, output, b=block: inputs.update({b: module.forward(given[0])}))
        for block in (2, 3)
    ]
    with torch.no_grad():
        seen = attend(host, one.updates, batch)
    for handle in handles:
        handle.remove()
    gates = gates_of(composed["fusion"], composed["fusion"].config, [plain[m] for m in FUSED])
    at_sites = members_at([plain[m] for m in FUSED])
    assert attended_blocks(one.updates) == (2, 3)
    for place, block in enumerate((2, 3)):
        key = f"{block}.ffn_output"
        weights = blend_written_out(gates[key].double(), at_sites[key], inputs[block]).weights[0]
        torch.testing.assert_close(seen[0, place], weights.mean(0), rtol=0, atol=1e-10)
    assert seen[0, 0, FUSED.index("upper")] == 0  # which does not act there


@pytest.mark.parametrize(
    ("name", "variation", "message"),
    [
        ("fusion", Variation(dropped=frozenset({0, 1, 2})), "all are dropped"),
        ("fusion", Variation(weights=(1.0,)), "a weight for each of 3 members"),
        ("stack", Variation(dropped=frozenset({0})), "each needs the other"),
        ("blend", Variation(weights=(0.0, 0.0, 0.0)), "a weight other than 0"),
    ],
)
def test_variations_that_cannot_be_are_refused(served, name, variation, message):
    _, _, _, plain, composed, _ = served
    with pytest.raises(ConfigError, match=message):
        passes_of(composed[name], [plain[m] for m in composed[name].config.members], variation)


def test_a_plain_adapter_has_nothing_to_vary(served):
    _, _, _, plain, *_ = served
    with pytest.raises(ConfigError, match="only fusions, blends and ensembles"):
        passes_of(plain["wide"], variation=Variation(dropped=frozenset({0})))


def test_gates_of_other_members_are_damage(served):
    _, _, _, plain, composed, _ = served
    with pytest.raises(DamagedBlob, match="do not fit its members"):
        passes_of(composed["light"], [plain["pfeiffer"], plain["upper"], plain["pfeiffer"]])
