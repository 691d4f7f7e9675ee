"""Where the methods stand in a block, against copies of the model whose modules were replaced by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from portfolio.hosting.encode import pad
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.lora import LoraConfig

BLOCKS = (2, 3)  # above the trunk


class ByHand(nn.Module):
    """scale · (U relu(D x + b) + c)"""

    def __init__(self, weights, scale):
        super().__init__()
        self.weights, self.scale = weights, scale

    def forward(self, x):
        hidden = torch.relu(x @ self.weights["down"].T + self.weights["down_bias"])
        return self.scale * (hidden @ self.weights["up"].T + self.weights["up_bias"])


class After(nn.Module):
    """A sub-layer's last linear layer with a bottleneck behind it."""

    def __init__(self, inner, adapter):
        super().__init__()
        self.inner, self.adapter = inner, adapter

    def forward(self, x):
        y = self.inner(x)
        return y + self.adapter(y)


class Beside(nn.Module):
    """A whole feed-forward layer with a bottleneck that reads what it reads."""

    def __init__(self, inner, adapter):
        super().__init__()
        self.inner, self.adapter = inner, adapter

    def forward(self, x):
        return self.inner(x) + self.adapter(x)


class Keep(nn.Module):
    """BERT's feed-forward layer is two modules in a row; this one notes what the first reads."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.read = inner, None

    def forward(self, x):
        self.read = x
        return self.inner(x)


class BesideKept(nn.Module):
    def __init__(self, inner, keep, adapter):
        super().__init__()
        self.inner, self.keep, self.adapter = inner, keep, adapter

    def forward(self, x):
        return self.inner(x) + self.adapter(self.keep.read)


def after_attention(family, block, adapter):
    if family == "bert":
        block.attention.output.dense = After(block.attention.output.dense, adapter)
    elif family == "llama":
        block.self_attn.o_proj = After(block.self_attn.o_proj, adapter)
    else:
        block.attn.c_proj = After(block.attn.c_proj, adapter)


def after_feed_forward(family, block, adapter):
    if family == "bert":
        block.output.dense = After(block.output.dense, adapter)
    else:
        block.mlp = After(block.mlp, adapter)


def beside_feed_forward(family, block, adapter):
    if family == "bert":
        block.intermediate = Keep(block.intermediate)
        block.output.dense = BesideKept(block.output.dense, block.intermediate, adapter)
    else:
        block.mlp = Beside(block.mlp, adapter)


BY_HAND = {
    "pfeiffer": {"ffn_output": after_feed_forward},
    "houlsby": {"attention_output": after_attention, "ffn_output": after_feed_forward},
    "parallel": {"ffn_parallel": beside_feed_forward},
}


def blocks(model, family):
    return {"bert": lambda: model.encoder.layer, "llama": lambda: model.layers, "gpt2": lambda: model.h}[family]()


@pytest.fixture(params=["bert", "gpt2", "llama"])
def family(request):
    return request.param


@pytest.fixture
def base(base_of, family):
    return base_of(family, torch.float64)


def states_under_plan(host, batch, plan):
    with torch.no_grad():
        return host.run(batch, plan).last


def states_of(model, batch):
    with torch.no_grad():
        return model(**batch.to(model.device).inputs()).last_hidden_state


@pytest.mark.parametrize("placement", sorted(BY_HAND))
def test_a_bottleneck_stands_where_its_placement_says(
    base, own_base, family, placement, rows_of, host_on, adapter_of, plan_of
):
    batch, host = pad(rows_of(), 0), host_on(base)
    config = BottleneckConfig(rank=3, placement=placement, scale=0.7)
    adapter = adapter_of(host, config)
    assert sorted(adapter.sites) == sorted(f"{number}.{kind}" for number in BLOCKS for kind in BY_HAND[placement])
    changed = own_base(family, torch.float64).model
    for number in BLOCKS:
        for kind, put in BY_HAND[placement].items():
            put(family, blocks(changed, family)[number], ByHand(adapter.sites[f"{number}.{kind}"], scale=0.7))
    torch.testing.assert_close(
        states_under_plan(host, batch, plan_of(adapter)), states_of(changed, batch), rtol=0, atol=1e-10
    )


def test_lora_is_the_model_with_the_updates_merged_into_its_weights(
    base, own_base, family, rows_of, host_on, adapter_of, plan_of
):
    batch, host = pad(rows_of(), 0), host_on(base)
    adapter = adapter_of(host, LoraConfig(rank=2, alpha=6.0))
    changed = own_base(family, torch.float64).model
    merged = set()
    for number in BLOCKS:
        for name, module in blocks(changed, family)[number].named_modules():
            weights = adapter.sites.get(f"{number}.linear:{name}")
            if weights is not None:
                update = 3.0 * weights["up"] @ weights["down"]  # (out, in)
                module.weight += update.T if family == "gpt2" else update
                merged.add(f"{number}.linear:{name}")
    assert merged == set(adapter.sites)
    torch.testing.assert_close(
        states_under_plan(host, batch, plan_of(adapter)), states_of(changed, batch), rtol=0, atol=1e-10
    )


def test_a_bottleneck_and_lora_at_one_layer_both_read_what_the_base_made(
    base_of, own_base, rows_of, host_on, adapter_of, plan_of
):
    """A mix adds both to the base's output; neither sees the other's update at that layer."""
    base = base_of("llama", torch.float64)
    batch, host = pad(rows_of(), 0), host_on(base, trunk=3)
    bottleneck = adapter_of(host, BottleneckConfig(rank=3, scale=0.7), seed=1)
    lora = adapter_of(host, LoraConfig(rank=2, targets=("down_proj",)), seed=2)
    assert {key.split(".")[0] for key in (*bottleneck.sites, *lora.sites)} == {"3"}

    class Both(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            y = self.inner(x)
            a, b = lora.sites["3.linear:mlp.down_proj"].values()
            return y + ByHand(bottleneck.sites["3.ffn_output"], 0.7)(y) + 8.0 * x @ a.T @ b.T

    changed = own_base("llama", torch.float64).model
    changed.layers[3].mlp.down_proj = Both(changed.layers[3].mlp.down_proj)
    for plan in (plan_of(bottleneck, lora), plan_of(lora, bottleneck)):
        torch.testing.assert_close(states_under_plan(host, batch, plan), states_of(changed, batch), rtol=0, atol=1e-10)
