"""One trained fusion's numbers beside two independent computations of the paper's formula.

    o_k = U_k relu(D_k x + d_k) + c_k
    a   = softmax_k((W_q x + b_q) · (W_k o_k + b_k)),   y = Σ_k a_k W_v o_k

Source: Pfeiffer et al., 2021, arXiv:2005.00247, section 3. Once in float64, one token and one member at a time; once by the
`adapters` library's own fusion layer, given the trained matrices and the members' outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.fusion_speed_ours import FOLDED, TRAINABLE, Blend, Learning, blend_of, plan_of, random_members
from fusion.attention import FusionAttention
from fusion.members import Member
from portfolio.hosting.base import Base
from portfolio.hosting.encode import Batch
from portfolio.hosting.host import Host

LEARNING_RATE = 2e-3  # higher than in practice, so that few steps lead far from the start
Library = Callable[[dict[str, np.ndarray]], np.ndarray]  # see `Peer.blend`


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far the numbers are apart, over all sites and tokens."""

    steps: int  # of training on random labels
    values: int  # numbers compared
    largest_output: float  # in magnitude, of the fusion
    value_moved: float  # ‖W_v − I‖, the mean over sites; 0 before training
    largest_weight: float  # of a token, the mean over tokens; 1 / members before training
    folded: float  # largest difference between the folded form and the formula in float64
    trainable: float  # the same of the form for training
    library: float  # the same of the library's layer
    folded_library: float  # largest difference between the folded form and the library's layer


class _Recorder:
    """A blend that keeps what it read and what it made."""

    def __init__(self, blend: Blend) -> None:
        self._blend = blend
        self.read = self.made = torch.empty(0)

    def __call__(self, x: Tensor) -> Tensor:
        self.read, self.made = x, self._blend(x)
        return self.made


def agreement(
    base: Base, batch: Batch, labels: Tensor, *, members: int, steps: int, rows: int, library: Library
) -> Agreement:
    """Train a fusion in all blocks and compare what it makes, at every site, of the first rows of the batch."""
    host = Host(base, trunk=0)
    blended = random_members(host, members)
    learning = Learning(host, blended, TRAINABLE)
    training = learning.training(batch, labels, learning_rate=LEARNING_RATE)
    for _ in range(steps):
        training.step()
    attentions = [_attention(gate) for gate in learning.gates.values()]
    sites = list(blended.values())
    recorders = {key: _Recorder(blend_of(FOLDED, learning.gates[key], here)) for key, here in blended.items()}
    with torch.no_grad():
        host.run(batch.select(torch.arange(rows)), plan_of(recorders))
        read = [recorder.read for recorder in recorders.values()]  # each (rows, time, d)
        folded = torch.stack([recorder.made for recorder in recorders.values()])
        trainable = torch.stack(
            [blend_of(TRAINABLE, one.eval(), here)(x) for one, here, x in zip(attentions, sites, read, strict=True)]
        )
        exact, weights = map(
            torch.stack,
            zip(*[by_formula(one, here, x) for one, here, x in zip(attentions, sites, read, strict=True)], strict=True),
        )
        theirs = torch.from_numpy(library(_for_library(attentions, sites, read)))
        moved = [(one.value.weight - torch.eye(len(one.value.weight))).norm().item() for one in attentions]
    return Agreement(
        steps=steps,
        values=exact.numel(),
        largest_output=exact.abs().max().item(),
        value_moved=sum(moved) / len(moved),
        largest_weight=weights.max(-1).values.mean().item(),
        folded=_apart(folded, exact),
        trainable=_apart(trainable, exact),
        library=_apart(theirs, exact),
        folded_library=_apart(folded, theirs),
    )


def by_formula(attention: FusionAttention, members: Sequence[Member], x: Tensor) -> tuple[Tensor, Tensor]:
    """The fusion's output (..., out) and weights (..., members) in float64, as the formula reads: slow."""
    w_q, b_q = attention.query.weight.double(), attention.query.bias.double()
    w_k, b_k = attention.key.weight.double(), attention.key.bias.double()
    w_v = attention.value.weight.double()
    doubled = [[t.double() for t in _tensors(member)] for member in members]
    outputs, weights = [], []
    for token in x.double().flatten(0, -2):
        blended = [up @ (down @ token + down_bias).clamp(min=0) + up_bias for down, down_bias, up, up_bias in doubled]
        query = w_q @ token + b_q
        scores = [float(query @ (w_k @ output + b_k)) for output in blended]
        shares = [math.exp(score - max(scores)) for score in scores]
        a = [share / sum(shares) for share in shares]
        total = torch.zeros_like(w_v[:, 0])
        for weight, output in zip(a, blended, strict=True):
            total = total + weight * (w_v @ output)
        outputs.append(total)
        weights.append(torch.tensor(a, dtype=torch.float64))
    return torch.stack(outputs).view(*x.shape[:-1], -1), torch.stack(weights).view(*x.shape[:-1], -1)


def _tensors(member: Member) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    assert member.down_bias is not None and member.up_bias is not None
    return member.down, member.down_bias, member.up, member.up_bias


def _for_library(
    attentions: Sequence[FusionAttention], sites: Sequence[Sequence[Member]], read: Sequence[Tensor]
) -> dict[str, np.ndarray]:
    """Matrices, inputs and members' outputs of all sites, float32."""
    states: list[Mapping[str, Tensor]] = [attention.state_dict() for attention in attentions]
    outputs = [torch.stack([one.output(x) for one in here], dim=-2) for here, x in zip(sites, read, strict=True)]
    numbers = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    numbers |= {"x": torch.stack(list(read)), "outputs": torch.stack(outputs)}
    return {name: tensor.numpy() for name, tensor in numbers.items()}


def _attention(gate: object) -> FusionAttention:
    assert isinstance(gate, FusionAttention)
    return gate


def _apart(one: Tensor, other: Tensor) -> float:
    return (one.double() - other.double()).abs().max().item()
