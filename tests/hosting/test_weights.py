"""An adapter to bytes and back."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save

from portfolio.errors import DamagedBlob
from portfolio.hosting.weights import AdapterWeights, Head, from_bytes, to_bytes
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.lora import LoraConfig


@pytest.fixture(params=[BottleneckConfig(rank=3, placement="houlsby"), LoraConfig(rank=2)], ids=["bottleneck", "lora"])
def adapter(request, base_of, host_on, adapter_of):
    return adapter_of(host_on(base_of("bert")), request.param)


def test_it_comes_back_as_it_was(adapter):
    again = from_bytes(to_bytes(adapter))
    assert again.config == adapter.config
    assert set(again.sites) == set(adapter.sites)
    for key, weights in adapter.sites.items():
        assert set(again.sites[key]) == set(weights)
        assert all(torch.equal(again.sites[key][name], weight) for name, weight in weights.items())
    assert torch.equal(again.head.weight, adapter.head.weight)
    assert torch.equal(again.head.bias, adapter.head.bias)


def test_equal_adapters_give_equal_bytes_whatever_their_order_and_layout(adapter):
    turned = {
        key: {name: weight.t().clone().t() if weight.dim() == 2 else weight for name, weight in reversed(w.items())}
        for key, w in reversed(adapter.sites.items())
    }
    other = AdapterWeights(config=adapter.config, sites=turned, head=adapter.head)
    assert to_bytes(other) == to_bytes(adapter)


def test_one_bit_of_difference_shows_in_the_bytes(adapter):
    bias = adapter.head.bias.clone()
    bias[0] = torch.nextafter(bias[0], torch.tensor(torch.inf))
    other = AdapterWeights(config=adapter.config, sites=adapter.sites, head=Head(adapter.head.weight, bias))
    assert to_bytes(other) != to_bytes(adapter)


def test_weights_in_training_are_written_without_their_gradients(adapter):
    before = to_bytes(adapter)
    adapter.head.weight.requires_grad_()
    assert to_bytes(adapter) == before


def test_parameters_counts_every_number():
    config = LoraConfig(rank=2)
    sites = {"3.linear:a.b": {"down": torch.zeros(2, 5), "up": torch.zeros(4, 2)}}
    adapter = AdapterWeights(config=config, sites=sites, head=Head(torch.zeros(3, 7), torch.zeros(3)))
    assert adapter.parameters == 2 * 5 + 4 * 2 + 3 * 7 + 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"hello world, this is no adapter",
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: (2).to_bytes(8, "little") + b"[]",
        lambda data: data.replace(b'"F32"', b'"I32"'),
        lambda data: data.replace(b'"shape":[', b'"shape":[2,', 1),
        lambda data: save({"head.weight": torch.zeros(1)}),
        lambda data: save({"head.weight": torch.zeros(1), "head.bias": torch.zeros(1)}, {"config": "no JSON"}),
    ],
    ids=[
        "nothing",
        "text",
        "one byte short",
        "half",
        "a header that is a list",
        "whole numbers",
        "a shape with more numbers",
        "no config",
        "a config that is none",
    ],
)
def test_other_bytes_are_refused(adapter, damage):
    with pytest.raises(DamagedBlob, match="expected an adapter in safetensors form"):
        from_bytes(damage(to_bytes(adapter)))
