"""The light gate's forms against its equations written out member by member, on whatever hypothesis thinks up, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from fusion.config import LightConfig
from fusion.light import LightGate, TrainableLight
from fusion.members import Activation, Member, identity

ACTIVATIONS: list[Activation] = [identity, torch.relu, functional.gelu, torch.tanh, torch.sigmoid]
TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}
few = settings(max_examples=50, deadline=None)


def write_out(gate: LightGate, members: Sequence[Member | None], x: Tensor) -> tuple[Tensor, Tensor]:
    """The output (..., out) and the weights (..., members); one member after the other, each with its own numbers."""
    query = x @ gate.query.T + gate.query_bias
    scores: dict[int, Tensor] = {}
    values: dict[int, Tensor] = {}
    number = first = 0
    for place, (rank, member) in enumerate(zip(gate.ranks, members, strict=True)):
        if rank is None:
            continue
        key_weight, key_bias = gate.key[:, first : first + rank], gate.key_bias[:, number]
        if member is not None:
            hidden = member.activation(functional.linear(x, member.down, member.down_bias))
            key = hidden @ key_weight.T + key_bias
            scores[place] = (query * key).sum(-1)
            values[place] = gate.gain[number] * member.output(x)
        first, number = first + rank, number + 1
    dropped = functional.dropout(torch.stack(list(scores.values()), dim=-1), gate.config.dropout, gate.training)
    weights = torch.zeros(*x.shape[:-1], len(members), dtype=x.dtype)
    weights[..., list(scores)] = torch.softmax(dropped, dim=-1)
    return sum(weights[..., [place]] * value for place, value in values.items()), weights


@dataclass(frozen=True, kw_only=True)
class Case:
    """A trained light gate, its members and something to read."""

    gate: LightGate
    members: list[Member | None]
    x: Tensor


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
    config = LightConfig(width=draw(st.integers(1, 4)), dropout=draw(st.sampled_from([0.0, 0.4])))
    gate = LightGate(config, ranks=ranks, features_in=width_in, features_out=width_out, generator=generator).double()
    sharpness = draw(st.sampled_from([0.1, 0.5, 2.0]))
    with torch.no_grad():
        for parameter in gate.parameters():
            parameter.copy_(sharpness * normal(*parameter.shape))
    shape = draw(st.sampled_from([(3,), (1, 1), (2, 3), (0, 2)]))
    return Case(gate=gate.eval(), members=[member(rank) for rank in ranks], x=normal(*shape, width_in))


@few
@given(cases())
def test_the_folded_form_gives_the_written_out_numbers(case):
    output, weights = write_out(case.gate, case.members, case.x)
    folded = TrainableLight(case.gate, case.members).fold()
    torch.testing.assert_close(folded(case.x), output, **TOLERANCE)
    torch.testing.assert_close(folded.weights(case.x), weights, **TOLERANCE)


@few
@given(cases())
def test_the_trainable_form_gives_the_written_out_numbers(case):
    trainable = TrainableLight(case.gate, case.members).eval()
    torch.testing.assert_close(trainable(case.x), write_out(case.gate, case.members, case.x)[0], **TOLERANCE)


@few
@given(cases(), st.data())
def test_members_that_were_trained_with_can_be_left_out(case, data):
    there = [place for place, member in enumerate(case.members) if member is not None]
    kept = data.draw(st.sets(st.sampled_from(there), min_size=1))
    left = [member if place in kept else None for place, member in enumerate(case.members)]
    output, weights = write_out(case.gate, left, case.x)
    folded = TrainableLight(case.gate, left).fold()
    torch.testing.assert_close(folded(case.x), output, **TOLERANCE)
    torch.testing.assert_close(folded.weights(case.x), weights, **TOLERANCE)
    torch.testing.assert_close(TrainableLight(case.gate, left).eval()(case.x), output, **TOLERANCE)


@few
@given(cases(), st.integers(0, 100))
def test_while_training_the_same_dropped_scores_give_the_same_numbers_and_gradients(case, seed):
    trainable = TrainableLight(case.gate, case.members).train()
    results = []
    for form in ("written out", "trainable"):
        torch.manual_seed(seed)  # both forms drop the same scores
        case.gate.zero_grad()
        x = case.x.clone().requires_grad_()
        output = trainable(x) if form == "trainable" else write_out(case.gate, case.members, x)[0]
        (output.square().sum() + case.gate.penalty()).backward()
        results.append([output, x.grad, *(parameter.grad for parameter in case.gate.parameters())])
    for expected, came in zip(*results, strict=True):
        torch.testing.assert_close(came, expected, **TOLERANCE)


def test_a_lower_rank_is_filled_up_with_nothing_even_where_f_of_0_is_not_0():
    """A unit that only fills up gives sigmoid(0) = 0.5: it must reach neither a score nor the output."""
    generator = torch.Generator().manual_seed(0)
    small = Member(down=torch.zeros(1, 2), up=torch.tensor([[2.0]]), activation=torch.sigmoid)
    large = Member(down=torch.zeros(3, 2), up=torch.full((1, 3), -2.0), activation=torch.sigmoid)
    gate = LightGate(LightConfig(width=1), ranks=[1, 3], features_in=2, features_out=1, generator=generator)
    with torch.no_grad():
        for parameter in gate.parameters():
            parameter.fill_(1.0)
    folded = TrainableLight(gate, [small, large]).fold()
    x = torch.zeros(1, 2)
    odds = folded.weights(x)[0, 1] / folded.weights(x)[0, 0]
    assert odds.item() == pytest.approx(torch.e)  # q = 1, scores 0.5 + 1 and 3 · 0.5 + 1
    assert folded(x).item() == pytest.approx((1 - 3 * torch.e) / (1 + torch.e))


def test_the_members_that_stay_keep_their_own_keys_and_gains():
    """The one left out stands before the one that stays, and is of another rank."""
    generator = torch.Generator().manual_seed(0)
    gate = LightGate(LightConfig(width=2), ranks=[2, 1, 1], features_in=1, features_out=1, generator=generator)
    with torch.no_grad():
        gate.query.fill_(1.0)
        gate.key.copy_(torch.tensor([[7.0, 7.0, 1.0, 2.0], [7.0, 7.0, 0.0, 0.0]]))
        gate.gain.copy_(torch.tensor([7.0, 10.0, 100.0]))
    one = Member(down=torch.ones(1, 1), up=torch.ones(1, 1))
    folded = TrainableLight(gate, [None, one, one]).fold()
    share = 1 / (1 + torch.e)  # the scores of x = 1 are 1 and 2
    assert folded.weights(torch.ones(1)).tolist() == pytest.approx([0, share, 1 - share])
    assert folded(torch.ones(1)).item() == pytest.approx(10 * share + 100 * (1 - share))


@pytest.fixture
def plain() -> Case:
    generator = torch.Generator().manual_seed(0)
    members: list[Member | None] = [
        Member(down=torch.randn(rank, 6, generator=generator), up=torch.randn(5, rank, generator=generator))
        for rank in (2, 3)
    ]
    config = LightConfig(width=4, initial_deviation=0.5)
    gate = LightGate(config, ranks=[2, 3], features_in=6, features_out=5, generator=generator)
    return Case(gate=gate, members=members, x=torch.randn(2, 3, 6, generator=generator))


def test_a_gate_saved_and_loaded_gives_the_same_bits(plain):
    other = torch.Generator().manual_seed(1)
    loaded = LightGate(plain.gate.config, ranks=[2, 3], features_in=6, features_out=5, generator=other)
    before = TrainableLight(plain.gate, plain.members).fold()(plain.x)
    assert not torch.equal(TrainableLight(loaded, plain.members).fold()(plain.x), before)
    loaded.load_state_dict(plain.gate.state_dict())
    assert torch.equal(TrainableLight(loaded, plain.members).fold()(plain.x), before)


def test_a_folded_fusion_keeps_its_numbers_when_what_it_was_made_of_changes(plain):
    folded = TrainableLight(plain.gate, plain.members).fold()
    before = folded(plain.x)
    with torch.no_grad():
        for tensor in [*plain.gate.parameters(), *(t for m in plain.members for t in (m.down, m.up))]:
            tensor.zero_()
    assert torch.equal(folded(plain.x), before)


def test_a_folded_fusion_has_nothing_to_train(plain):
    folded = TrainableLight(plain.gate, plain.members).fold()
    assert list(folded.parameters()) == []
    assert not folded(plain.x).requires_grad


def test_training_moves_the_gate_and_nothing_of_the_members(plain):
    weights = [tensor.requires_grad_() for m in plain.members for tensor in (m.down, m.up)]
    trainable = TrainableLight(plain.gate, plain.members)
    names = {"gate.query", "gate.query_bias", "gate.key", "gate.key_bias", "gate.gain"}
    assert set(trainable.state_dict()) == names
    assert {name for name, _ in trainable.named_parameters()} == names
    trainable(plain.x).square().sum().backward()
    assert all(parameter.grad is not None for parameter in trainable.parameters())
    assert all(tensor.grad is None for tensor in weights)
