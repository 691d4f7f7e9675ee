"""Two looks at an input: at the trunk's features first, and at the frozen base's only where the first look is not sure.

    sure(x)  ⇔  P₁(best | x) - P₁(runner-up | x) ≥ m   and   in-scope₁(x) ≥ s

The trunk has to run anyway, so the first look costs no block of the base; the second costs those above the trunk. The
trunk's features are the leading ones of the base's, so the first look is the second's arithmetic cut short (whitening.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from routing.decision import Choices, Decision
from routing.reach import NOTHING, Moved, Reach, Surroundings
from routing.router import Calibration, CentroidRouter
from routing.statistics import Float64, FloatArray, Int64

Deeper = Callable[[Int64], FloatArray]  # rows (n,) of those looked at -> all their features (n, d)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLook:
    """The settings of the first look."""

    margin: float  # m
    in_scope: float  # s
    temperature: float  # of P₁; all else is the second's


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeCalibration:
    """The settings of both looks."""

    whole: Calibration
    first: FirstLook | None = None  # None: every input is looked at twice


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A decision and which look made it."""

    decision: Decision
    is_first: bool  # the trunk's features were enough


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CascadeChoices:
    """Choices for many inputs, and for which of them the base's features were asked."""

    choices: Choices
    asked: npt.NDArray[np.bool_]  # (N,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Survey:
    """Choices for many inputs, what all their features say of each, and what the choices rest on."""

    choices: Choices
    asked: npt.NDArray[np.bool_]  # (N,)
    whole: Choices  # of the second look, also where it was not asked
    around: Surroundings  # of the second look
    first: Choices | None
    first_around: Surroundings | None


class Cascade:
    """A router of two looks. Never changes once it is made, so threads may share it."""

    def __init__(self, whole: CentroidRouter, first_width: int, first_look: FirstLook | None = None) -> None:
        """
        Args:
            whole: routes by all features.
            first_width: how many of them, the leading ones, the trunk makes.
            first_look: when those are enough; None, or where they are none or all of them: never.

        Raises:
            ValueError: a width that is not 0 to that of `whole`, or settings that cannot be.
        """
        if not 0 <= first_width <= whole.width:
            raise ValueError(f"expected a first look at 0 to {whole.width} features, got {first_width}")
        self.whole = whole
        self.first_width = first_width
        self.first_look = first_look
        self.first: CentroidRouter | None = None
        self.margin = math.inf
        if first_look is not None and 0 < first_width < whole.width:
            settings = replace(whole.settings, threshold=first_look.in_scope, temperature=first_look.temperature)
            self.first = whole.leading(first_width).calibrated(settings)
            self.margin = first_look.margin

    def calibrated(self, settings: CascadeCalibration) -> Cascade:
        """The same cascade under these settings."""
        return Cascade(self.whole.calibrated(settings.whole), self.first_width, settings.first)

    @property
    def tasks(self) -> tuple[str, ...]:
        return self.whole.tasks

    def route(
        self, first_features: FloatArray, deeper: Deeper, *, top_k: int = 1, allowed: Sequence[str] | None = None
    ) -> list[Looked]:
        """One decision a row, in the order of the rows.

        Args:
            first_features: (N, first_width); where there is no first look only N counts.
            deeper: called once at most, for the rows that the first look is not sure of.
            top_k, allowed: as in `CentroidRouter.route`.

        Raises:
            ValueError: as `CentroidRouter.route` does.
        """
        looked: list[Looked | None] = [None] * len(first_features)
        if self.first is not None:
            for row, decision in enumerate(self.first.route(first_features, top_k=top_k, allowed=allowed)):
                if not decision.abstain and decision.margin >= self.margin:
                    looked[row] = Looked(decision=decision, is_first=True)
        asked = np.array([row for row, one in enumerate(looked) if one is None], dtype=np.int64)
        if len(asked):
            for row, decision in zip(asked, self.whole.route(deeper(asked), top_k=top_k, allowed=allowed), strict=True):
                looked[row] = Looked(decision=decision, is_first=False)
        return [one for one in looked if one is not None]

    def choose(self, features: FloatArray) -> CascadeChoices:
        """What `route` would choose among all tasks for rows (N, d) whose features are all there already."""
        if self.first is None:
            return CascadeChoices(choices=self.whole.choose(features), asked=np.ones(len(features), dtype=np.bool_))
        choices = self.first.choose(features[:, : self.first_width])
        asked = choices.abstain | (choices.margins < self.margin)
        return CascadeChoices(choices=_replaced(choices, asked, self.whole.choose(features[asked])), asked=asked)

    def survey(self, features: FloatArray) -> Survey:
        """What `choose` gives for rows (N, d), and how far the class means are that it rests on; both looks at each."""
        whole, around = self.whole.survey(features)
        if self.first is None:
            asked = np.ones(len(features), dtype=np.bool_)
            return Survey(choices=whole, asked=asked, whole=whole, around=around, first=None, first_around=None)
        first, first_around = self.first.survey(features[:, : self.first_width])
        asked = first.abstain | (first.margins < self.margin)
        return Survey(
            choices=_replaced(first, asked, _some(whole, asked)),
            asked=asked,
            whole=whole,
            around=around,
            first=first,
            first_around=first_around,
        )

    def reach(self, survey: Survey, *, told: npt.NDArray[np.bool_]) -> Reach:
        """How near to the rows of a survey a class mean may come or go without changing what it says of them.

        Args:
            told: (N,), rows whose probabilities are written down, so that every class looked at counts.
        """
        asked, around = survey.asked, survey.around
        decided = around.within(survey.whole.margins, self.whole.temperature)
        whole = np.where(asked, np.where(told, around.farthest, decided), around.nearest)
        whole_scope = np.where(asked, around.scope_nearest, NOTHING)
        first = first_scope = np.full(len(asked), NOTHING)
        if self.first is not None and survey.first is not None and survey.first_around is not None:
            margins, near = survey.first.margins, survey.first_around
            decided = near.within(np.minimum(margins, abs(margins - self.margin)), self.first.temperature)
            first = np.where(told & ~asked, near.farthest, decided) - near.origin
            first_scope = near.scope_nearest - near.scope_origin
        return Reach(
            first=first,
            first_scope=first_scope,
            whole=whole - around.origin,
            whole_scope=whole_scope - around.scope_origin,
        )

    def moved(self, means: Float64, counts: Int64) -> Moved:
        """Class means (n, d) of so many rows (n,) that came or went, to be held against the reach of rows."""
        return Moved(means, counts, self.first, self.whole)


def _some(choices: Choices, rows: npt.NDArray[np.bool_]) -> Choices:
    return Choices(**{field: getattr(choices, field)[rows] for field in Choices.__dataclass_fields__})


def _replaced(choices: Choices, rows: npt.NDArray[np.bool_], others: Choices) -> Choices:
    """The choices with those of some rows replaced by others, in order."""
    arrays = {field: getattr(choices, field).copy() for field in Choices.__dataclass_fields__}
    for field, array in arrays.items():
        array[rows] = getattr(others, field)
    return Choices(**arrays)
