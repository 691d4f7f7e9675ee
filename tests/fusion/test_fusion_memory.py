"""What a forward and a backward pass make on the way, seen from below by watching every operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fusion.attention import FusionAttention
from fusion.config import FusionConfig, LightConfig
from fusion.folded import fold
from fusion.light import LightGate, TrainableLight
from fusion.members import Member
from fusion.trainable import TrainableFusion
from fusion.written_out import blend_written_out

BATCH, TIME, MEMBERS, WIDTH, RANK = 3, 5, 4, 32, 2
FORBIDDEN = BATCH * TIME * MEMBERS * WIDTH  # numbers in a (batch, time, members, features) tensor


class LargestResult(TorchDispatchMode):
    """Notes the size of the largest tensor that any operation gives back."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, Tensor):
                self.numbers = max(self.numbers, tensor.numel())
        return result


def largest_tensor(forward: Callable[[Tensor], Tensor]) -> int:
    x = torch.ones(BATCH, TIME, WIDTH, requires_grad=True)
    with LargestResult() as largest:
        forward(x).sum().backward()
    return largest.numbers


@pytest.fixture
def attention() -> FusionAttention:
    config = FusionConfig(dropout=0.1)
    return FusionAttention(config, features_in=WIDTH, features_out=WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def members() -> list[Member | None]:
    return [Member(down=torch.ones(RANK, WIDTH), up=torch.ones(WIDTH, RANK)) for _ in range(MEMBERS)]


def test_the_written_out_form_makes_a_tensor_of_every_members_features(attention, members):
    assert largest_tensor(lambda x: blend_written_out(attention, members, x).output) >= FORBIDDEN


def test_the_trainable_form_never_does_forward_or_backward(attention, members):
    assert largest_tensor(TrainableFusion(attention, members).train()) < FORBIDDEN


def test_the_folded_form_never_does(attention, members):
    assert largest_tensor(fold(attention, members)) < FORBIDDEN


def test_neither_do_those_of_the_light_gate(members):
    generator = torch.Generator().manual_seed(0)
    ranks = [RANK] * MEMBERS
    gate = LightGate(LightConfig(dropout=0.1), ranks=ranks, features_in=WIDTH, features_out=WIDTH, generator=generator)
    fusion = TrainableLight(gate, members).train()
    assert largest_tensor(fusion) < FORBIDDEN
    assert largest_tensor(fusion.fold()) < FORBIDDEN
