"""Learning without forgetting: on the new task's rows, the earlier classes are to be told apart as before.

    L = −log P(y | x) − λ Σ_{c of earlier tasks} p'_c log q'_c
    p' ∝ exp(z⁰_c / T),  q' ∝ exp(z_c / T)        z⁰: the logits of the earlier model, recorded before the first step

Li and Hoiem, 2016, arXiv:1606.09282, equations 1 to 3; T = 2 and λ = 1 as there. In the paper each earlier task has a
softmax of its own and the task is told; here the earlier classes share one, as all classes compete in class-incremental
answers. The paper's warm-up of the new head alone is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from portfolio.compare.contestant import Keeps, Method
from portfolio.compare.in_turn import ADAPTER_RATES, FULL_RATES, adapter_of, in_turn, whole_base_of
from portfolio.compare.loop import Lesson, Loss, plain_loss
from portfolio.compare.trainee import Trainee, logits_of_all
from portfolio.compare.world import World

TEMPERATURE = 2.0  # T
STRENGTH = 1.0  # λ
_SOURCE = "Li and Hoiem, 2016, arXiv:1606.09282"


class Distillation:
    """Keeps nothing from task to task: the earlier model is the trainee before the task's first step."""

    def __init__(self, world: World) -> None: ...

    def loss(self, trainee: Trainee, lesson: Lesson) -> Loss:
        if not lesson.earlier:
            return plain_loss(trainee, lesson)
        data, earlier = lesson.rows, list(lesson.earlier)
        recorded = logits_of_all(trainee, data.prepared)[:, earlier]

        def loss(rows: Sequence[int]) -> Tensor:
            logits = trainee.logits(data.prepared, rows, training=True)
            new = lesson.cross_entropy(logits, data.labels[list(rows)])
            before = recorded[list(rows)].to(logits.device)
            return new + STRENGTH * distillation(before, logits[:, earlier])

        return loss

    def end(self, trainee: Trainee, lesson: Lesson) -> None: ...

    def keeps(self) -> Keeps:
        return Keeps(parameters=0, numbers=0, texts=0)

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None: ...


def distillation(before: Tensor, now: Tensor) -> Tensor:
    """−Σ_c p'_c log q'_c, the mean over rows. Args: logits (rows, earlier classes)."""
    return functional.cross_entropy(now / TEMPERATURE, torch.softmax(before / TEMPERATURE, dim=1))


LWF = Method(
    name="lwf",
    words="one adapter, learning without forgetting",
    source=_SOURCE,
    is_joint=False,
    knows_task=False,
    rates=ADAPTER_RATES,
    begin=in_turn(adapter_of, Distillation),
)
LWF_FULL = Method(
    name="lwf-full",
    words="all weights, learning without forgetting",
    source=_SOURCE,
    is_joint=False,
    knows_task=False,
    rates=FULL_RATES,
    begin=in_turn(whole_base_of, Distillation),
)
