"""Train an adapter, or whatever else learns above a frozen base, with its head.

The story: the trunk's states are made once; the head begins as the best linear classifier of the features below it, the
learner as (nearly) what changes nothing; then AdamW with linear warm-up and decay, clipped gradients, early stopping on
validation accuracy, best weights kept. If the loss explodes, all begins again at half the learning rate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from portfolio.errors import TrainingDiverged, require
from portfolio.hosting.encode import cut_by_padding
from portfolio.hosting.host import Host
from portfolio.hosting.trunk import Prepared
from portfolio.hosting.weights import AdapterWeights
from portfolio.learners import AdapterLearner, Learner, fresh_adapter
from portfolio.methods.config import AdapterConfig
from portfolio.records import UNKNOWN_LABEL
from portfolio.running import Labelled, features_under, logits_of, run_rows

RESTARTS = 3
BUCKET = 16  # batches whose rows are sorted by length together
PART_TOKENS = 40  # a pass of its own for a part of a batch takes as long as so many tokens do, on the CPU

L = TypeVar("L", bound=Learner)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How an adapter learns. The defaults were chosen on validation data: docs/decisions/."""

    epochs: int = 10  # at most
    patience: int = 4  # epochs without a better validation score before it stops
    batch_size: int = 32
    accumulation: int = 1  # batches whose gradients make one step, so that small batches learn like a large one
    learning_rate: float = 3e-3
    head_learning_rate: float = 1e-2
    weight_decay: float = 0.01
    warmup: float = 0.1  # share of all steps
    clip: float = 1.0  # largest norm of the gradient
    averaging: float = 0.98  # of the running mean of the weights that is judged and kept; 0 for the weights themselves
    cache_bytes: int = 2 << 30  # of trunk states kept
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.epochs >= 1, f"epochs must be 1 or more, got {self.epochs}")
        require(self.patience >= 1, f"patience must be 1 or more, got {self.patience}")
        require(self.batch_size >= 1, f"batch size must be 1 or more, got {self.batch_size}")
        require(self.accumulation >= 1, f"accumulation must be 1 or more, got {self.accumulation}")
        require(self.learning_rate > 0, f"learning rate must be above 0, got {self.learning_rate}")
        require(self.head_learning_rate >= 0, f"head learning rate must be 0 or more, got {self.head_learning_rate}")
        require(self.weight_decay >= 0, f"weight decay must be 0 or more, got {self.weight_decay}")
        require(0 <= self.warmup < 1, f"warmup must be in [0, 1), a share of all steps; got {self.warmup}")
        require(self.clip > 0, f"clip must be above 0, got {self.clip}")
        require(0 <= self.averaging < 1, f"averaging must be in [0, 1), got {self.averaging}")
        require(self.cache_bytes >= 0, f"cache bytes must be 0 or more, got {self.cache_bytes}")


class Progress(Protocol):
    """What is told of a training, as it goes."""

    def prepared(self, rows: int) -> None:
        """After so many more rows went through the bare base."""

    def step(self, *, done: int, total: int, loss: float, score: float | None) -> None:
        """After each step; `score` is the last validation accuracy."""

    def say(self, message: str) -> None:
        """Something a user should know, such as a restart."""


