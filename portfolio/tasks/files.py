"""One split, or unlabelled texts, out of one place: columns chosen, every row checked."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from portfolio.errors import DataError
from portfolio.tasks.columns import GUESS, ChosenColumns, Columns, choose_columns
from portfolio.tasks.faults import Faults, listed, shown
from portfolio.tasks.lines import numbered_lines
from portfolio.tasks.locations import Location, locate, require_file
from portfolio.tasks.readers import Row, Table, stream_jsonl
from portfolio.tasks.splits import Split

Where = Mapping[str, str]  # keep only the rows whose column has this value


class HiddenLabels(DataError):
    """No row of a split has a label, as in the test sets of some competitions."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A split and the columns that it was read from."""

    split: Split
    columns: ChosenColumns
    other_labels: tuple[str, ...]  # of the rows left out for their label, sorted


def read_split(location: str | Path, split: str, columns: Columns = GUESS, where: Where | None = None) -> Split:
    """The rows of one place, checked.

    Args:
        location: a file, a directory written by `save_to_disk`, or `hub:NAME[:CONFIG]`.
        split: `train`, `validation` or `test`, for a place that holds several.
        columns: which ones to read; those left None are guessed.
        where: keep only the rows whose columns have these values.

    Raises:
        DataError: nothing can be read there, or some rows cannot be used; all faults of a file are named together.
    """
    return read_rows(locate(location), split, columns, where or {}).split


def read_rows(
    location: Location,
    split: str,
    columns: Columns,
    where: Where,
    wanted: Collection[str] = (),
    *,
    beside: bool = False,
) -> Reading:
    """What `read_split` gives, with the columns that were chosen; only rows with a wanted label, if any is wanted.

    Args:
        beside: the other columns of the rows are kept, too.
    """
    faults = Faults(location.shown)
    table = location.open_table(split, faults)
    chosen = _chosen(table, columns, faults)
    assert chosen.label is not None
    names = [name for name in (chosen.text, chosen.pair) if name is not None]
    texts: list[list[str]] = [[] for _ in names]
    labels: list[str] = []
    more: dict[str, list[str]] = {name: [] for name in chosen.unused} if beside else {}
    others: set[str] = set()
    rows = unlabelled = 0
    for number, fields in _kept(table, [*names, chosen.label, *more], where, faults):
        rows += 1
        unlabelled += fields.get(chosen.label) is None
        label = _as_name(fields.get(chosen.label))
        if wanted and label not in wanted:
            others.update([] if label is None else [label])
            continue
        place = table.place(number)
        for name, column in zip(names, texts, strict=True):
            column.append(_text_of(fields, name, place, faults))
        labels.append(_label_of(fields, chosen.label, place, faults))
        for name, column in more.items():
            column.append(as_written(fields.get(name)))
    if rows and unlabelled == rows:
        raise HiddenLabels(f"{location.shown}: no row of the {split} split has a label in {shown(chosen.label)}")
    faults.raise_if_any()
    pairs = tuple(texts[1]) if chosen.pair is not None else None
    kept = Split(
        texts=tuple(texts[0]),
        pairs=pairs,
        labels=tuple(labels),
        beside={name: tuple(column) for name, column in more.items()},
    )
    return Reading(split=kept, columns=chosen, other_labels=tuple(sorted(others)))


def read_routed(location: str | Path, task_column: str, columns: Columns = GUESS) -> Split:
    """The rows of one place, whose labels are the names of the tasks that they belong to.

    Raises:
        DataError: as for `read_split`; there is no such column.
    """
    place = locate(location)
    faults = Faults(place.shown)
    found = place.open_table("test", faults).columns
    if found and task_column not in found:
        hint = "name it with --task-column, or with --task the one task of all rows"
        fault = f"no column {shown(task_column)} of true tasks: {hint}; its columns are {listed(list(found))}"
        faults.add(faults.source, fault)
        faults.raise_if_any()
    return read_rows(place, "test", replace(columns, label=task_column), {}).split


def read_all_texts(location: str | Path, columns: Columns = GUESS, *, label: str) -> Split:
    """All texts of one place, labels not needed there, as rows of one label.

    Raises:
        DataError: a line cannot be used, or there is no text.
    """
    rows = list(read_texts(location, columns))
    if not rows:
        raise DataError(f"{location}: expected texts, got none")
    pairs = tuple(pair for _, pair in rows if pair is not None)
    return Split(texts=tuple(text for text, _ in rows), pairs=pairs or None, labels=(label,) * len(rows))


def read_texts(location: str | Path, columns: Columns = GUESS) -> Iterator[tuple[str, str | None]]:
    """Each text with its pair or None, labels not needed; a `.txt` file holds one text a line.

    Files of lines are read as they are asked for, so a fault is raised when its line is reached.

    Raises:
        DataError: at the first line that cannot be used.
    """
    path = Path(location)
    if path.suffix.lower() == ".txt" and not os.path.isdir(path):
        return _plain_texts(path)
    return _texts_of_table(location, columns)


