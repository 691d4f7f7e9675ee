"""Sites by structure, for models whose type is not in the table of layouts."""

from __future__ import annotations

import pytest
import torch

from portfolio.errors import BaseUnavailable
from portfolio.hosting.encode import pad
from portfolio.hosting.sites import LAYOUTS, blocks_of, find_sites
from portfolio.methods.bottleneck import PLACEMENTS, BottleneckConfig
from portfolio.methods.lora import LoraConfig

CONFIGS = [*(BottleneckConfig(rank=3, placement=name) for name in sorted(PLACEMENTS)), LoraConfig(rank=2, alpha=2.0)]


@pytest.mark.parametrize("family", ["bert", "deberta-v2", "distilbert", "gpt2", "llama", "roberta"])
def test_structure_finds_the_sites_that_the_table_names(own_base, family, rows_of, host_on, adapter_of, plan_of):
    """The same model under a type that nobody knows is served with the same states, bit for bit."""
    base, batch = own_base(family), pad(rows_of(), 0)
    host = host_on(base)
    adapters = [adapter_of(host, config) for config in CONFIGS]
    with torch.no_grad():
        expected = [host.run(batch, plan_of(adapter)).last for adapter in adapters]
    host.detach()
    base.model.config.model_type = "unheard-of"
    host = host_on(base)
    with torch.no_grad():
        for adapter, states in zip(adapters, expected, strict=True):
            assert set(adapter.sites) == {site.key for site in host.sites_for(adapter.config)}
            assert torch.equal(host.run(batch, plan_of(adapter)).last, states)


@pytest.mark.parametrize("family", ["electra", "mpnet"])
def test_a_family_that_the_table_lacks_is_served_by_structure(base_of, family):
    assert family not in LAYOUTS
    model = base_of(family).model
    assert len(blocks_of(model)) == 4
    sites = find_sites(model)
    assert {(sites[f"3.{kind}"].reads, sites[f"3.{kind}"].writes) for kind in ("attention_output", "ffn_output")} == {
        (end, end) for end in ("output.dense", "attention.output.dense" if family == "electra" else "attention.attn.o")
    }
    assert (sites["3.ffn_parallel"].reads, sites["3.ffn_parallel"].writes) == ("intermediate.dense", "output.dense")


def test_a_model_without_blocks_that_could_be_told_is_refused(own_base):
    base = own_base("bert")
    base.model.config.model_type = "unheard-of"
    base.model.config.num_hidden_layers = 7
    with pytest.raises(BaseUnavailable, match="model type 'unheard-of' is not in the table of layouts"):
        blocks_of(base.model)


def test_every_linear_layer_of_a_block_is_a_site_with_its_widths(base_of):
    sites = find_sites(base_of("llama").model)
    widths = {
        key.removeprefix("0.linear:"): (site.shape.features_in, site.shape.features_out)
        for key, site in sites.items()
        if key.startswith("0.linear:")
    }
    assert widths == {
        "self_attn.q_proj": (16, 16),
        "self_attn.k_proj": (16, 8),
        "self_attn.v_proj": (16, 8),
        "self_attn.o_proj": (16, 16),
        "mlp.gate_proj": (16, 24),
        "mlp.up_proj": (16, 24),
        "mlp.down_proj": (24, 16),
    }
    gpt2 = find_sites(base_of("gpt2").model)["2.linear:mlp.c_fc"]  # whose weight is stored (in, out)
    assert (gpt2.shape.features_in, gpt2.shape.features_out) == (16, 24)
