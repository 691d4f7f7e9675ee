"""How two versions differ: settings, data, lineage, size, scores, the test rows that flipped, and what their verdicts found.

Test rows are compared one by one where both versions have the same, by their digest: then

    p = P(a fair coin falls as unevenly as b : c, or more so),   b, c = rows that only the one, only the other gets right

Source: McNemar, 1947, Psychometrika 12. Rows are numbered from 0, in the order of the test split.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from portfolio.errors import DataError
from portfolio.gates.verdict import Verdict
from portfolio.mcnemar import mcnemar
from portfolio.records import AdapterRecord, Lineage, Source
from portfolio.reports.figures import score
from portfolio.reports.measured_on import digest_of_test

SPLITS = ("train", "validation", "test")


class KeptAnswers(Protocol):
    """What is kept of a version's test rows; an `EvaluationSet` is one."""

    @property
    def test_labels(self) -> npt.NDArray[np.int64]: ...  # (N,), numbers of the version's own labels
    @property
    def test_predictions(self) -> npt.NDArray[np.int64]: ...  # (N,), likewise


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Side:
    """All that is compared of one version."""

    record: AdapterRecord
    lineage: Lineage
    answers: KeptAnswers | None = None  # None: they cannot be read
    verdict: Verdict | None = None  # the newest on it; None: it was not judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A setting or a fact that differs; as text. None: that version has none."""

    key: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitPair:
    """Where the rows of one split came from. None: there is no such split."""

    split: str
    before: Source | None
    after: Source | None
    same: bool  # whether these are the same rows, by their digests


@dataclass(frozen=True, slots=True, kw_only=True)
class Flips:
    """The same test rows answered by both, with their task given."""

    rows: int
    before: float  # accuracy in [0, 1]
    after: float
    p_value: float  # of McNemar's exact test
    lost: tuple[int, ...]  # rows that the first answers rightly and the second does not
    won: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FigurePair:
    """A figure that a gate looked at. None: that verdict has no such figure, or it could not be measured."""

    rule: str
    subject: str  # a slice, a task, a suite; empty: the version as a whole
    figure: str
    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How the second version differs from the first. Scores are accuracies in [0, 1]; None where they are not known."""

    before: str  # `name@version`
    after: str
    method: tuple[Changed, ...]  # the method and its settings
    training: tuple[Changed, ...]
    lineage: tuple[Changed, ...]  # base, code, parent, seeds, members
    data: tuple[SplitPair, ...]
    labels_added: tuple[str, ...]
    labels_removed: tuple[str, ...]
    parameters: tuple[int, int]
    bytes: tuple[int, int]
    validation: tuple[float | None, float | None]  # comparable where the validation rows are the same
    flips: Flips | None  # None: other test rows, or they cannot be read
    not_compared: str | None  # why not
    outcomes: tuple[str | None, str | None]  # of the verdicts
    figures: tuple[FigurePair, ...]  # where both were judged


def difference(before: Side, after: Side) -> Difference:
    """The second against the first: two versions of one task, or of two."""
    flips, not_compared = _flips(before, after)
    return Difference(
        before=str(before.record.ref),
        after=str(after.record.ref),
        method=_settings(_method(before.record), _method(after.record)),
        training=_settings(json.loads(before.record.training), json.loads(after.record.training)),
        lineage=_settings(_facts(before), _facts(after)),
        data=tuple(_split(split, before.lineage, after.lineage) for split in SPLITS),
        labels_added=_beyond(after.lineage.labels, before.lineage.labels),
        labels_removed=_beyond(before.lineage.labels, after.lineage.labels),
        parameters=(before.record.parameters, after.record.parameters),
        bytes=(before.record.bytes, after.record.bytes),
        validation=(score(before.record.validation_score), score(after.record.validation_score)),
        flips=flips,
        not_compared=not_compared,
        outcomes=(_outcome(before.verdict), _outcome(after.verdict)),
        figures=_figures(before.verdict, after.verdict),
    )


def difference_to_dict(found: Difference, texts: Mapping[int, str] | None = None) -> dict[str, Any]:
    """As one JSON object, strictly.

    Args:
        texts: of rows that flipped, where they were read again.
    """
    fields = dataclasses.asdict(found)
    pairs = ("parameters", "bytes", "validation", "outcomes")
    sides = {key: dict(zip(("before", "after"), fields[key], strict=True)) for key in pairs}
    told = {} if texts is None else {"texts": {str(row): text for row, text in sorted(texts.items())}}
    return {**fields, **sides, **told}


# Settings and facts


def _method(record: AdapterRecord) -> dict[str, Any]:
    return {"method": record.method, **json.loads(record.config)}


def _facts(side: Side) -> dict[str, Any]:
    lineage = side.lineage
    return {
        "base": lineage.base,
        "code": lineage.code or None,
        "parent": lineage.parent,
        "seed": side.record.seed,
        "seed of splits": lineage.seed,
        "members": [str(member.ref) for member in side.record.members] or None,
        "columns": list(lineage.columns),
    }


def _settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Changed, ...]:
    """Those that differ, the first's keys first."""
    keys = dict.fromkeys((*before, *after))
    pairs = ((key, _written(before.get(key)), _written(after.get(key))) for key in keys)
    return tuple(Changed(key=key, before=one, after=other) for key, one, other in pairs if one != other)


