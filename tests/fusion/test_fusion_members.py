"""What a member says by itself, what is refused, and what stays as it was."""

from __future__ import annotations

import pytest
import torch

from fusion.attention import FusionAttention
from fusion.config import FusionConfig
from fusion.folded import fold
from fusion.members import Member
from fusion.trainable import TrainableFusion
from fusion.written_out import blend_written_out


def build_attention(features_in: int = 3, features_out: int = 2, *, with_residual: bool = False) -> FusionAttention:
    config = FusionConfig(with_residual=with_residual)
    generator = torch.Generator().manual_seed(0)
    return FusionAttention(config, features_in=features_in, features_out=features_out, generator=generator)


def member(rank: int = 1) -> Member:
    return Member(down=torch.ones(rank, 3), up=torch.ones(2, rank))


FORMS = {
    "written out": blend_written_out,
    "trainable": lambda attention, members, x, residual: TrainableFusion(attention, members)(x, residual),
    "folded": lambda attention, members, x, residual: fold(attention, members)(x, residual),
}
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())


def test_a_bottleneck_says_u_f_of_d_x_with_both_biases():
    bottleneck = Member(
        down=torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
        down_bias=torch.tensor([1.0, -5.0]),
        up=torch.tensor([[2.0, 2.0]]),
        up_bias=torch.tensor([0.5]),
        activation=torch.relu,
    )
    assert bottleneck.output(torch.tensor([3.0, 4.0])).tolist() == [8.5]  # 2 · (3 + 1) + 2 · max(0, 4 - 5) + 0.5


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ({"down": (2, 3), "up": (4, 1)}, r"down \(rank, in\) and up \(out, rank\), got \(2, 3\) and \(4, 1\)"),
        ({"down": (2, 3, 1), "up": (4, 2)}, r"got \(2, 3, 1\) and \(4, 2\)"),
        ({"down": (0, 3), "up": (4, 0)}, r"got \(0, 3\) and \(4, 0\)"),
        ({"down": (2, 3), "up": (4, 2), "down_bias": (4,)}, r"down_bias of shape \(2,\), got \(4,\)"),
        ({"down": (2, 3), "up": (4, 2), "up_bias": (2,)}, r"up_bias of shape \(4,\), got \(2,\)"),
    ],
)
def test_weights_that_do_not_fit_each_other_make_no_member(shapes, said):
    with pytest.raises(ValueError, match=said):
        Member(**{name: torch.zeros(shape) for name, shape in shapes.items()})


@every_form
def test_a_site_where_nobody_acts_gets_no_fusion(form):
    with pytest.raises(ValueError, match="got none in 2; build no fusion where nobody acts"):
        form(build_attention(), [None, None], torch.ones(1, 3), None)


@every_form
def test_a_member_of_another_width_is_refused_by_number(form):
    stranger = Member(down=torch.ones(1, 7), up=torch.ones(2, 1))
    with pytest.raises(ValueError, match="expected members from 3 to 2 features, got member 2 from 7 to 2"):
        form(build_attention(), [member(), None, stranger], torch.ones(1, 3), None)


@every_form
def test_an_input_of_another_width_is_refused(form):
    with pytest.raises(ValueError, match=r"expected x of shape \(\.\.\., 3\), got \(5, 4\)"):
        form(build_attention(), [member()], torch.ones(5, 4), None)


@every_form
def test_a_residual_that_the_config_asks_for_must_come(form):
    with pytest.raises(ValueError, match="expected a residual, as this fusion has with_residual=True; got none"):
        form(build_attention(with_residual=True), [member()], torch.ones(1, 3), None)


@every_form
def test_a_residual_that_the_config_does_not_ask_for_must_not_come(form):
    with pytest.raises(ValueError, match=r"expected no residual, .* got one of shape \(1, 2\)"):
        form(build_attention(), [member()], torch.ones(1, 3), torch.ones(1, 2))


@every_form
def test_a_residual_of_another_shape_is_refused(form):
    with pytest.raises(ValueError, match=r"expected a residual of shape \(4, 2\), got \(1, 2\)"):
        form(build_attention(with_residual=True), [member()], torch.ones(4, 3), torch.ones(1, 2))


def test_training_moves_the_attention_and_nothing_of_the_members():
    members = [member(rank=1), None, member(rank=4)]
    weights = [tensor.requires_grad_() for m in members if m is not None for tensor in (m.down, m.up)]
    trainable = TrainableFusion(build_attention(), members)
    assert set(trainable.state_dict()) == {
        "attention.query.weight",
        "attention.query.bias",
        "attention.key.weight",
        "attention.key.bias",
        "attention.value.weight",
    }
    trainable(torch.randn(5, 3, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    assert all(parameter.grad is not None for parameter in trainable.parameters())
    assert all(tensor.grad is None for tensor in weights)


def test_a_folded_fusion_has_nothing_to_train():
    folded = fold(build_attention(), [member()])
    assert list(folded.parameters()) == []
    assert not folded(torch.ones(1, 3)).requires_grad


def test_members_of_another_dtype_are_brought_to_the_attentions():
    folded = fold(build_attention().double(), [member()])
    assert folded(torch.ones(1, 3, dtype=torch.float64)).dtype == torch.float64
