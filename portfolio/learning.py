"""All that one task gives before it meets the others: its adapter, its statistics, what its own adapter says of its rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from portfolio.drafts import Draft, Make, Rows
from portfolio.engine import Engine
from portfolio.evaluation_set import EvaluationSet
from portfolio.hosting.trunk import prepare
from portfolio.records import UNKNOWN_LABEL
from portfolio.running import Labelled, predict_logits
from portfolio.tasks.splits import Split
from portfolio.tasks.task import TaskData
from portfolio.training import Progress, TrainingConfig
from routing.statistics import Centroids, Float64, summarise


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learned:
    """All that training and the bare base gave for one task, before it meets the other tasks."""

    data: TaskData
    drafts: tuple[Draft, ...]  # in order of version; the last answers
    centroids: Centroids
    scatter: Float64
    rows: EvaluationSet


def learn(engine: Engine, data: TaskData, make: Make, training: TrainingConfig, progress: Progress) -> Learned:
    number = {label: index for index, label in enumerate(data.labels)}
    train = _labelled(engine, data.train, number, training.cache_bytes, progress)
    left = max(0, training.cache_bytes - train.prepared.kept_bytes)
    validation = _labelled(engine, data.validation, number, left, progress)
    rows = Rows(task=data.name, labels=data.labels, train=train, validation=validation)
    drafts = make(engine, rows, training, progress)
    left = max(0, left - validation.prepared.kept_bytes)
    test = _labelled(engine, data.test, number, left, progress)  # the trunk, too, runs once a row
    predictions = predict_logits(engine.host, drafts[-1].passes, test.prepared).argmax(1)
    labels = train.labels.numpy()
    features = engine.view(train.prepared.features)
    centroids, scatter = summarise(features, labels, len(data.labels), corner=engine.block_width)
    most_frequent = int(np.bincount(labels).argmax())
    kept = EvaluationSet(
        validation_features=engine.view(validation.prepared.features),
        test_features=engine.view(test.prepared.features),
        test_labels=test.labels.numpy(),
        test_predictions=predictions.numpy(),
        baseline=float((test.labels == most_frequent).double().mean()) if len(test.labels) else 0.0,
    )
    return Learned(data=data, drafts=drafts, centroids=centroids, scatter=scatter, rows=kept)


def _labelled(engine: Engine, split: Split, number: dict[str, int], keep_bytes: int, progress: Progress) -> Labelled:
    encoded = engine.encode(split.texts, split.pairs)
    prepared = prepare(engine.host, encoded, keep_bytes=keep_bytes, advance=progress.prepared)
    labels = torch.tensor([number.get(label, UNKNOWN_LABEL) for label in split.labels], dtype=torch.int64)
    return Labelled(prepared=prepared, labels=labels)