class Silent:
    """Progress that nobody watches."""

    def prepared(self, rows: int) -> None: ...

    def step(self, *, done: int, total: int, loss: float, score: float | None) -> None: ...

    def say(self, message: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained(Generic[L]):
    """What was trained, and how it went."""

    learner: L
    validation_score: float  # accuracy in [0, 1]
    epochs: int  # run, also after the best
    seconds: float
    notes: tuple[str, ...]


class _Exploded(Exception):
    """The loss is NaN, or far above where it began."""


def train_adapter(
    host: Host,
    config: AdapterConfig,
    train: Labelled,
    validation: Labelled,
    label_count: int,
    training: TrainingConfig,
    progress: Progress | None = None,
    below: AdapterWeights | None = None,
) -> Trained[AdapterLearner]:
    """A new adapter and its head, the base untouched. Same seed, machine and thread count: same bits.

    Args:
        below: an adapter that the new one stands on; it stays as it is.

    Raises:
        ConfigError: the config fits no site of this base.
        TrainingDiverged: the loss exploded in every attempt.
    """

    def begin(judging: Labelled) -> AdapterLearner:
        return fresh_adapter(host, config, train, judging, label_count, training.seed, below)

    return train_learner(host, begin, train, validation, training, progress)


def train_learner(
    host: Host,
    begin: Callable[[Labelled], L],
    train: Labelled,
    validation: Labelled,
    training: TrainingConfig,
    progress: Progress | None = None,
) -> Trained[L]:
    """The best state of a learner on validation.

    Args:
        begin: makes the learner as it is before training, given the rows that will judge it.

    Raises:
        TrainingDiverged: the loss exploded in every attempt.
    """
    progress = progress or Silent()
    began = time.perf_counter()
    notes: list[str] = []
    if len(validation.prepared) == 0:
        validation = train
        notes.append(
            "there are no validation rows, so training rows judge when to stop; give more rows or --validation"
        )
        progress.say(notes[-1])
    for attempt in range(RESTARTS + 1):
        rate = 0.5**attempt
        try:
            learner, score, epochs = _attempt(host, begin, train, validation, training, rate, progress)
        except _Exploded as error:
            notes.append(f"{error}; began again from the start at learning rate {training.learning_rate * rate / 2:g}")
            progress.say(notes[-1])
            continue
        seconds = time.perf_counter() - began
        return Trained(learner=learner, validation_score=score, epochs=epochs, seconds=seconds, notes=tuple(notes))
    raise TrainingDiverged(
        f"training diverged {RESTARTS + 1} times, the last at learning rate {training.learning_rate * 0.5**RESTARTS:g}; "
        "expected a finite, falling loss; try --learning-rate 1e-4, or look at the data"
    )


def _attempt(
    host: Host,
    begin: Callable[[Labelled], L],
    train: Labelled,
    validation: Labelled,
    training: TrainingConfig,
    rate: float,
    progress: Progress,
) -> tuple[L, float, int]:
    """One training from the start: the best learner, its validation score, the epochs run."""
    with torch.random.fork_rng(devices=[host.device] if host.device.type == "cuda" else []):
        torch.manual_seed(training.seed)
        learner = begin(validation)
        tensors = [tensor.requires_grad_() for tensor in _tensors(learner)]
        *weights, _, _ = tensors
        optimizer = torch.optim.AdamW(
            [
                {"params": weights, "lr": training.learning_rate * rate},
                {"params": tensors[-2:], "lr": training.head_learning_rate * rate},
            ],
            weight_decay=training.weight_decay,
            fused=True,
        )
        steps_per_epoch = math.ceil(math.ceil(len(train.prepared) / training.batch_size) / training.accumulation)
        total = steps_per_epoch * training.epochs
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, warm_up_and_decay(total, training.warmup))
        order = np.random.default_rng(training.seed)
        limit = 10.0 * math.log(len(learner.head.bias)) + 10.0
        best, best_score, best_epoch, step = learner.copy(), score_of(host, learner, validation), -1, 0
        mean = learner.copy()
        for epoch in range(training.epochs):
            batches = list(shuffled_batches(train.prepared, training.batch_size, order))
            for start in range(0, len(batches), training.accumulation):
                optimizer.zero_grad()
                value = _backward(host, learner, train, batches[start : start + training.accumulation])
                if not math.isfinite(value) or value > limit:
                    raise _Exploded(f"the loss was {value:g} at step {step + 1}")
                torch.nn.utils.clip_grad_norm_(tensors, training.clip)
                optimizer.step()
                schedule.step()
                step += 1
                # early on the mean follows closely, so that it soon forgets where it began
                with torch.no_grad():
                    torch._foreach_lerp_(
                        _tensors(mean), _tensors(learner), 1 - min(training.averaging, step / (step + 9))
                    )
                progress.step(done=step, total=total, loss=value, score=best_score[0])
            score = score_of(host, mean, validation)
            if score > best_score:
                best, best_score, best_epoch = mean.copy(), score, epoch
            elif epoch - best_epoch >= training.patience:
                break
    return best, best_score[0], epoch + 1


def _backward(host: Host, learner: Learner, train: Labelled, batches: Sequence[list[int]]) -> float:
    """Gradients of the mean loss over all these batches, and that loss."""
    count, total = sum(map(len, batches)), 0.0
    for rows in batches if host.device.type != "cpu" else parts_of_like_length(train.prepared, batches):
        logits = logits_of(learner.head, run_rows(host, learner.updates(training=True), train.prepared, rows))
        loss = functional.cross_entropy(logits, train.labels[rows].to(logits.device)) * (len(rows) / count)
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    penalty = learner.penalty()
    if penalty is not None:
        penalty.backward()  # type: ignore[no-untyped-call]
    return total


def score_of(host: Host, learner: Learner, data: Labelled) -> tuple[float, float]:
    """Accuracy in [0, 1], then minus the mean loss, which decides between equal accuracies."""
    features = features_under(host, learner.updates(training=False), data.prepared)
    return score_of_logits(logits_of(learner.head, features).detach().cpu(), data.labels)


def score_of_logits(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """The same, given (rows, labels), all on the CPU. NaN is no right answer."""
    right = (logits.argmax(1) == labels) & logits.isfinite().all(1)
    accuracy = right.double().mean().item()
    return accuracy, -functional.cross_entropy(logits, labels, ignore_index=UNKNOWN_LABEL).item()


def shuffled_batches(prepared: Prepared, batch_size: int, order: np.random.Generator) -> Iterator[list[int]]:
    """Every row once, in random batches of like length: rows are shuffled, then sorted within groups of BUCKET batches."""
    rows = order.permutation(len(prepared))
    batches: list[list[int]] = []
    for start in range(0, len(rows), batch_size * BUCKET):
        group = sorted(rows[start : start + batch_size * BUCKET].tolist(), key=lambda r: len(prepared.encoded[r].ids))
        batches += [group[i : i + batch_size] for i in range(0, len(group), batch_size)]
    for index in order.permutation(len(batches)):
        yield batches[index]


def parts_of_like_length(prepared: Prepared, batches: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """The rows of each batch in as many parts as save more padding than a part costs. Gradients add up to the batch's."""
    for batch in batches:
        lengths = {row: len(prepared.encoded[row].ids) for row in batch}
        yield from cut_by_padding(sorted(batch, key=lengths.__getitem__), lengths, PART_TOKENS)


def warm_up_and_decay(total: int, warmup: float) -> Callable[[int], float]:
    """Linear from 0 to 1 over the first share of the steps, then linear to 0."""
    warm = max(1, round(total * warmup))
    return lambda step: (step + 1) / warm if step < warm else max(0.0, (total - step) / max(1, total - warm))


def _tensors(learner: Learner) -> list[Tensor]:
    """All that learns, the head's weight and bias last."""
    return [*learner.site_tensors(), learner.head.weight, learner.head.bias]
