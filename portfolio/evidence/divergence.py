"""How far versions are from each other, and from the bare base, on the same texts.

    d(a, b) = mean over texts of 1 - cos(f_a(x), f_b(x))        f(x): the pooled state after the last block, of unit length

and the share of texts to which two versions say different labels, each choosing among the labels that both know. Of an
ensemble, f is the weighted mean of its passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from portfolio.evidence.versions import Opinion, last_states
from portfolio.hosting.host import Host
from portfolio.hosting.trunk import Prepared
from portfolio.records import BARE_BASE
from portfolio.reports.suites import Divergence


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Position:
    """Where a version, or the bare base, puts N texts, and what it says to them."""

    name: str  # `name@version`, or `base`
    labels: tuple[str, ...]  # none of the bare base
    opinion: Opinion


def position_of_base(host: Host, prepared: Prepared) -> Position:
    """Without any adapter."""
    states = functional.normalize(last_states(host, prepared.features), dim=1)
    return Position(name=BARE_BASE, labels=(), opinion=Opinion(probabilities=np.zeros((len(states), 0)), states=states))


def divergences(positions: Sequence[Position]) -> tuple[Divergence, ...]:
    """Of every pair, each once, in their order."""
    flat = torch.stack([one.opinion.states for one in positions]).flatten(1)  # (versions, N * hidden)
    cosines = (flat @ flat.T / len(positions[0].opinion.states)).tolist()
    return tuple(
        _pair(one, other, 1.0 - cosines[first][second])
        for first, one in enumerate(positions)
        for second, other in list(enumerate(positions))[first + 1 :]
    )


def _pair(one: Position, other: Position, distance: float) -> Divergence:
    shared = [label for label in one.labels if label in other.labels]
    return Divergence(
        first=one.name,
        second=other.name,
        distance=max(0.0, distance),
        shared_labels=len(shared),
        disagreement=_disagreement(one, other, shared) if len(shared) > 1 else None,
    )


def _disagreement(one: Position, other: Position, shared: Sequence[str]) -> float:
    said = [of.opinion.probabilities[:, [of.labels.index(label) for label in shared]].argmax(1) for of in (one, other)]
    return float(np.mean(said[0] != said[1]))
