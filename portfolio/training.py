"""Train one adapter and its head on a frozen base.

The story: the trunk's states are made once; the head begins as the best linear classifier of the bare base's states (linear
discriminant analysis), the adapter as the identity; then AdamW with linear warm-up and decay, clipped gradients, early
stopping on validation accuracy, best weights kept. If the loss explodes, all begins again at half the learning rate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from portfolio.errors import TrainingDiverged, require
from portfolio.hosting.encode import batches_of_like_length
from portfolio.hosting.host import Host
from portfolio.hosting.plan import Plan, Shared
from portfolio.hosting.trunk import Prepared
from portfolio.hosting.weights import AdapterWeights, Head
from portfolio.methods.config import AdapterConfig
from portfolio.records import UNKNOWN_LABEL

RESTARTS = 3
SOFTNESS = 0.5  # of the first head, see `fresh_adapter`
BUCKET = 16  # batches whose rows are sorted by length together


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How an adapter learns. The defaults were chosen on validation data: docs/decisions/."""

    epochs: int = 10  # at most
    patience: int = 4  # epochs without a better validation score before it stops
    batch_size: int = 32
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
class Labelled:
    """Prepared texts with the numbers of their labels."""

    prepared: Prepared
    labels: Tensor  # (rows,) int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A trained adapter and how it went."""

    adapter: AdapterWeights
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
) -> Trained:
    """The best adapter on validation, the base untouched. Same seed, machine and thread count: same bits.

    Raises:
        ConfigError: the config fits no site of this base.
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
            adapter, score, epochs = _attempt(host, config, train, validation, label_count, training, rate, progress)
        except _Exploded as error:
            notes.append(
                f"{error}; began again from the identity at learning rate {training.learning_rate * rate / 2:g}"
            )
            progress.say(notes[-1])
            continue
        seconds = time.perf_counter() - began
        return Trained(adapter=adapter, validation_score=score, epochs=epochs, seconds=seconds, notes=tuple(notes))
    raise TrainingDiverged(
        f"training diverged {RESTARTS + 1} times, the last at learning rate {training.learning_rate * 0.5**RESTARTS:g}; "
        "expected a finite, falling loss; try --learning-rate 1e-4, or look at the data"
    )


def _attempt(
    host: Host,
    config: AdapterConfig,
    train: Labelled,
    validation: Labelled,
    label_count: int,
    training: TrainingConfig,
    rate: float,
    progress: Progress,
) -> tuple[AdapterWeights, float, int]:
    """One training from the identity: the best adapter, its validation score, the epochs run."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        adapter = fresh_adapter(host, config, train, validation, label_count, training.seed)
        *weights, head_weight, head_bias = [tensor.requires_grad_() for tensor in _tensors(adapter)]
        head = [head_weight, head_bias]
        optimizer = torch.optim.AdamW(
            [
                {"params": weights, "lr": training.learning_rate * rate},
                {"params": head, "lr": training.head_learning_rate * rate},
            ],
            weight_decay=training.weight_decay,
            fused=True,
        )
        steps_per_epoch = math.ceil(len(train.prepared) / training.batch_size)
        total = steps_per_epoch * training.epochs
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _warm_up_and_decay(total, training.warmup))
        order = np.random.default_rng(training.seed)
        limit = 10.0 * math.log(label_count) + 10.0
        best, best_score, best_epoch, step = _copy(adapter), score_of(host, adapter, validation), -1, 0
        mean = _copy(adapter)
        for epoch in range(training.epochs):
            for rows in shuffled_batches(train.prepared, training.batch_size, order):
                logits = _logits(host, adapter, train.prepared, rows)
                loss = functional.cross_entropy(logits, train.labels[rows])
                value = loss.item()
                if not math.isfinite(value) or value > limit:
                    raise _Exploded(f"the loss was {value:g} at step {step + 1}")
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_([*weights, *head], training.clip)
                optimizer.step()
                schedule.step()
                step += 1
                # early on the mean follows closely, so that it soon forgets where it began
                with torch.no_grad():
                    torch._foreach_lerp_(
                        _tensors(mean), _tensors(adapter), 1 - min(training.averaging, step / (step + 9))
                    )
                progress.step(done=step, total=total, loss=value, score=best_score[0])
            score = score_of(host, mean, validation)
            if score > best_score:
                best, best_score, best_epoch = _copy(mean), score, epoch
            elif epoch - best_epoch >= training.patience:
                break
    return best, best_score[0], epoch + 1


def fresh_adapter(
    host: Host, config: AdapterConfig, train: Labelled, validation: Labelled, label_count: int, seed: int
) -> AdapterWeights:
    """The identity at every site, under a head that knows what the bare base knows, said modestly.

    The head is scaled to the least cross-entropy on validation, then by SOFTNESS: a head that is too sure leaves the adapter
    nothing to learn from.
    """
    generator = torch.Generator().manual_seed(seed)
    sites = {site.key: config.fresh(site.shape, generator) for site in host.sites_for(config)}
    head = discriminant_head(train.prepared.features, train.labels, label_count)
    logits = functional.linear(validation.prepared.features, head.weight, head.bias)
    scale = SOFTNESS * _calibrating_scale(logits, validation.labels)
    return AdapterWeights(config=config, sites=sites, head=Head(head.weight * scale, head.bias * scale))


