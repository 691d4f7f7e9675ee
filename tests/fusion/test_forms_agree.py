"""The folded and the trainable form against the written-out one, on whatever fusions hypothesis thinks up, in float64."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from fusion.attention import FusionAttention
from fusion.config import FusionConfig
from fusion.folded import fold
from fusion.members import Activation, Member, identity
from fusion.trainable import TrainableFusion
from fusion.written_out import blend_written_out

ACTIVATIONS: list[Activation] = [identity, torch.relu, functional.gelu, torch.tanh, torch.sigmoid]
TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}
few = settings(max_examples=50, deadline=None)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A trained fusion, its members and something to read."""

    attention: FusionAttention
    members: list[Member | None]
    x: Tensor
    residual: Tensor | None


@st.composite
def cases(draw: st.DrawFn) -> Case:
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def member(rank: int | None) -> Member | None:
        if rank is None:
            return None
        return Member(
            down=normal(rank, width_in),
            down_bias=normal(rank) if draw(st.booleans()) else None,
            up=normal(width_out, rank),
            up_bias=normal(width_out) if draw(st.booleans()) else None,
            activation=draw(st.sampled_from(ACTIVATIONS)),
        )

    width_in, width_out = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    ranks = draw(st.lists(st.none() | st.integers(1, 5), min_size=1, max_size=5).filter(any))
    config = FusionConfig(dropout=draw(st.sampled_from([0.0, 0.4])), with_residual=draw(st.booleans()))
    attention = FusionAttention(config, features_in=width_in, features_out=width_out, generator=generator).double()
    sharpness = draw(st.sampled_from([0.1, 0.5, 2.0]))
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.copy_(sharpness * normal(*parameter.shape))
    shape = draw(st.sampled_from([(3,), (1, 1), (2, 3), (0, 2)]))
    return Case(
        attention=attention.eval(),
        members=[member(rank) for rank in ranks],
        x=normal(*shape, width_in),
        residual=normal(*shape, width_out) if config.with_residual else None,
    )


@few
@given(cases())
def test_the_folded_form_gives_the_written_out_numbers(case):
    blend = blend_written_out(case.attention, case.members, case.x, case.residual)
    folded = fold(case.attention, case.members)
    torch.testing.assert_close(folded(case.x, case.residual), blend.output, **TOLERANCE)
    torch.testing.assert_close(folded.weights(case.x), blend.weights, **TOLERANCE)


@few
@given(cases())
def test_the_trainable_form_gives_the_written_out_numbers(case):
    blend = blend_written_out(case.attention, case.members, case.x, case.residual)
    trainable = TrainableFusion(case.attention, case.members).eval()
    torch.testing.assert_close(trainable(case.x, case.residual), blend.output, **TOLERANCE)


@few
@given(cases(), st.integers(0, 100))
def test_while_training_the_same_dropped_scores_give_the_same_numbers_and_gradients(case, seed):
    trainable = TrainableFusion(case.attention, case.members).train()
    results = []
    for form in ("written out", "trainable"):
        torch.manual_seed(seed)  # both forms drop the same scores
        case.attention.zero_grad()
        x = case.x.clone().requires_grad_()
        if form == "trainable":
            output = trainable(x, case.residual)
        else:
            output = blend_written_out(case.attention, case.members, x, case.residual).output
        (output.square().sum() + case.attention.penalty()).backward()
        results.append([output, x.grad, *(parameter.grad for parameter in case.attention.parameters())])
    for expected, came in zip(*results, strict=True):
        torch.testing.assert_close(came, expected, **TOLERANCE)


@few
@given(cases())
def test_a_member_that_is_missing_here_gets_no_weight_and_changes_nothing(case):
    there = [member for member in case.members if member is not None]
    with_gaps, without = fold(case.attention, case.members), fold(case.attention, there)
    missing = [number for number, member in enumerate(case.members) if member is None]
    assert torch.equal(with_gaps(case.x, case.residual), without(case.x, case.residual))
    assert (with_gaps.weights(case.x)[..., missing] == 0).all()


@few
@given(cases())
def test_the_order_of_the_members_does_not_matter(case):
    straight, reverse = fold(case.attention, case.members), fold(case.attention, case.members[::-1])
    torch.testing.assert_close(reverse(case.x, case.residual), straight(case.x, case.residual), **TOLERANCE)
    torch.testing.assert_close(reverse.weights(case.x).flip(-1), straight.weights(case.x), **TOLERANCE)


@pytest.fixture
def wide() -> Case:
    """A fusion of the size of a small base, in float32: eight bottlenecks of rank 48 beside 384 features."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int, deviation: float) -> Tensor:
        return deviation * torch.randn(*shape, generator=generator)

    members: list[Member | None] = [
        Member(down=normal(48, 384, deviation=0.05), up=normal(384, 48, deviation=0.05), activation=torch.relu)
        for _ in range(8)
    ]
    config = FusionConfig(initial_deviation=0.04)
    attention = FusionAttention(config, features_in=384, features_out=384, generator=generator)
    return Case(attention=attention.eval(), members=members, x=normal(2, 8, 384, deviation=1.0), residual=None)


def test_in_float32_the_folded_form_stays_within_2e_5(wide):
    blend = blend_written_out(wide.attention, wide.members, wide.x)
    assert blend.weights.max() > 0.5  # the attention is not just the plain average
    torch.testing.assert_close(fold(wide.attention, wide.members)(wide.x), blend.output, rtol=0, atol=2e-5)


def test_folding_again_gives_the_same_bits(wide):
    assert torch.equal(fold(wide.attention, wide.members)(wide.x), fold(wide.attention, wide.members)(wide.x))


def test_an_attention_saved_and_loaded_gives_the_same_bits(wide):
    other = torch.Generator().manual_seed(1)
    loaded = FusionAttention(wide.attention.config, features_in=384, features_out=384, generator=other)
    assert not torch.equal(fold(loaded, wide.members)(wide.x), fold(wide.attention, wide.members)(wide.x))
    loaded.load_state_dict(wide.attention.state_dict())
    assert torch.equal(fold(loaded, wide.members)(wide.x), fold(wide.attention, wide.members)(wide.x))


def test_a_folded_fusion_keeps_its_numbers_when_what_it_was_made_of_changes(wide):
    wide.attention.config = replace(wide.attention.config, with_residual=True)
    members = [replace(member, up_bias=torch.ones(384)) for member in wide.members if member is not None]
    folded = fold(wide.attention, members)
    before = folded(wide.x, wide.x)
    with torch.no_grad():
        for tensor in [*wide.attention.parameters(), *(t for m in members for t in (m.down, m.up, m.up_bias))]:
            tensor.zero_()
    assert torch.equal(folded(wide.x, wide.x), before)


def test_outputs_stay_finite_when_scores_are_huge(wide):
    with torch.no_grad():
        wide.attention.query.weight.mul_(1e6)
    output = fold(wide.attention, wide.members)(wide.x)
    assert output.isfinite().all()
