"""How a light gate starts, what keeps its gains near 1, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fusion.config import LightConfig
from fusion.light import LightGate, TrainableLight
from fusion.members import Member


def build_gate(ranks: list[int | None], width: int = 3, seed: int = 0, config: LightConfig | None = None) -> LightGate:
    generator = torch.Generator().manual_seed(seed)
    return LightGate(config or LightConfig(), ranks=ranks, features_in=width, features_out=2, generator=generator)


def member(rank: int = 1, width: int = 3) -> Member:
    return Member(down=torch.ones(rank, width), up=torch.ones(2, rank))


def test_queries_and_keys_start_small_and_gains_at_1():
    gate = build_gate([100, 100], width=200)
    for weight in (gate.query, gate.key):
        assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert (gate.query_bias == 0).all()
    assert (gate.key_bias == 0).all()
    assert gate.gain.tolist() == [1, 1]


def test_a_gate_learns_a_query_and_for_each_acting_member_a_key_and_a_gain():
    gate = build_gate([4, None, 2], width=10, config=LightConfig(width=5))
    assert sum(parameter.numel() for parameter in gate.parameters()) == 5 * (10 + 1) + 5 * (4 + 1) + 1 + 5 * (2 + 1) + 1


def test_a_fusion_starts_near_the_plain_average():
    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    generator = torch.Generator().manual_seed(0)
    members = [Member(down=normal(2, 3), up=normal(2, 2), activation=torch.relu) for _ in range(4)]
    x = normal(5, 3)
    average = torch.stack([m.output(x) for m in members]).mean(0)
    output = TrainableLight(build_gate([2] * 4), members)(x)
    torch.testing.assert_close(output, average, rtol=0, atol=0.02)
    assert not torch.equal(output, average)


def test_the_penalty_is_the_squared_distance_of_the_gains_from_1():
    gate = build_gate([1, 1], config=LightConfig(regulariser=0.5))
    assert gate.penalty().item() == 0
    with torch.no_grad():
        gate.gain.copy_(torch.tensor([3.0, 0.0]))
    gate.penalty().backward()
    assert gate.penalty().item() == 2.5  # 0.5 · (2² + 1²)
    assert gate.gain.grad is not None
    assert gate.gain.grad.tolist() == [2, -1]


def test_the_same_seed_gives_the_same_start_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    first, again, other = build_gate([2]), build_gate([2]), build_gate([2], seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.key, again.key)
    assert not torch.equal(first.key, other.key)


def test_all_settings_that_cannot_be_are_named_together():
    with pytest.raises(ValueError) as caught:
        LightConfig(width=0, dropout=1.0, regulariser=float("inf"), initial_deviation=-1.0)
    assert "width must be 1 or more, got 0" in str(caught.value)
    assert "dropout must be in [0, 1), got 1.0" in str(caught.value)
    assert "regulariser must be 0 or more and finite, got inf" in str(caught.value)
    assert "initial_deviation must be 0 or more and finite, got -1.0" in str(caught.value)


def test_a_site_where_nobody_acts_gets_no_gate():
    with pytest.raises(ValueError, match="got none in 2; build no gate where nobody acts"):
        build_gate([None, None])


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([None, None, None], "got none in 3; build no fusion where nobody acts"),
        ([member(1), None], "expected 3 members, as this gate was made for, got 2; put None in the place"),
        ([member(2), None, member(2)], "expected one of rank 1 in place 0, .* got one of rank 2"),
        ([member(1), member(4), member(2)], "expected no member in place 1, .* got one of rank 4"),
        ([member(1), None, member(2, width=7)], "expected members from 3 to 2 features, got member 2 from 7 to 2"),
    ],
)
def test_members_that_the_gate_was_not_made_for_are_refused(members, said):
    with pytest.raises(ValueError, match=said):
        TrainableLight(build_gate([1, None, 2]), members)


def test_an_input_of_another_width_is_refused():
    with pytest.raises(ValueError, match=r"expected x of shape \(\.\.\., 3\), got \(5, 4\)"):
        TrainableLight(build_gate([1]), [member()])(torch.ones(5, 4))


def test_members_of_another_dtype_are_brought_to_the_gates():
    folded = TrainableLight(build_gate([1]).double(), [member()]).fold()
    assert folded(torch.ones(1, 3, dtype=torch.float64)).dtype == torch.float64
