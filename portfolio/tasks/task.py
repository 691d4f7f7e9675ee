"""One task: its splits read, held out where none was given, and checked against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from portfolio.errors import DataError, require
from portfolio.records import Source
from portfolio.refs import check_name
from portfolio.tasks.columns import GUESS, ChosenColumns, Columns
from portfolio.tasks.faults import listed, shown
from portfolio.tasks.files import HiddenLabels, Reading, Where, read_rows
from portfolio.tasks.locations import Location, locate
from portfolio.tasks.splits import Split, count_repeats, hold_out

UNKNOWN_LABELS = ("error", "drop", "keep")
_HELD_OUT_SHARE = 10  # one row in ten
_MOST_HELD_OUT = 2000  # rows
_UNEVEN = 10  # times: from here on, the imbalance of classes is said
_LISTED_LABELS = 8


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """A task as read: everything that training and evaluation need."""

    name: str
    labels: tuple[str, ...]  # of train, sorted
    train: Split
    validation: Split
    test: Split
    columns: tuple[str, str | None, str]  # text, pair, label
    sources: tuple[Source, ...]  # of train, validation, test
    seed: int
    where: tuple[tuple[str, str], ...]  # the rows kept: column and value
    notes: tuple[str, ...]  # what a user should know: guesses, held-out rows, repeats, imbalance


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A split and where it came from."""

    split: Split
    location: Location
    held_out: bool


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """Which rows are read of every split."""

    where: Where
    labels: tuple[str, ...]  # none for all
    beside: bool  # the other columns of the rows, too


def read_task(
    name: str,
    train: str | Path,
    validation: str | Path | None = None,
    test: str | Path | None = None,
    *,
    columns: Columns = GUESS,
    seed: int = 0,
    unknown_labels: str = "error",
    where: Where | None = None,
    labels: Sequence[str] = (),
    beside: bool = False,
) -> TaskData:
    """The task whose examples stand in these places.

    A split that is not given is the one of that name in the set that `train` names, where it names a set of several
    splits; otherwise one row in ten of train, at most 2,000, stratified.

    Args:
        seed: of the rows held out.
        unknown_labels: what to do with rows of validation and test whose label train lacks: `error`, `drop` them, or
            `keep` them, which counts them as wrong for ever.
        where: keep only the rows whose columns have these values.
        labels: keep only the rows with one of these labels, each of which train must have; none named for all.
        beside: the other columns of every row are kept, too.

    Raises:
        DataError: some examples cannot be used; all faults of a file are named together.
        InvalidName: of the task.
        ConfigError: `unknown_labels` is none of the three.
    """
    check_name(name, "task name")
    require(
        unknown_labels in UNKNOWN_LABELS,
        f"--unknown-labels must be one of {', '.join(UNKNOWN_LABELS)}, got {shown(unknown_labels)}",
    )
    kept = _Kept(where=where or {}, labels=tuple(labels), beside=beside)
    notes: list[str] = []
    at = locate(train)
    reading = read_rows(at, "train", columns, kept.where, kept.labels, beside=beside)
    _require_labels(kept, reading, "train", at)
    notes.extend(_reading_notes(reading.columns, kept))
    whole = reading.split
    known = _labels(whole, at)
    rest = whole
    parts: dict[str, _Part] = {}
    for split, location in (("test", test), ("validation", validation)):  # test first: it stays when one is given
        part = _given(split, location, at, reading.columns, kept, notes)
        if part is None:
            rest, held = _held_out(rest, len(whole), split, at, seed, notes)
            parts[split] = _Part(split=held, location=at, held_out=True)
        else:
            checked = _with_known_labels(part.split, set(known), split, part.location, unknown_labels, notes)
            parts[split] = _Part(split=checked, location=part.location, held_out=False)
    parts["train"] = _Part(split=rest, location=at, held_out=False)
    notes.extend(_repeat_notes(parts, whole))
    notes.extend(_imbalance_notes(rest))
    assert reading.columns.label is not None
    return TaskData(
        name=name,
        labels=known,
        train=rest,
        validation=parts["validation"].split,
        test=parts["test"].split,
        columns=(reading.columns.text, reading.columns.pair, reading.columns.label),
        sources=tuple(_source(split, parts[split]) for split in ("train", "validation", "test")),
        seed=seed,
        where=tuple(kept.where.items()),
        notes=tuple(notes),
    )


def _require_labels(kept: _Kept, reading: Reading, split: str, at: Location) -> None:
    """Raise DataError where train lacks a label that is to be kept, or another split has none of them."""
    missing = sorted(set(kept.labels) - set(reading.split.labels))
    if missing and (split == "train" or not reading.split):
        found = sorted({*reading.split.labels, *reading.other_labels})
        raise DataError(
            f"{at.shown}: no row of {split} has the label {listed(missing, _LISTED_LABELS)}; "
            f"its labels are {listed(found)}"
        )


