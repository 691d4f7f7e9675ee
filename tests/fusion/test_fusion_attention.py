"""How a fusion starts, what keeps its values near the identity, and which settings cannot be."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fusion.attention import FusionAttention
from fusion.config import FusionConfig
from fusion.folded import fold
from fusion.members import Member


def build_attention(width: int = 100, seed: int = 0, config: FusionConfig | None = None) -> FusionAttention:
    generator = torch.Generator().manual_seed(seed)
    return FusionAttention(config or FusionConfig(), features_in=width, features_out=width, generator=generator)


def test_values_start_as_they_are_and_queries_and_keys_small():
    attention = build_attention()
    assert torch.equal(attention.value.weight, torch.eye(100))
    for linear in (attention.query, attention.key):
        assert linear.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert (linear.bias == 0).all()


def test_a_site_of_width_d_learns_3_d_squared_plus_2_d_numbers():
    assert sum(parameter.numel() for parameter in build_attention(10).parameters()) == 320


def test_a_fusion_of_two_equal_members_starts_as_that_member():
    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    generator = torch.Generator().manual_seed(0)
    member = Member(down=normal(2, 10), up=normal(10, 2), activation=torch.relu)
    x = normal(3, 10)
    torch.testing.assert_close(fold(build_attention(10), [member, member])(x), member.output(x))


def test_the_penalty_is_the_squared_distance_of_the_values_from_the_identity():
    attention = build_attention(2, config=FusionConfig(regulariser=0.5))
    assert attention.penalty().item() == 0
    with torch.no_grad():
        attention.value.weight.copy_(torch.tensor([[2.0, 3.0], [0.0, 1.0]]))
    attention.penalty().backward()
    assert attention.penalty().item() == 5  # 0.5 · (1² + 3²)
    assert attention.value.weight.grad is not None
    assert attention.value.weight.grad.tolist() == [[1, 3], [0, 0]]


def test_the_same_seed_gives_the_same_start_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    first, again, other = build_attention(4), build_attention(4), build_attention(4, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.query.weight, again.query.weight)
    assert not torch.equal(first.query.weight, other.query.weight)
    assert not torch.equal(first.query.weight, first.key.weight)


def test_all_settings_that_cannot_be_are_named_together():
    with pytest.raises(ValueError) as caught:
        FusionConfig(dropout=1.0, regulariser=-1.0, initial_deviation=float("nan"))
    assert "dropout must be in [0, 1), got 1.0" in str(caught.value)
    assert "regulariser must be 0 or more and finite, got -1.0" in str(caught.value)
    assert "initial_deviation must be 0 or more and finite, got nan" in str(caught.value)
