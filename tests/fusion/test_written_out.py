"""The reference form against loops over plain numbers, and against answers seen by eye."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fusion.attention import FusionAttention
from fusion.config import FusionConfig
from fusion.members import Member
from fusion.written_out import blend_written_out


def build_attention(*, width: int, with_residual: bool = False) -> FusionAttention:
    config = FusionConfig(with_residual=with_residual)
    generator = torch.Generator().manual_seed(0)
    return FusionAttention(config, features_in=width, features_out=width, generator=generator).double().eval()


def constant(*output: float) -> Member:
    """A member that says the same whatever it reads."""
    width = len(output)
    up_bias = torch.tensor(output, dtype=torch.float64)
    return Member(down=torch.zeros(1, width).double(), up=torch.zeros(width, 1).double(), up_bias=up_bias)


def test_one_token_after_the_other_computed_with_plain_numbers_agrees():
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    attention = build_attention(width=3, with_residual=True)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.copy_(normal(*parameter.shape))
    first = Member(down=normal(2, 3), down_bias=normal(2), up=normal(3, 2), up_bias=normal(3), activation=torch.relu)
    second = Member(down=normal(1, 3), up=normal(3, 1))
    x, residual = normal(2, 4, 3), normal(2, 4, 3)
    blend = blend_written_out(attention, [first, None, second], x, residual)
    for row in range(2):
        for time in range(4):
            output, weights = fuse_one_token(attention, [first, second], x[row, time], residual[row, time])
            assert blend.output[row, time].tolist() == pytest.approx(output, abs=1e-12)
            assert blend.weights[row, time].tolist() == pytest.approx([weights[0], 0.0, weights[1]], abs=1e-12)


def fuse_one_token(
    attention: FusionAttention, members: list[Member], x: Tensor, residual: Tensor
) -> tuple[list[float], list[float]]:
    """The equations of the paper with loops over lists of numbers."""
    query = affine(attention.query.weight, attention.query.bias, x.tolist())
    scores, values = [], []
    for member in members:
        hidden = affine(member.down, member.down_bias, x.tolist())
        if member.activation is torch.relu:
            hidden = [max(0.0, number) for number in hidden]
        said = affine(member.up, member.up_bias, hidden)
        output = [a + b for a, b in zip(said, residual.tolist(), strict=True)]
        key = affine(attention.key.weight, attention.key.bias, output)
        scores.append(sum(a * b for a, b in zip(query, key, strict=True)))
        values.append(affine(attention.value.weight, None, output))
    total = sum(math.exp(score) for score in scores)
    weights = [math.exp(score) / total for score in scores]
    blended = [sum(w * v for w, v in zip(weights, column, strict=True)) for column in zip(*values, strict=True)]
    return blended, weights


def affine(matrix: Tensor, bias: Tensor | None, vector: list[float]) -> list[float]:
    rows = [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix.tolist()]
    return rows if bias is None else [a + b for a, b in zip(rows, bias.tolist(), strict=True)]


def test_a_query_of_nothing_blends_all_members_alike():
    attention = build_attention(width=2)
    blend = blend_written_out(attention, [constant(1, 0), constant(0, 3)], torch.zeros(1, 2).double())
    assert blend.output.tolist() == [[0.5, 1.5]]


def test_a_token_attends_to_the_member_whose_output_points_its_way():
    attention = build_attention(width=2)
    with torch.no_grad():
        attention.query.weight.copy_(torch.eye(2))
        attention.key.weight.copy_(math.log(3) * torch.eye(2))  # scores of log 3 and 0: weights of 3/4 and 1/4
    x = torch.eye(2).double()  # one token east, one north
    blend = blend_written_out(attention, [constant(1, 0), constant(0, 1)], x)
    assert blend.weights.tolist() == [pytest.approx([0.75, 0.25]), pytest.approx([0.25, 0.75])]


def test_a_single_member_is_passed_on_as_it_is_at_the_start():
    attention = build_attention(width=2)
    blend = blend_written_out(attention, [None, constant(5, -2)], torch.ones(1, 2).double())
    assert blend.output.tolist() == [[5, -2]]
    assert blend.weights.tolist() == [[0, 1]]


def test_with_residual_the_result_holds_what_the_site_gives_without_adapters():
    attention = build_attention(width=2, with_residual=True)
    residual = torch.tensor([[10.0, 20.0]]).double()
    blend = blend_written_out(attention, [constant(5, -2)], torch.ones(1, 2).double(), residual)
    assert blend.output.tolist() == [[15, 18]]