def discriminant_head(states: Tensor, labels: Tensor, label_count: int) -> Head:
    """Linear discriminant analysis as a head: W = Σ⁻¹ μ_c, b = −½ μ_cᵀ Σ⁻¹ μ_c (Fisher 1936; equal priors).

    Σ is the within-class covariance, shrunk towards its mean variance so that it can be inverted with few examples.
    """
    x = states.double()
    counts = torch.bincount(labels, minlength=label_count).clamp(min=1)
    means = torch.zeros(label_count, x.shape[1], dtype=x.dtype).index_add_(0, labels, x) / counts[:, None]
    residual = x - means[labels]
    covariance = residual.T @ residual / max(1, len(x) - label_count)
    variance = covariance.diagonal().mean().clamp(min=1e-12)
    share = 0.02 + 0.78 * x.shape[1] / (x.shape[1] + len(x))  # much with few rows, little with many
    shrunk = (1 - share) * covariance + share * variance * torch.eye(x.shape[1], dtype=x.dtype)
    centred = means - means.mean(0)  # the same for every class: moves no decision, keeps logits small
    weight = torch.linalg.solve(shrunk, centred.T).T
    bias = -0.5 * ((means + means.mean(0)) * weight).sum(1)
    return Head(weight.float(), bias.float())


def _calibrating_scale(logits: Tensor, labels: Tensor) -> float:
    """The factor in [0.01, 1] with the least cross-entropy; discriminants of few examples are too sure of themselves."""
    known = labels != UNKNOWN_LABEL
    if not known.any():
        return 1.0
    factors = torch.logspace(-2, 0, 25)
    losses = [functional.cross_entropy(logits[known] * factor, labels[known]).item() for factor in factors]
    return float(factors[int(np.argmin(losses))])


def score_of(host: Host, adapter: AdapterWeights, data: Labelled) -> tuple[float, float]:
    """Accuracy in [0, 1], then minus the mean loss, which decides between equal accuracies. NaN is no right answer."""
    logits = predict_logits(host, adapter, data.prepared)
    right = (logits.argmax(1) == data.labels) & logits.isfinite().all(1)
    accuracy = right.double().mean().item()
    return accuracy, -functional.cross_entropy(logits, data.labels, ignore_index=UNKNOWN_LABEL).item()


def predict_logits(host: Host, adapter: AdapterWeights, prepared: Prepared, batch_size: int = 64) -> Tensor:
    """(rows, labels): every row under this one adapter, in the order of the rows."""
    out = torch.zeros(len(prepared), len(adapter.head.bias))
    with torch.inference_mode():
        lengths = [len(row.ids) for row in prepared.encoded]
        for rows in batches_of_like_length(lengths, batch_size, 64 * 128):
            out[rows] = _logits(host, adapter, prepared, rows, training=False)
    return out.clone()


def _logits(
    host: Host,
    adapter: AdapterWeights,
    prepared: Prepared,
    rows: Sequence[int],
    training: bool = True,
) -> Tensor:
    """(rows, labels), from the trunk's kept states upward."""
    dropout = adapter.config.dropout if training else 0.0
    plan = Plan({key: (Shared(update, dropout),) for key, update in adapter.updates().items()})
    batch, trunk = prepared.batch(host, rows)
    features = host.run(batch, plan, trunk=trunk).features
    return functional.linear(features, adapter.head.weight, adapter.head.bias)


def shuffled_batches(prepared: Prepared, batch_size: int, order: np.random.Generator) -> Iterator[list[int]]:
    """Every row once, in random batches of like length: rows are shuffled, then sorted within groups of BUCKET batches."""
    rows = order.permutation(len(prepared))
    batches: list[list[int]] = []
    for start in range(0, len(rows), batch_size * BUCKET):
        group = sorted(rows[start : start + batch_size * BUCKET].tolist(), key=lambda r: len(prepared.encoded[r].ids))
        batches += [group[i : i + batch_size] for i in range(0, len(group), batch_size)]
    for index in order.permutation(len(batches)):
        yield batches[index]


def _warm_up_and_decay(total: int, warmup: float) -> Callable[[int], float]:
    """Linear from 0 to 1 over the first share of the steps, then linear to 0."""
    warm = max(1, round(total * warmup))
    return lambda step: (step + 1) / warm if step < warm else max(0.0, (total - step) / max(1, total - warm))


def _tensors(adapter: AdapterWeights) -> list[Tensor]:
    """Every weight at every site, then the head's."""
    return [*(t for site in adapter.sites.values() for t in site.values()), adapter.head.weight, adapter.head.bias]


def _copy(adapter: AdapterWeights) -> AdapterWeights:
    """The adapter as it is now, detached from training."""
    sites = {key: {name: t.detach().clone() for name, t in site.items()} for key, site in adapter.sites.items()}
    head = Head(adapter.head.weight.detach().clone(), adapter.head.bias.detach().clone())
    return AdapterWeights(config=adapter.config, sites=sites, head=head)
