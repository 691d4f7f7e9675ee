"""The one training loop of all references, so that they differ in what they learn from and not in how.

AdamW with linear warm-up and decay over the rows of one task (or of all of them, for a joint method), gradients clipped, the
head at a rate of its own: weight decay, warm-up, clip and the head's rate are the defaults with which the portfolio trains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from portfolio.compare.contestant import Settings
from portfolio.compare.trainee import Trainee, best_of, copied_tensors, logits_of_all, put_back
from portfolio.compare.world import World
from portfolio.errors import TrainingDiverged
from portfolio.records import UNKNOWN_LABEL
from portfolio.running import Labelled
from portfolio.training import TrainingConfig, shuffled_batches, warm_up_and_decay

_DEFAULTS = TrainingConfig()

Loss = Callable[[Sequence[int]], Tensor]  # of these rows of the lesson, as one number


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lesson:
    """What a reference learns from at one time."""

    number: int  # of the task, or of the last of them
    rows: Labelled  # their labels are numbers of classes
    known: tuple[int, ...]  # classes up to now, with those of this lesson
    earlier: tuple[int, ...]  # classes of the tasks before it
    settings: Settings

    def generator(self, purpose: str) -> np.random.Generator:
        """Of its own for every seed, lesson and purpose, so that none has to be kept."""
        return np.random.default_rng([self.settings.seed, self.number, *purpose.encode()])

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Among the known classes alone. Args: logits: (rows, classes of the world); labels: (rows,)."""
        known = masked(logits, self.known)
        return functional.cross_entropy(known, labels.to(logits.device), ignore_index=UNKNOWN_LABEL)

    def score(self, logits: Tensor, labels: Tensor) -> tuple[float, float]:
        """Accuracy in [0, 1], then minus the mean loss, which decides between equal accuracies; all on the CPU."""
        right = best_of(logits, self.known) == labels.numpy()
        return float(right.mean()), -self.cross_entropy(logits, labels).item()


def lesson_of(world: World, number: int, settings: Settings) -> Lesson:
    """The task of that number."""
    return Lesson(
        number=number,
        rows=world.tasks[number].train,
        known=world.known_classes(number + 1),
        earlier=world.known_classes(number),
        settings=settings,
    )


def masked(logits: Tensor, classes: Sequence[int]) -> Tensor:
    """(rows, classes of the world): minus infinity for all others, so that they get no probability and no gradient."""
    others = torch.ones(logits.shape[1], dtype=torch.bool)
    others[list(classes)] = False
    return logits.masked_fill(others.to(logits.device), -math.inf)


def plain_loss(trainee: Trainee, lesson: Lesson) -> Loss:
    """Cross-entropy of the lesson's rows."""

    def loss(rows: Sequence[int]) -> Tensor:
        logits = trainee.logits(lesson.rows.prepared, rows, training=True)
        return lesson.cross_entropy(logits, lesson.rows.labels[list(rows)])

    return loss


def train(trainee: Trainee, lesson: Lesson, loss: Loss, judging: Labelled | None = None) -> None:
    """So many epochs over the lesson. Same seed, machine and thread count: same bits.

    Args:
        judging: rows whose accuracy chooses the epoch that is kept; by default it is the last.

    Raises:
        TrainingDiverged: a loss was not finite; the trainee is of no use any more.
    """
    settings, order = lesson.settings, lesson.generator("order")
    named = list(trainee.tensors().values())
    tensors = [tensor.requires_grad_() for tensor in named]
    optimizer = torch.optim.AdamW(
        [
            {"params": tensors[:-2], "lr": settings.rate},
            {"params": tensors[-2:], "lr": _DEFAULTS.head_learning_rate},
        ],
        weight_decay=_DEFAULTS.weight_decay,
        fused=True,
    )
    total = settings.epochs * math.ceil(len(lesson.rows.prepared) / settings.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, warm_up_and_decay(total, _DEFAULTS.warmup))
    best, best_score = None, (-1.0, -math.inf)
    drawing = [tensors[0].device] if tensors[0].device.type == "cuda" else []
    with torch.random.fork_rng(devices=drawing):
        torch.manual_seed(int(lesson.generator("dropout").integers(2**63)))
        for _ in range(settings.epochs):
            for rows in shuffled_batches(lesson.rows.prepared, settings.batch_size, order):
                optimizer.zero_grad()
                value = loss(rows)
                if not math.isfinite(value.item()):
                    raise TrainingDiverged(
                        f"expected a finite loss, got {value.item()} at learning rate {settings.rate:g}; try a lower one"
                    )
                value.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(tensors, _DEFAULTS.clip)
                optimizer.step()
                schedule.step()
            if judging is not None:
                score = lesson.score(logits_of_all(trainee, judging.prepared), judging.labels)
                if score > best_score:
                    best, best_score = copied_tensors(trainee), score
    optimizer.zero_grad()  # gradients of a whole base take as much memory as the base
    if best is not None:
        put_back(trainee, best)
