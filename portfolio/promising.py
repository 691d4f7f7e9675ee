"""Which adapters promise most for a task, before anything is trained: LogME of the features under each of them.

Source: You et al., 2021, arXiv:2102.11005. What else was tried, and how well each foretells the gain: docs/decisions/.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fusion.transfer import log_evidence
from portfolio.engine import Engine
from portfolio.hosting.ready import shared
from portfolio.hosting.trunk import Prepared
from portfolio.hosting.weights import placed
from portfolio.loading import load_plain
from portfolio.records import AdapterRecord
from portfolio.running import Labelled, features_under

MOST_ROWS = 1000  # of train that are looked at


def most_promising(
    engine: Engine, candidates: Sequence[AdapterRecord], train: Labelled, labels: int, wanted: int
) -> list[AdapterRecord]:
    """The `wanted` best of the candidates for rows with so many labels, best first."""
    evidence = promises(engine, candidates, train, labels)
    order = sorted(range(len(candidates)), key=lambda number: -evidence[number])
    return [candidates[number] for number in order[:wanted]]


def promises(engine: Engine, candidates: Sequence[AdapterRecord], train: Labelled, labels: int) -> list[float]:
    """For each candidate the log evidence of the labels given the features under it; higher promises more."""
    some, made = _some_of(train), []
    for one in candidates:
        adapter = placed(load_plain(engine.store, one.digest), engine.host.device)
        features = features_under(engine.host, shared(adapter.updates()), some.prepared)
        made.append(log_evidence(features.cpu(), some.labels, labels))
    return made


def _some_of(train: Labelled) -> Labelled:
    """At most MOST_ROWS of them, drawn once and for all."""
    prepared = train.prepared
    if len(prepared) <= MOST_ROWS:
        return train
    chosen = torch.randperm(len(prepared), generator=torch.Generator().manual_seed(0))[:MOST_ROWS].sort().values
    rows = chosen.tolist()
    return Labelled(
        prepared=Prepared(
            encoded=[prepared.encoded[row] for row in rows],
            features=prepared.features[chosen],
            states=None if prepared.states is None else tuple(prepared.states[row] for row in rows),
        ),
        labels=train.labels[chosen],
    )