def _written(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


# Data


def _split(split: str, before: Lineage, after: Lineage) -> SplitPair:
    one, other = (next((one for one in side.sources if one.split == split), None) for side in (before, after))
    return SplitPair(split=split, before=one, after=other, same=_sha256(one) == _sha256(other))


def _sha256(source: Source | None) -> str | None:
    return None if source is None else source.sha256


def _beyond(labels: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    known = set(others)
    return tuple(label for label in labels if label not in known)


# Test rows


def _flips(before: Side, after: Side) -> tuple[Flips | None, str | None]:
    """What flipped; or why that cannot be said."""
    rows = digest_of_test(before.lineage.sources)
    if rows is None or rows != digest_of_test(after.lineage.sources):
        return None, "other test rows: not comparable"
    if before.answers is None or after.answers is None:
        return None, "what was said to the test rows cannot be read"
    one, other = _right(before.answers), _right(after.answers)
    if one.shape != other.shape:
        raise DataError(f"expected answers to the same test rows, got {len(one):,} and {len(other):,} of them")
    return (_flipped(one, other), None) if len(one) else (None, "there is no test row")


def _right(answers: KeptAnswers) -> npt.NDArray[np.bool_]:
    return np.asarray(answers.test_predictions == answers.test_labels)


def _flipped(before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> Flips:
    lost: list[int] = np.flatnonzero(before & ~after).tolist()
    won: list[int] = np.flatnonzero(~before & after).tolist()
    return Flips(
        rows=len(before),
        before=float(before.mean()),
        after=float(after.mean()),
        p_value=mcnemar(before, after),
        lost=tuple(lost),
        won=tuple(won),
    )


# Verdicts


def _outcome(verdict: Verdict | None) -> str | None:
    return None if verdict is None else verdict.outcome


def _figures(before: Verdict | None, after: Verdict | None) -> tuple[FigurePair, ...]:
    """Side by side, in the order of the second verdict, then what only the first has."""
    if before is None or after is None:
        return ()
    one, other = _by_key(before), _by_key(after)
    return tuple(
        FigurePair(rule=rule, subject=subject, figure=figure, before=one.get(key), after=other.get(key))
        for key in dict.fromkeys((*other, *one))
        for rule, subject, figure in (key,)
    )


def _by_key(verdict: Verdict) -> dict[tuple[str, str, str], float | None]:
    return {
        (finding.rule, finding.subject, figure.name): score(figure.value)
        for finding in verdict.findings
        for figure in finding.figures
    }
