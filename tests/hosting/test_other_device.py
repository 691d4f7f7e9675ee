"""A base on another device: nothing is left behind on the CPU, and everything comes out as it does there."""

from __future__ import annotations

import pytest
import torch

from portfolio.hosting.base import twin_of
from portfolio.hosting.encode import encode, pad
from portfolio.hosting.host import Host
from portfolio.hosting.ready import passes_of
from portfolio.hosting.trunk import prepare
from portfolio.hosting.weights import from_bytes, placed, to_bytes
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.lora import LoraConfig
from portfolio.running import Labelled, predict_logits
from portfolio.training import TrainingConfig, train_adapter

TEXTS = ("rose fern", "spade rake moss", "tulip", "hoe shears", "ivy daisy rose", "barrow", "moss", "trowel rake")


def there(tensor):
    return type(tensor).__name__ == "Elsewhere"


@pytest.fixture
def hosts(tiny_base, elsewhere):
    """On the CPU, and on the other device."""
    made = [Host(twin_of(tiny_base, device=device), trunk=2) for device in (torch.device("cpu"), elsewhere)]
    yield made
    for host in made:
        host.detach()


def rows_on(host):
    prepared = prepare(host, encode(host.base.tokenizer, TEXTS, None, 32), keep_bytes=1 << 20)
    return Labelled(prepared=prepared, labels=torch.tensor([0, 1] * 4))


def test_the_other_device_computes_and_refuses_tensors_of_both_places(elsewhere):
    here = torch.arange(6.0).reshape(2, 3)
    moved = here.to(elsewhere)
    assert there(moved) and moved.device == elsewhere != here.device
    assert there(moved * 2 + torch.ones(3, device=elsewhere))
    assert there(moved[torch.tensor([1])]) and there(moved[[1]])
    assert torch.equal((moved @ moved.T).cpu(), here @ here.T)
    for mixed in (lambda: moved + here, lambda: here @ moved.T, lambda: here[moved[0].long()]):
        with pytest.raises(RuntimeError, match="got tensors of the CPU among others"):
            mixed()
    with pytest.raises(TypeError, match="copy it to the CPU first"):
        moved.numpy()


def test_every_family_computes_the_same_there(base_of, family, rows_of, elsewhere):
    batch = pad(rows_of(), 0)
    features = []
    for device in (torch.device("cpu"), elsewhere):
        host = Host(twin_of(base_of(family), device=device), trunk=2)
        with torch.inference_mode():
            passed = host.run(batch, trunk=host.run_trunk(batch))
        features.append(passed.features)
        assert passed.last.device == passed.trunk.state.device == host.device
        host.detach()
    assert there(features[1])
    assert torch.equal(features[1].cpu(), features[0])


def test_what_is_prepared_there_has_its_features_on_the_cpu_and_keeps_its_states_there(hosts):
    expected, made = (rows_on(host).prepared for host in hosts)
    assert not there(made.features)
    assert torch.equal(made.features, expected.features)
    assert all(map(there, made.states))
    assert made.kept_bytes == expected.kept_bytes


@pytest.mark.parametrize(
    "config", [BottleneckConfig(rank=4, dropout=0.2), LoraConfig(rank=2)], ids=["bottleneck", "lora"]
)
def test_an_adapter_trained_there_is_the_same(hosts, config):
    """To what rounding leaves, as devices add up in other orders; it starts from the same numbers."""
    trained = []
    for host in hosts:
        rows = rows_on(host)
        training = TrainingConfig(epochs=2, batch_size=3, accumulation=2)
        adapter = train_adapter(host, config, rows, rows, 2, training).learner.adapter
        trained.append(from_bytes(to_bytes(adapter)))
        assert all(tensor.device == host.device for site in adapter.sites.values() for tensor in site.values())
        logits = predict_logits(host, passes_of(adapter), rows.prepared)
        assert not there(logits)
        home = placed(adapter, torch.device("cpu"))
        torch.testing.assert_close(logits, predict_logits(hosts[0], passes_of(home), rows_on(hosts[0]).prepared))
    expected, made = trained
    assert made.sites.keys() == expected.sites.keys()
    for key, site in made.sites.items():
        for name, tensor in site.items():
            assert not there(tensor)
            torch.testing.assert_close(tensor, expected.sites[key][name], rtol=0, atol=1e-5)
    torch.testing.assert_close(made.head.weight, expected.head.weight, rtol=0, atol=1e-5)
