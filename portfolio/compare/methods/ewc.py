"""Online elastic weight consolidation: what mattered for earlier tasks is held near where it was.

    L(θ) = L_t(θ) + λ/2 Σ_i F̃_i (θ_i − θ*_i)²        θ*: after the task before
    F̃ ← γ F̃ + F,   F_i = mean over rows x of (∂ log P(y | x) / ∂θ_i)²,  y drawn from P(· | x)

Kirkpatrick et al., 2017, arXiv:1612.00796, equation 3; with one running F̃: Schwarz et al., 2018, Progress & compress,
arXiv:1805.06370, section 4. F is that of at most FISHER_ROWS rows, one gradient each. λ is fixed, as only learning rates
are searched for: published comparisons take 10² to 10⁹, by data set; γ = 1, nothing is let go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from portfolio.compare.contestant import Keeps, Method
from portfolio.compare.in_turn import ADAPTER_RATES, FULL_RATES, adapter_of, in_turn, whole_base_of
from portfolio.compare.loop import Lesson, Loss, masked, plain_loss
from portfolio.compare.trainee import Trainee, copied_tensors
from portfolio.compare.world import World

STRENGTH = 5000.0  # λ
DECAY = 1.0  # γ
FISHER_ROWS = 200
_SOURCE = "Kirkpatrick et al., 2017, arXiv:1612.00796; Schwarz et al., 2018, arXiv:1805.06370"


class OnlineEwc:
    """The running importances, and where the weights stood."""

    def __init__(self, world: World) -> None:
        self._device = world.host.device
        self._importance: dict[str, Tensor] = {}  # F̃, by name of a tensor
        self._anchor: dict[str, Tensor] = {}  # θ*

    def loss(self, trainee: Trainee, lesson: Lesson) -> Loss:
        plain = plain_loss(trainee, lesson)
        if not self._anchor:
            return plain

        def loss(rows: Sequence[int]) -> Tensor:
            return plain(rows) + self.penalty(trainee.tensors())

        return loss

    def penalty(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """λ/2 Σ_i F̃_i (θ_i − θ*_i)²"""
        held = [
            (self._importance[name] * (tensors[name] - anchor).square()).sum() for name, anchor in self._anchor.items()
        ]
        total: Tensor = STRENGTH / 2 * torch.stack(held).sum()
        return total

    def end(self, trainee: Trainee, lesson: Lesson) -> None:
        for name, fisher in diagonal_fisher(trainee, lesson).items():
            before = self._importance.get(name)
            self._importance[name] = fisher if before is None else DECAY * before + fisher
        self._anchor = copied_tensors(trainee)

    def keeps(self) -> Keeps:
        kept = [*self._importance.values(), *self._anchor.values()]
        return Keeps(parameters=0, numbers=sum(tensor.numel() for tensor in kept), texts=0)

    def state(self) -> dict[str, Tensor]:
        importances = {f"importance {name}": tensor.clone() for name, tensor in self._importance.items()}
        return importances | {f"anchor {name}": tensor.clone() for name, tensor in self._anchor.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        for name, tensor in state.items():
            kind, _, of = name.partition(" ")
            (self._importance if kind == "importance" else self._anchor)[of] = tensor.to(self._device, copy=True)


def diagonal_fisher(trainee: Trainee, lesson: Lesson) -> dict[str, Tensor]:
    """F, by name of a tensor: over rows of the lesson, drawn with its seed; their labels are drawn, not read."""
    draw = lesson.generator("fisher")
    count = min(FISHER_ROWS, len(lesson.rows.prepared))
    rows = draw.choice(len(lesson.rows.prepared), size=count, replace=False)
    labels = torch.Generator().manual_seed(int(draw.integers(2**63)))
    tensors = trainee.tensors()
    fisher = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
    for row in rows.tolist():
        logits = masked(trainee.logits(lesson.rows.prepared, [row], training=False), lesson.known)
        log_probabilities = torch.log_softmax(logits[0], dim=0)
        label = int(torch.multinomial(log_probabilities.detach().cpu().exp(), 1, generator=labels))
        gradients = torch.autograd.grad(log_probabilities[label], list(tensors.values()), allow_unused=True)
        for squares, gradient in zip(fisher.values(), gradients, strict=True):
            if gradient is not None:
                squares += gradient.square() / count
    return fisher


EWC = Method(
    name="ewc",
    words="one adapter under online EWC",
    source=_SOURCE,
    is_joint=False,
    knows_task=False,
    rates=ADAPTER_RATES,
    begin=in_turn(adapter_of, OnlineEwc),
)
EWC_FULL = Method(
    name="ewc-full",
    words="all weights under online EWC",
    source=_SOURCE,
    is_joint=False,
    knows_task=False,
    rates=FULL_RATES,
    begin=in_turn(whole_base_of, OnlineEwc),
)
