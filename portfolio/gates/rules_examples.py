"""Checks of chosen examples: slices of the test rows, a file of golden ones, a shared suite."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from portfolio.errors import DataError
from portfolio.gates.evidence import Evidence, Examples
from portfolio.gates.fields import Fields
from portfolio.gates.found import AT_LEAST, AT_MOST, Found, alone, margin, numbers_of, right_enough
from portfolio.gates.statistics import DEFAULT_ALPHA, LEAST_ROWS
from portfolio.gates.verdict import BLOCK, INCONCLUSIVE, PASS, Figure
from routing.toml_lines import shown

LENGTH = "length"  # the column of the numbers of tokens
DEFAULT_BUCKETS = (8, 16, 32, 64)

_Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceCheck:
    """That no part of the test rows is served badly, whatever the whole says. The parts are the values of a column."""

    kind: ClassVar[str] = "slices"

    column: str
    at_least: float | None = None
    delta: float | None = None
    alpha: float = DEFAULT_ALPHA
    least: int = LEAST_ROWS  # slices with fewer rows are judged together, as one
    strict: bool = False  # such a slice is inconclusive, by itself
    buckets: tuple[int, ...] = ()  # last values of ranges, for a column of whole numbers

    def __post_init__(self) -> None:
        fields = Fields(self)
        fields.text("column")
        fields.share("at_least", "delta")
        fields.any_of("at_least", "delta")
        fields.level("alpha")
        fields.whole("least", 1)
        fields.flag("strict")
        if not (isinstance(self.buckets, tuple) and _rising(self.buckets)):
            fields.fault("buckets", f"expected rising whole numbers, 1 or more, got {shown(self.buckets)}")
        fields.raise_if_any()

    def look(self, evidence: Evidence, champion: str | None) -> tuple[Found, ...]:
        examples = evidence.examples()
        slices = self._slices(examples)
        if champion is None and self.at_least is None:
            return (alone(self.column),)
        large = [one for one in slices if len(one[1]) >= self.least]
        small = [one for one in slices if len(one[1]) < self.least]
        found = [one for name, rows in large for one in self._judged(examples, name, rows, champion)]
        if small and self.strict:
            found += [self._too_small(name, len(rows), INCONCLUSIVE) for name, rows in small]
        elif small:
            found += self._together(examples, small, champion, is_only=not large)
        return tuple(found)

    def _slices(self, examples: Examples) -> list[tuple[str, _Rows]]:
        """Their names with their rows, by name; ranges by their numbers."""
        if self.column not in examples.columns:
            there = ", ".join(sorted(examples.columns)) or "none"
            raise DataError(f"expected the column {self.column!r} in {examples.source}; its columns: {there}")
        if not examples.expected:
            raise DataError(f"expected examples in {examples.source}, got none")
        buckets = self.buckets or (DEFAULT_BUCKETS if self.column == LENGTH else ())
        rows: dict[tuple[int, str], list[int]] = {}
        for row, value in enumerate(examples.columns[self.column]):
            place = _bucket(value, buckets, self.column) if buckets else (0, value or "(empty)")
            rows.setdefault(place, []).append(row)
        return [(f"{self.column} {place[1]}", np.array(rows[place])) for place in sorted(rows)]

    def _judged(self, examples: Examples, name: str, rows: _Rows, champion: str | None) -> tuple[Found, ...]:
        return right_enough(
            examples.version.right[rows],
            None if examples.champion is None else examples.champion.right[rows],
            champion,
            at_least=self.at_least,
            within=margin(self.delta, self.alpha, self.least),
            what="examples",
            subject=name,
            numbers=(rows + 1).tolist(),
        )

    def _together(
        self, examples: Examples, small: Sequence[tuple[str, _Rows]], champion: str | None, *, is_only: bool
    ) -> tuple[Found, ...]:
        """Slices too small to be judged by themselves, as one; that is said alone where it is too small as well."""
        rows = np.sort(np.concatenate([rows for _, rows in small]))
        name = small[0][0] if len(small) == 1 else f"{self.column}: {len(small):,} small slices together"
        if len(rows) < self.least:
            return (self._too_small(name, len(rows), INCONCLUSIVE if is_only else PASS),)
        return self._judged(examples, name, rows, champion)

    def _too_small(self, name: str, rows: int, outcome: str) -> Found:
        figure = Figure(name="rows", value=rows, bound=self.least, relation=AT_LEAST)
        reason = f"not judged: {rows:,} examples, fewer than the {self.least:,} asked for"
        return Found(outcome=outcome, subject=name, reason=reason, figures=(figure,))


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenCheck:
    """That every example of a file is right."""

    kind: ClassVar[str] = "golden"

    file: str

    def __post_init__(self) -> None:
        fields = Fields(self)
        fields.text("file")
        fields.raise_if_any()

    def look(self, evidence: Evidence, champion: str | None) -> tuple[Found, ...]:
        examples = evidence.examples(self.file)
        right, rows = examples.version.right, len(examples.expected)
        if rows == 0:
            raise DataError(f"expected examples in {self.file}, got none")
        wrong = int((~right).sum())
        figure = Figure(name="wrong", value=wrong, bound=0, relation=AT_MOST)
        reason = f"all {rows:,} examples are right" if wrong == 0 else f"{wrong:,} of {rows:,} examples are wrong"
        outcome = PASS if wrong == 0 else BLOCK
        return (Found(outcome=outcome, subject=self.file, reason=reason, figures=(figure,), rows=numbers_of(~right)),)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteCheck:
    """That a version meets what a shared suite expects of every adapter."""

    kind: ClassVar[str] = "suite"

    suite: str
    at_least: float | None = None
    delta: float | None = None
    alpha: float = DEFAULT_ALPHA
    least: int = LEAST_ROWS

    def __post_init__(self) -> None:
        fields = Fields(self)
        fields.text("suite")
        fields.share("at_least", "delta")
        fields.any_of("at_least", "delta")
        fields.level("alpha")
        fields.whole("least", 1)
        fields.raise_if_any()

    def look(self, evidence: Evidence, champion: str | None) -> tuple[Found, ...]:
        result = evidence.suite(self.suite)
        if len(result.met) == 0:
            raise DataError(f"expected rows of the suite {self.suite!r} that say something of this version, got none")
        return right_enough(
            result.met,
            result.champion_met,
            champion,
            at_least=self.at_least,
            within=margin(self.delta, self.alpha, self.least),
            what="rows",
            subject=self.suite,
            numbers=[row + 1 for row in result.rows],
        )


def _rising(buckets: tuple[int, ...]) -> bool:
    are_whole = all(type(one) is int and one >= 1 for one in buckets)
    return are_whole and all(low < high for low, high in itertools.pairwise(buckets))


def _bucket(value: str, buckets: tuple[int, ...], column: str) -> tuple[int, str]:
    """The range that a whole number falls in: its number, and `up to 8`, `9-16`, …, `65 or more`."""
    try:
        place = bisect.bisect_left(buckets, int(value))
    except ValueError as error:
        raise DataError(f"expected whole numbers in the column {column!r}, got {value!r}") from error
    if place == 0:
        return place, f"up to {buckets[0]}"
    low = buckets[place - 1] + 1
    return place, f"{low}-{buckets[place]}" if place < len(buckets) else f"{low} or more"
