"""A layer whose weight has the update in it gives what the layer and the update beside it give."""

from __future__ import annotations

import pytest
import torch

from portfolio.hosting import per_row
from portfolio.hosting.bank import Bank
from portfolio.hosting.encode import pad
from portfolio.hosting.merged_layer import has_plain_weight
from portfolio.hosting.per_row import PerRow
from portfolio.hosting.ready import passes_of
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.lora import LoraConfig

LORA = LoraConfig(rank=2, alpha=3.0)
CONFIGS = {"lora": LORA, "end": BottleneckConfig(rank=3), "houlsby": BottleneckConfig(rank=2, placement="houlsby")}


@pytest.fixture
def merged(monkeypatch):
    """The weights merged so far; every layer is merged that can be."""
    weights = []
    merge = PerRow.merged_into

    def counted(self, weight, tokens):
        made = merge(self, weight, tokens)
        if made is not None:
            weights.append(made)
        return made

    monkeypatch.setattr(PerRow, "merged_into", counted)
    monkeypatch.setattr(per_row, "is_better_merged", lambda **sizes: True)
    return weights


@pytest.mark.parametrize("mix", [("lora",), ("lora", "end"), ("lora", "houlsby"), ("houlsby",)], ids="+".join)
def test_one_mix_for_all_rows_equals_its_adapters_beside_each_other(
    merged, mix, base_of, host_on, adapter_of, plan_of, rows_of
):
    """A bottleneck after a layer reads what the layer makes without the LoRA: there the LoRA is not merged."""
    host = host_on(base_of("bert", torch.float64))
    adapters = {ref: adapter_of(host, CONFIGS[ref], seed=seed) for seed, ref in enumerate(mix)}
    bank, batch = Bank(), pad(rows_of(), 0)
    for ref, adapter in adapters.items():
        bank.add(ref, *passes_of(adapter))
    with torch.no_grad():
        bare = host.run(batch).last
        wanted = host.run(batch, plan_of(*adapters.values())).last
        made = host.run(batch, bank.plan([tuple((ref, 1.0) for ref in mix)] * 4)).last
        again = host.run(batch).last
    linears = len(host.sites_for(LORA)) if "lora" in mix else 0
    ends = sum(site.kind in ("ffn_output", "attention_output") for site in host.sites_for(CONFIGS[mix[-1]]))
    assert len(merged) == max(0, linears - ends)
    torch.testing.assert_close(made, wanted, rtol=0, atol=1e-10)
    assert not torch.equal(made, bare)
    assert torch.equal(again, bare)


@pytest.mark.parametrize(
    "mixes", [[(("lora", 1.0),)] * 3 + [()], [(("lora", 0.5),)] * 4], ids=["a row without", "weighed"]
)
def test_nothing_is_merged_for_rows_that_differ_or_weigh(merged, mixes, base_of, host_on, adapter_of, rows_of):
    host = host_on(base_of("bert"))
    bank = Bank()
    bank.add("lora", *passes_of(adapter_of(host, LORA)))
    with torch.no_grad():
        host.run(pad(rows_of(), 0), bank.plan(mixes))
    assert not merged


def test_nothing_is_merged_where_gradients_flow(merged, base_of, host_on, adapter_of, rows_of):
    host = host_on(base_of("bert"))
    bank = Bank()
    bank.add("lora", *passes_of(adapter_of(host, LORA)))
    with torch.enable_grad():
        host.run(pad(rows_of(), 0), bank.plan([(("lora", 1.0),)] * 4))
    assert not merged


def test_sixteen_bits_are_too_few_to_merge_into():
    assert has_plain_weight(torch.nn.Linear(2, 2))
    assert not has_plain_weight(torch.nn.Linear(2, 2, dtype=torch.bfloat16))
    assert not has_plain_weight(torch.nn.LayerNorm(2))
