"""A results matrix as a report holds it: rows of scores, None where nothing was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import overload

import numpy as np

from portfolio.reports.metrics import Array


class Matrix(Sequence[tuple[float | None, ...]]):
    """The rows of a results matrix, None where nothing was measured; of a thousand tasks few are ever asked for."""

    def __init__(self, scores: Array) -> None:
        """Args: scores: (T, T), NaN where nothing was measured."""
        self._scores = scores

    def diagonal(self) -> tuple[float | None, ...]:
        """Per task: its score when it was added."""
        return _without_nan(np.diagonal(self._scores))

    def __len__(self) -> int:
        return len(self._scores)

    @overload
    def __getitem__(self, index: int) -> tuple[float | None, ...]: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[tuple[float | None, ...], ...]: ...

    def __getitem__(self, index: int | slice) -> tuple[float | None, ...] | tuple[tuple[float | None, ...], ...]:
        if isinstance(index, slice):
            return tuple(map(_without_nan, self._scores[index]))
        return _without_nan(self._scores[index])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (Matrix, tuple)) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]


def _without_nan(scores: Array) -> tuple[float | None, ...]:
    return tuple(None if math.isnan(score) else score for score in scores.tolist())
