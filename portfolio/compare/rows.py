"""Rows of several tasks, put together or picked out, without running the base again."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from portfolio.hosting.trunk import Prepared
from portfolio.running import Labelled


def joined(parts: Sequence[Labelled]) -> Labelled:
    """The rows of all parts, one part after the other. The trunk's states are there if every part has kept its own."""
    kept = [part.prepared.states for part in parts]
    states = None if any(one is None for one in kept) else tuple(state for one in kept for state in one or ())
    return Labelled(
        prepared=Prepared(
            encoded=[row for part in parts for row in part.prepared.encoded],
            features=torch.cat([part.prepared.features for part in parts]),
            states=states,
        ),
        labels=torch.cat([part.labels for part in parts]),
    )


def picked(data: Labelled, rows: Sequence[int]) -> Labelled:
    """These rows, in this order."""
    return Labelled(prepared=picked_of(data.prepared, rows), labels=data.labels[list(rows)])


def picked_of(prepared: Prepared, rows: Sequence[int]) -> Prepared:
    """These prepared rows, in this order."""
    return Prepared(
        encoded=[prepared.encoded[row] for row in rows],
        features=prepared.features[list(rows)],
        states=None if prepared.states is None else tuple(prepared.states[row] for row in rows),
    )
