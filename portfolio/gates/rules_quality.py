"""Checks of how well a version answers its own task: bounds, the champion, calibration, misspelt texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from portfolio.gates.evidence import Evidence, Said
from portfolio.gates.fields import Fields
from portfolio.gates.found import (
    AT_LEAST,
    AT_MOST,
    Found,
    Margin,
    alone,
    held,
    margin,
    no_worse,
    percent,
    right_enough,
    surely_held,
    unanswered,
)
from portfolio.gates.metrics import DEFAULT_BINS, METRICS, SHARES_OF_ROWS, Measured, ece
from portfolio.gates.statistics import DEFAULT_ALPHA, LEAST_ROWS, share_bounds
from portfolio.gates.verdict import INCONCLUSIVE, Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundCheck:
    """That a figure keeps within bounds."""

    kind: ClassVar[str] = "bound"

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    confidence: float | None = None  # of a share of rows: how sure it must be; None: the share that was seen decides

    def __post_init__(self) -> None:
        fields = Fields(self)
        fields.one_of("metric", METRICS)
        fields.share("at_least", "at_most")
        fields.any_of("at_least", "at_most")
        fields.confidence("confidence")
        fields.raise_if_any()
        if self.confidence is not None and self.metric not in SHARES_OF_ROWS:
            of = ", ".join(SHARES_OF_ROWS)
            fields.fault("confidence", f"expected it with a share of rows ({of}), got it with {self.metric}")
        fields.raise_if_any()

    def look(self, evidence: Evidence, champion: str | None) -> tuple[Found, ...]:
        measured = METRICS[self.metric](evidence)
        asked = ((AT_LEAST, self.at_least), (AT_MOST, self.at_most))
        return tuple(self._held(measured, relation, bound) for relation, bound in asked if bound is not None)

    def _held(self, measured: Measured, relation: str, bound: float) -> Found:
        figure = Figure(name=self.metric, value=measured.value, bound=bound, relation=relation)
        of = "" if measured.rows is None else f" of {measured.rows:,} examples"
        said = f"{self.metric} is {percent(measured.value)}{of}"
        if self.confidence is None or measured.right is None or not measured.rows:
            return held(figure, said=said)
        return surely_held(figure, share_bounds(measured.right, measured.rows, self.confidence), said=said)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoWorseCheck:
    """That a version is no worse than the champion by more than delta, on the same examples."""

    kind: ClassVar[str] = "no-worse"

    delta: float
    alpha: float = DEFAULT_ALPHA
    least: int = LEAST_ROWS
    on: str | None = None  # a file of labelled examples; None: the test rows

    def __post_init__(self) -> None:
        fields = Fields(self)
        fields.share("delta")
        fields.level("alpha")
        fields.whole("least", 1)
        fields.text("on")
        fields.raise_if_any()

    def look(self, evidence: Evidence, champion: str | None) -> tuple[Found, ...]:
        if champion is None:
            return (alone(self.on or ""),)
        examples = evidence.examples(self.on)
        within = Margin(delta=self.delta, alpha=self.alpha, least=self.least)
        other = None if examples.champion is None else examples.champion.right
        return (no_worse(examples.version.right, other, champion, within, subject=self.on or ""),)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationCheck:
    """That a version is about as often right as it says to be sure."""

    kind: ClassVar[str] = "calibration"

    at_most: float
    delta: float | None = None  # by how much the error may exceed the champion's
    bins: int = DEFAULT_BINS
    least: int = 100  # with fewer rows in so many bins, the error is mostly chance

    def __post_init__(self) -> None:
        fields = Fields(self)
        fields.share("at_most", "delta")
        fields.whole("bins", 1)
        fields.whole("least", 1)
        fields.raise_if_any()

    def look(self, evidence: Evidence, champion: str | None) -> tuple[Found, ...]:
        examples = evidence.examples()
        error, rows = ece(examples.version, self.bins), len(examples.expected)
        figure = Figure(name="ece", value=error, bound=self.at_most, relation=AT_MOST)
        said = f"the calibration error is {percent(error)} of {rows:,} examples"
        if rows < self.least:
            few = f"{said}, fewer than the {self.least:,} asked for"
            return (Found(outcome=INCONCLUSIVE, reason=few, figures=(figure,)),)
        found = held(figure, said=said)
        return (
            (found,) if self.delta is None else (found, self._against(examples.champion, champion, error, self.delta))
        )

    def _against(self, other: Said | None, champion: str | None, error: float, delta: float) -> Found:
        if champion is None:
            return alone()
        if other is None:
            return unanswered(champion)
        before = ece(other, self.bins)
        figure = Figure(name="ece above the champion's", value=error - before, bound=delta, relation=AT_MOST)
        more = percent(error - before)
        said = f"the calibration error is {percent(error)}, that of {champion} {percent(before)}: {more} above it"
        return held(figure, said=said)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypoCheck:
    """That misspelt texts are still answered rightly."""

    kind: ClassVar[str] = "typos"

    rate: float  # share of the letters that are misspelt
    seed: int = 0
    at_least: float | None = None
    delta: float | None = None  # against the champion on the same texts
    alpha: float = DEFAULT_ALPHA
    least: int = LEAST_ROWS

    def __post_init__(self) -> None:
        fields = Fields(self)
        fields.share("rate", "at_least", "delta")
        if self.rate == 0:
            fields.fault("rate", "expected a share above 0, got 0: no letter would be misspelt")
        fields.whole("seed", 0)
        fields.any_of("at_least", "delta")
        fields.level("alpha")
        fields.whole("least", 1)
        fields.raise_if_any()

    def look(self, evidence: Evidence, champion: str | None) -> tuple[Found, ...]:
        typos = evidence.typos(self.rate, self.seed)
        return right_enough(
            typos.version,
            typos.champion,
            champion,
            at_least=self.at_least,
            within=margin(self.delta, self.alpha, self.least),
            what="misspelt examples",
        )
