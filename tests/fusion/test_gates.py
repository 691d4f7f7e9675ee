"""Both kinds of gate behind one door: made, trained, folded, and with constant weights in the place of the softmax."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fusion.attention import FusionAttention
from fusion.config import FusionConfig, LightConfig
from fusion.gates import Gate, GateConfig, fixed, folded, fresh_gate, trainable
from fusion.light import LightGate
from fusion.members import Member

KINDS = [FusionConfig(initial_deviation=0.5), LightConfig(initial_deviation=0.5)]
every_kind = pytest.mark.parametrize("config", KINDS, ids=["attention", "light"])


def build_members(seed: int = 0) -> list[Member | None]:
    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    generator = torch.Generator().manual_seed(seed)
    bottleneck = Member(
        down=normal(3, 5), down_bias=normal(3), up=normal(4, 3), up_bias=normal(4), activation=torch.sigmoid
    )
    return [bottleneck, None, Member(down=normal(2, 5), up=normal(4, 2))]


def build_gate(config: GateConfig, members: list[Member | None], seed: int = 0) -> Gate:
    generator = torch.Generator().manual_seed(seed)
    gate = fresh_gate(config, members, features_in=5, features_out=4, generator=generator).double()
    with torch.no_grad():
        for parameter in gate.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))
    return gate


def values(gate: Gate, place: int, output: Tensor) -> Tensor:
    """What the gate makes of a member's output."""
    if isinstance(gate, FusionAttention):
        return output @ gate.value.weight.T
    return gate.gain[{0: 0, 2: 1}[place]] * output


def test_the_config_decides_the_kind():
    assert isinstance(build_gate(FusionConfig(), build_members()), FusionAttention)
    light = build_gate(LightConfig(), build_members())
    assert isinstance(light, LightGate)
    assert light.ranks == (3, None, 2)


@every_kind
def test_a_stored_gate_fits_a_fresh_one_and_gives_the_same_bits(config):
    members, x = build_members(), torch.ones(2, 5, dtype=torch.float64)
    gate, other = build_gate(config, members), build_gate(config, members, seed=1)
    other.load_state_dict(gate.state_dict())
    assert torch.equal(folded(other, members)(x), folded(gate, members)(x))


@every_kind
def test_what_is_trained_is_the_gate_alone(config):
    members = build_members()
    gate = build_gate(config, members)
    fusion = trainable(gate, members)
    assert [id(parameter) for parameter in fusion.parameters()] == [id(parameter) for parameter in gate.parameters()]
    fusion(torch.ones(2, 5, dtype=torch.float64)).sum().backward()
    assert all(parameter.grad is not None for parameter in gate.parameters())


@every_kind
def test_the_folded_fusion_is_the_trained_one(config):
    members = build_members()
    x = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gate = build_gate(config, members)
    torch.testing.assert_close(folded(gate, members)(x), trainable(gate, members).eval()(x), rtol=1e-10, atol=1e-10)


@every_kind
def test_a_member_left_out_leaves_its_weight_to_the_others(config):
    members = build_members()
    gate = build_gate(config, members)
    x = torch.ones(2, 5, dtype=torch.float64)
    left = folded(gate, [None, None, members[2]])
    assert left.weights(x).tolist() == [[0, 0, 1]] * 2
    torch.testing.assert_close(left(x), values(gate, 2, members[2].output(x)))


@every_kind
@settings(max_examples=25, deadline=None)
@given(weights=st.lists(st.floats(-3, 3), min_size=3, max_size=3), seed=st.integers(0, 100))
def test_fixed_weights_make_members_whose_sum_is_the_weighted_sum_of_values(config, weights, seed):
    members = build_members(seed)
    gate = build_gate(config, members, seed)
    x = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    made = fixed(gate, members, weights)
    expected = sum(weights[place] * values(gate, place, members[place].output(x)) for place in (0, 2))
    assert made[1] is None
    torch.testing.assert_close(made[0].output(x) + made[2].output(x), expected, rtol=1e-10, atol=1e-10)


@every_kind
def test_fixed_weights_of_the_softmax_at_a_token_give_the_fusion_at_that_token(config):
    members = build_members()
    gate = build_gate(config, members)
    x = torch.randn(5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fusion = folded(gate, members)
    made = fixed(gate, members, fusion.weights(x).tolist())
    torch.testing.assert_close(sum(member.output(x) for member in made if member), fusion(x), rtol=1e-10, atol=1e-10)


@every_kind
def test_a_share_of_a_missing_member_goes_to_nobody(config):
    members = build_members()
    gate = build_gate(config, members)
    x = torch.ones(5, dtype=torch.float64)
    whole, alone = fixed(gate, members, [0.3, 0.3, 0.4]), fixed(gate, [None, None, members[2]], [0.3, 0.3, 0.4])
    assert alone[:2] == (None, None)
    assert torch.equal(alone[2].output(x), whole[2].output(x))


@every_kind
def test_members_with_fixed_weights_are_constants_of_the_gates_dtype(config):
    members = [Member(down=torch.ones(1, 5).requires_grad_(), up=torch.ones(4, 1), up_bias=torch.ones(4))]
    (made,) = fixed(build_gate(config, members), members, [1.0])
    for tensor in (made.down, made.up, made.up_bias):
        assert tensor.dtype == torch.float64
        assert not tensor.requires_grad


@every_kind
@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([0.5, 0.5], "expected one weight for each of 3 members, got 2"),
        ([0.5, 0.0, float("nan")], "expected finite weights, got nan for member 2"),
    ],
)
def test_weights_that_do_not_fit_are_refused(config, weights, said):
    members = build_members()
    with pytest.raises(ValueError, match=said):
        fixed(build_gate(config, members), members, weights)


@every_kind
def test_a_site_where_nobody_acts_gets_no_gate(config):
    with pytest.raises(ValueError, match="got none in 1; build no fusion where nobody acts"):
        fresh_gate(config, [None], features_in=5, features_out=4, generator=torch.Generator())


@every_kind
def test_a_member_of_another_width_is_refused(config):
    members = build_members()
    stranger: list[Member | None] = [Member(down=torch.ones(3, 6), up=torch.ones(4, 3)), None, None]
    gate = build_gate(config, members)
    for door in (trainable, folded, lambda gate, members: fixed(gate, members, [1.0, 0.0, 0.0])):
        with pytest.raises(ValueError, match="expected members from 5 to 4 features, got member 0 from 6 to 4"):
            door(gate, stranger)


def test_fixed_weights_are_refused_where_values_hold_the_residual():
    members = build_members()
    gate = build_gate(FusionConfig(with_residual=True), members)
    with pytest.raises(ValueError, match="got one with_residual=True; train it without"):
        fixed(gate, members, [1.0, 0.0, 0.0])