@dataclass(frozen=True, kw_only=True)
class TextRow:
    """A text with the other columns of its row."""

    place: str  # where it stands, for messages
    text: str
    pair: str | None
    fields: Mapping[str, object]  # every column of the row


def read_text_rows(at: Location, faults: Faults, columns: Columns = GUESS) -> list[TextRow]:
    """All texts of one place, of its test split where it holds several. What cannot be used is noted, and an empty text.

    Raises:
        DataError: it has no column of texts, or nothing can be read there; with the faults noted before.
    """
    table = at.open_table("test", faults)
    chosen = _chosen(table, columns, faults, with_label=False)
    names = [name for name in (chosen.text, chosen.pair) if name is not None]
    rows = []
    for number, fields in _kept(table, table.columns, {}, faults):
        place = table.place(number)
        text, *pair = [_text_of(fields, name, place, faults) for name in names]
        rows.append(TextRow(place=place, text=text, pair=pair[0] if pair else None, fields=fields))
    return rows


def _plain_texts(path: Path) -> Iterator[tuple[str, str | None]]:
    require_file(path)
    faults = Faults(str(path))
    for _, line in numbered_lines(path, faults):
        faults.raise_if_any()
        if line.strip():
            yield line, None
    faults.raise_if_any()


def _texts_of_table(location: str | Path, columns: Columns) -> Iterator[tuple[str, str | None]]:
    faults = Faults(str(location))
    path = Path(location)
    if path.suffix.lower() in (".jsonl", ".json") and not os.path.isdir(path):
        require_file(path)
        table = stream_jsonl(path, faults)
    else:
        table = locate(location).open_table("test", faults)
    chosen = _chosen(table, columns, faults, with_label=False)
    names = [name for name in (chosen.text, chosen.pair) if name is not None]
    for number, fields in _kept(table, names, {}, faults):
        text, *pair = [_text_of(fields, name, table.place(number), faults) for name in names]
        faults.raise_if_any()
        yield text, pair[0] if pair else None
    faults.raise_if_any()


def _chosen(table: Table, columns: Columns, faults: Faults, *, with_label: bool = True) -> ChosenColumns:
    if not table.columns:
        faults.raise_if_any()
        raise DataError(f"{faults.source}: expected examples, got an empty file")
    return choose_columns(table.columns, columns, faults, with_label=with_label)


def _kept(table: Table, names: Sequence[str], where: Where, faults: Faults) -> Iterator[Row]:
    """The rows that `where` keeps; that there are none is a fault."""
    missing = [name for name in where if name not in table.columns]
    if missing:
        columns = listed(list(table.columns))
        faults.add(faults.source, f"no column {shown(missing[0])} to filter by; its columns are {columns}")
        return
    kept = False
    others: dict[str, None] = {}  # a set in order
    for number, fields in table.rows(list(dict.fromkeys([*names, *where]))):
        if all(_as_name(fields.get(name)) == value for name, value in where.items()):
            kept = True
            yield number, fields
        else:
            others.update(dict.fromkeys(f"{name} = {_as_name(fields.get(name))}" for name in where))
    if not kept and others:
        wanted = ", ".join(f"{name} = {value}" for name, value in where.items())
        faults.add(faults.source, f"no row has {wanted}; what came is {listed(list(others))}")
    elif not kept:
        faults.add(faults.source, "expected examples, got none")


def _text_of(fields: Mapping[str, object], name: str, place: str, faults: Faults) -> str:
    """The text in column `name`, or a fault and an empty string."""
    value = fields.get(name)
    if value is None:
        fault = f"the row has no {shown(name)}"
    elif not isinstance(value, str):
        fault = f"expected text in {shown(name)}, got {shown(value)}"
    elif not value.strip():
        fault = f"the text in {shown(name)} is empty"
    elif not _is_unicode(value):
        fault = f"the text in {shown(name)} holds half of a surrogate pair, which is no character"
    else:
        return value
    faults.add(place, fault)
    return ""


def _label_of(fields: Mapping[str, object], name: str, place: str, faults: Faults) -> str:
    """The label in column `name`, or a fault and an empty string."""
    value = fields.get(name)
    label = _as_name(value)
    if value is None:
        fault = f"the row has no label in {shown(name)}"
    elif label is None:
        fault = f"expected a label that is text or a whole number in {shown(name)}, got {shown(value)}"
    elif not label.strip() or not _is_unicode(label):
        fault = f"expected a label in {shown(name)}, got {shown(label)}"
    else:
        return label
    faults.add(place, fault)
    return ""


def _as_name(value: object) -> str | None:
    """A label as text: `true` for True, `3` for 3 and 3.0; None for what is no label."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, (str, int)) else None


def as_written(value: object) -> str:
    """A value of a column beside text and label, as text: empty where there is none, JSON where it is no single value."""
    if value is None:
        return ""
    name = _as_name(value)
    return json.dumps(value, sort_keys=True, default=str) if name is None else name


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
