"""One door for both kinds of gate: AdapterFusion's attention and the light gate.

A gate says how much each member counts, token by token. `trainable` and `folded` put it before its members;
`fixed` puts constant weights in its place:

    y = Σ_k weight_k · V_k (U_k z_k + c_k)        V_k: W_v of the attention, the gain g_k of the light gate
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Generator, Tensor

from fusion.attention import FusionAttention
from fusion.config import FusionConfig, LightConfig
from fusion.folded import FoldedFusion, fold
from fusion.light import LightGate, TrainableLight
from fusion.members import Member, check_members
from fusion.trainable import TrainableFusion

Gate: TypeAlias = FusionAttention | LightGate
GateConfig: TypeAlias = FusionConfig | LightConfig


def fresh_gate(
    config: GateConfig,
    members: Sequence[Member | None],
    *,
    features_in: int,
    features_out: int,
    generator: Generator,
) -> Gate:
    """A gate for these members at one site, as it is before training.

    Its parameters are those of any gate made with the same config, widths and ranks, so a stored `state_dict` fits it.

    Args:
        members: one entry for each member of the fusion, None where it has no weights at this site.

    Raises:
        ValueError: no member acts here, or one has other widths than the site.
    """
    check_members(members, features_in, features_out)
    if isinstance(config, FusionConfig):
        return FusionAttention(config, features_in=features_in, features_out=features_out, generator=generator)
    ranks = [None if member is None else member.rank for member in members]
    return LightGate(config, ranks=ranks, features_in=features_in, features_out=features_out, generator=generator)


def trainable(gate: Gate, members: Sequence[Member | None]) -> TrainableFusion | TrainableLight:
    """One site's fusion with the gate's parameters as its own; the members are copied and frozen.

    Raises:
        ValueError: no member acts here, or one does not fit the gate.
    """
    return TrainableFusion(gate, members) if isinstance(gate, FusionAttention) else TrainableLight(gate, members)


def folded(gate: Gate, members: Sequence[Member | None]) -> FoldedFusion:
    """The same function as the trained fusion's, for inference. None leaves a member out, also one that was trained with.

    Raises:
        ValueError: no member acts here, or one does not fit the gate.
    """
    return fold(gate, members) if isinstance(gate, FusionAttention) else TrainableLight(gate, members).fold()


@torch.no_grad()
def fixed(gate: Gate, members: Sequence[Member | None], weights: Sequence[float]) -> tuple[Member | None, ...]:
    """The members such that the plain sum of their outputs is the fusion with `weights` in place of the softmax.

    The weights are taken as given: they need not add up to 1, and where a member is missing the others do not take over
    its share. None stays None.

    Raises:
        ValueError: a weight is not finite, there are more or fewer than members, a member does not fit the gate, or the
            gate is an attention `with_residual`, whose values are more than a sum over members.
    """
    _check_weights(weights, len(members))
    values = _values_of_light(gate, members) if isinstance(gate, LightGate) else _values_of_attention(gate, members)
    return tuple(
        None if member is None else _through(weight * value, member)
        for weight, value, member in zip(weights, values, members, strict=True)
    )


def _check_weights(weights: Sequence[float], members: int) -> None:
    if len(weights) != members:
        raise ValueError(f"expected one weight for each of {members} members, got {len(weights)}")
    for number, weight in enumerate(weights):
        if not math.isfinite(weight):
            raise ValueError(f"expected finite weights, got {weight} for member {number}")


def _values_of_light(gate: LightGate, members: Sequence[Member | None]) -> list[Tensor]:
    """A number for each member; any where it is missing."""
    gate.check(members)
    gains = iter(gate.gain)
    return [gate.gain[0] if rank is None else next(gains) for rank in gate.ranks]


def _values_of_attention(attention: FusionAttention, members: Sequence[Member | None]) -> list[Tensor]:
    """The same matrix for each member: (out, out)"""
    check_members(members, attention.features_in, attention.features_out)
    if attention.config.with_residual:
        raise ValueError(
            "expected a fusion that reads nothing but its members' outputs, got one with_residual=True; "
            "train it without, to give it fixed weights"
        )
    return [attention.value.weight] * len(members)


def _through(value: Tensor, member: Member) -> Member:
    """The member with its output times a number or a matrix; of the dtype and on the device of that."""

    def multiplied(tensor: Tensor) -> Tensor:
        return value @ tensor.to(value) if value.ndim else value * tensor.to(value)

    return Member(
        down=member.down.detach().to(value),
        down_bias=None if member.down_bias is None else member.down_bias.detach().to(value),
        up=multiplied(member.up),
        up_bias=None if member.up_bias is None else multiplied(member.up_bias),
        activation=member.activation,
    )