def _reading_notes(columns: ChosenColumns, kept: _Kept) -> list[str]:
    notes = []
    chosen = {"text": columns.text, "pair": columns.pair, "label": columns.label}
    if columns.guessed:
        guessed = ", ".join(f"{role} {shown(chosen[role])}" for role in columns.guessed)
        unused = ", ".join(shown(column) for column in columns.unused if column not in kept.where)
        notes.append(f"columns guessed: {guessed}" + (f"; not used: {unused}" if unused else ""))
    if kept.where:
        values = ", ".join(f"{column} = {shown(value)}" for column, value in kept.where.items())
        notes.append(f"only rows with {values}")
    if kept.labels:
        notes.append(f"only rows with {len(kept.labels)} labels: {listed(list(kept.labels), 3)}")
    return notes


def _labels(train: Split, at: Location) -> tuple[str, ...]:
    labels = tuple(sorted(set(train.labels)))
    if len(labels) == 1:
        raise DataError(
            f"{at.shown}: expected two classes or more, got one: all {len(train)} rows are {shown(labels[0])}"
        )
    return labels


def _given(
    split: str, location: str | Path | None, train: Location, columns: ChosenColumns, kept: _Kept, notes: list[str]
) -> _Part | None:
    """The split that the user named, or that the set of train holds; None if neither."""
    if location is not None:
        at = locate(location)
    elif train.has(split):
        at = train
    else:
        return None
    try:
        reading = read_rows(at, split, columns.said(), kept.where, kept.labels, beside=kept.beside)
    except HiddenLabels:
        if location is not None:
            raise
        notes.append(f"{split}: the {split} split of {at.shown} hides its labels and is not used")
        return None
    _require_labels(kept, reading, split, at)
    return _Part(split=reading.split, location=at, held_out=False)


def _held_out(
    rest: Split, train_rows: int, split: str, at: Location, seed: int, notes: list[str]
) -> tuple[Split, Split]:
    wanted = min(_MOST_HELD_OUT, max(1, round(train_rows / _HELD_OUT_SHARE)))
    stays, held = hold_out(rest, wanted, seed, split)
    if not held:
        raise DataError(
            f"{at.shown}: no {split} split can be held out of {train_rows} rows, as each class keeps one and equal texts "
            f"stay together; give one with --{split}"
        )
    notes.append(f"{split}: {len(held)} of {train_rows} rows held out of train, stratified, seed {seed}")
    return stays, held


def _with_known_labels(
    split: Split, known: set[str], name: str, at: Location, unknown_labels: str, notes: list[str]
) -> Split:
    """The split, without rows of unknown labels if those are to be dropped."""
    unknown = Counter(label for label in split.labels if label not in known)
    if not unknown:
        return split
    counts = ", ".join(f"{shown(label)} ({count})" for label, count in unknown.most_common(_LISTED_LABELS))
    if len(unknown) > _LISTED_LABELS:
        counts += f" and {len(unknown) - _LISTED_LABELS} more labels"
    found = f"{unknown.total()} of {len(split)} rows have labels that train lacks: {counts}"
    if unknown_labels == "error":
        raise DataError(
            f"{at.shown}: {found}; leave them out with --unknown-labels drop, "
            "or keep them, counted as wrong, with --unknown-labels keep"
        )
    if unknown_labels == "keep":
        notes.append(f"{name}: {found}; kept, and always counted as wrong")
        return split
    kept = split.select([row for row, label in enumerate(split.labels) if label in known])
    if not kept:
        raise DataError(f"{at.shown}: {found}; without them no row is left")
    notes.append(f"{name}: {found}; dropped")
    return kept


def _repeat_notes(parts: dict[str, _Part], train: Split) -> list[str]:
    """What given splits share with all of train; held-out ones share nothing with what stays."""
    notes = []
    for name in ("validation", "test"):
        repeats = 0 if parts[name].held_out else count_repeats(parts[name].split, train)
        if repeats:
            notes.append(f"{name}: {repeats} of {len(parts[name].split)} rows repeat a text of train; kept")
    return notes


def _imbalance_notes(train: Split) -> list[str]:
    counts = Counter(train.labels).most_common()
    (most, largest), (least, smallest) = counts[0], counts[-1]
    if largest < _UNEVEN * smallest:
        return []
    return [f"classes are uneven in train: {shown(most)} has {largest} rows, {shown(least)} has {smallest}"]


def _source(split: str, part: _Part) -> Source:
    return Source(
        split=split,
        path=part.location.recorded,
        sha256=part.split.digest(),
        rows=len(part.split),
        held_out_of="train" if part.held_out else None,
    )
