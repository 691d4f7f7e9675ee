"""What references train: it begins as the frozen base under a head that knows nothing, and touches nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from torch import Tensor

from portfolio.compare.rows import joined, picked
from portfolio.compare.trainee import (
    OneAdapter,
    Trainee,
    WholeBase,
    best_of,
    copied_tensors,
    logits_of_all,
    put_back,
)
from portfolio.hosting.base import Base, fingerprint
from portfolio.hosting.encode import encode
from portfolio.hosting.host import Host
from portfolio.hosting.trunk import prepare
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.running import Labelled

TEXTS = ("rose fern", "the ferry and a tug now", "soup", "my rake", "storm fog calm gale", "old pan")
CLASSES = 5

LabelledOf = Callable[..., Labelled]


@pytest.fixture
def host(tiny_base: Base) -> Iterator[Host]:
    made = Host(tiny_base, trunk=2)
    yield made
    made.detach()


@pytest.fixture
def labelled(host: Host) -> LabelledOf:
    """`labelled(TEXTS)`, labels in turn; with the trunk's states or without."""

    def made(texts: Sequence[str], *, kept: bool = True) -> Labelled:
        encoded = encode(host.base.tokenizer, texts, None, 32)
        prepared = prepare(host, encoded, keep_bytes=1 << 20 if kept else 0)
        return Labelled(prepared=prepared, labels=torch.arange(len(texts)) % CLASSES)

    return made


@pytest.fixture(params=["adapter", "whole base"])
def trainee(request: pytest.FixtureRequest, host: Host) -> Trainee:
    return OneAdapter(host, BottleneckConfig(), CLASSES, 0) if request.param == "adapter" else WholeBase(host, CLASSES)


def with_a_head(trainee: Trainee) -> tuple[Tensor, Tensor]:
    """The head's weight and bias, no longer zero."""
    *_, weight, bias = trainee.tensors().values()
    with torch.no_grad():
        weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
        bias.copy_(torch.arange(len(bias)))
    return weight.detach(), bias.detach()


def test_it_begins_as_the_frozen_base_under_a_head_of_zeros(trainee: Trainee, labelled: LabelledOf) -> None:
    data = labelled(TEXTS)
    assert not logits_of_all(trainee, data.prepared).any()
    weight, bias = with_a_head(trainee)
    expected = data.prepared.features @ weight.T + bias
    torch.testing.assert_close(logits_of_all(trainee, data.prepared), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(
        trainee.logits(data.prepared, [4, 1], training=False).detach(), expected[[4, 1]], atol=1e-4, rtol=0
    )


def test_the_whole_base_learns_in_every_tensor_and_the_frozen_one_in_none(host: Host, labelled: LabelledOf) -> None:
    trainee = WholeBase(host, CLASSES)
    with_a_head(trainee)
    data = labelled(TEXTS)
    tensors = {name: tensor.requires_grad_() for name, tensor in trainee.tensors().items()}
    logits = trainee.logits(data.prepared, range(6), training=True)
    gradients = torch.autograd.grad(logits.square().sum(), list(tensors.values()))
    assert all(gradient.any() for name, gradient in zip(tensors, gradients, strict=True) if "key.bias" not in name)
    assert {name for name, _ in host.base.model.named_parameters()} == set(tensors) - {"head.weight", "head.bias"}
    with torch.no_grad():
        for tensor in tensors.values():
            tensor.add_(1)
    assert fingerprint(host.base.model, host.base.tokenizer) == host.base.fingerprint


def test_dropout_of_the_whole_base_acts_while_training_only(host: Host, labelled: LabelledOf) -> None:
    trainee = WholeBase(host, CLASSES)
    with_a_head(trainee)
    prepared = labelled(TEXTS).prepared
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        first, second = (trainee.logits(prepared, range(6), training=True) for _ in range(2))
        assert not torch.equal(first, second)
        first, second = (trainee.logits(prepared, range(6), training=False) for _ in range(2))
        assert torch.equal(first, second)
    assert not host.base.model.training


def test_a_copied_state_is_put_back_bit_for_bit(trainee: Trainee, labelled: LabelledOf) -> None:
    with_a_head(trainee)
    prepared = labelled(TEXTS).prepared
    before, kept = logits_of_all(trainee, prepared), copied_tensors(trainee)
    with torch.no_grad():
        for tensor in trainee.tensors().values():
            tensor.add_(0.1)
    assert not torch.equal(logits_of_all(trainee, prepared), before)
    put_back(trainee, kept)
    assert torch.equal(logits_of_all(trainee, prepared), before)


def test_the_random_numbers_of_others_are_not_used(host: Host) -> None:
    state = torch.get_rng_state()
    WholeBase(host, CLASSES)
    OneAdapter(host, BottleneckConfig(), CLASSES, 0)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kept", [True, False])
def test_rows_put_together_or_picked_out_are_the_same_rows(trainee: Trainee, labelled: LabelledOf, kept: bool) -> None:
    with_a_head(trainee)
    both = labelled(TEXTS)
    parts = joined([labelled(TEXTS[:2]), labelled(TEXTS[2:], kept=kept)])
    assert (parts.prepared.states is not None) == kept
    assert parts.labels.tolist() == [0, 1, 0, 1, 2, 3]
    expected = logits_of_all(trainee, both.prepared)
    torch.testing.assert_close(logits_of_all(trainee, parts.prepared), expected, atol=1e-4, rtol=0)
    some = picked(parts, [5, 0])
    assert some.labels.tolist() == [3, 0] and len(some.prepared) == 2
    torch.testing.assert_close(logits_of_all(trainee, some.prepared), expected[[5, 0]], atol=1e-4, rtol=0)


def test_the_best_of_some_classes_is_the_first_of_the_likeliest() -> None:
    logits = torch.tensor([[9.0, 1.0, 2.0, 2.0], [0.0, 5.0, 3.0, 4.0]])
    assert best_of(logits, [1, 2, 3]).tolist() == [2, 1]
    assert best_of(logits, [2, 3]).tolist() == [2, 3]
