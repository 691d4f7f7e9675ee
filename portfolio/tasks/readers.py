"""JSONL, CSV and TSV files as tables: rows under named columns, nothing known yet about what they mean.

TSV has no quoting of its own, yet many programs write a field in quotes with the quotes inside it doubled. Only such a
field is unquoted, so that a stray quote in a text neither vanishes nor swallows the next line.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from portfolio.tasks.faults import Faults, shown
from portfolio.tasks.lines import numbered_lines

Row = tuple[int, Mapping[str, object]]  # its number, from 1, and its values by column

_NUL, _STAND_IN = "\0", "\U0010fffe"  # csv refuses NUL before Python 3.11; the stand-in is no character of Unicode


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows that can be read once."""

    columns: tuple[str, ...]
    rows: Callable[[Sequence[str]], Iterator[Row]]  # of these columns; others may come along
    place: Callable[[int], str]  # where row number n stands, for messages


def read_jsonl(path: Path, faults: Faults) -> Table:
    """All rows of a file of JSON objects, one a line; a column is whatever any row names."""
    rows = list(_objects(path, faults))
    columns = dict.fromkeys(key for _, fields in rows for key in fields)
    return _line_table(faults.source, tuple(columns), rows)


def stream_jsonl(path: Path, faults: Faults) -> Table:
    """The same, read row by row as asked for; the first row names the columns."""
    objects = _objects(path, faults)
    first = next(objects, None)
    if first is None:
        return _line_table(faults.source, (), ())
    return _line_table(faults.source, tuple(first[1]), chain([first], objects))


def read_csv(path: Path, faults: Faults) -> Table:
    """The rows of a comma-separated file whose first line names the columns."""
    return _with_header(_csv_records(path, faults), faults)


def read_tsv(path: Path, faults: Faults) -> Table:
    """The rows of a tab-separated file whose first line names the columns."""
    lines = numbered_lines(path, faults)
    records = ((number, [_unquoted(field) for field in line.split("\t")]) for number, line in lines)
    return _with_header(records, faults)


def _line_table(source: str, columns: tuple[str, ...], rows: Iterable[Row]) -> Table:
    return Table(columns=columns, rows=lambda _: iter(rows), place=lambda number: f"{source}:{number}")


def _objects(path: Path, faults: Faults) -> Iterator[Row]:
    for number, line in numbered_lines(path, faults):
        if not line.strip():
            continue
        place = f"{faults.source}:{number}"
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            faults.add(place, f"not JSON: {error.msg} at column {error.colno}; expected one object a line")
        except (ValueError, RecursionError) as error:  # a number of 5,000 digits; brackets nested without end
            faults.add(place, f"not JSON that can be read: {type(error).__name__}")
        else:
            if isinstance(value, dict):
                yield number, value
            else:
                faults.add(place, f"expected a JSON object, one a line, got {shown(value)}")


def _csv_records(path: Path, faults: Faults) -> Iterator[tuple[int, list[str]]]:
    """Records with the number of the line each begins on; a quoted field may hold line breaks."""
    read = 0

    def lines() -> Iterator[str]:
        nonlocal read
        for number, line in numbered_lines(path, faults):
            read = number
            yield line.replace(_NUL, _STAND_IN) + "\n"

    begins = 1
    try:
        for record in csv.reader(lines(), strict=True):
            yield begins, [field.replace(_STAND_IN, _NUL) for field in record]
            begins = read + 1
    except csv.Error as error:
        faults.add(f"{faults.source}:{begins}", f"not CSV: {error}; in a quoted field, a quote is written twice")


def _unquoted(field: str) -> str:
    if len(field) < 2 or field[0] != '"' or field[-1] != '"' or '"' in field[1:-1].replace('""', ""):
        return field
    return field[1:-1].replace('""', '"')


def _with_header(records: Iterator[tuple[int, list[str]]], faults: Faults) -> Table:
    kept = ((number, record) for number, record in records if len(record) > 1 or "".join(record).strip())
    first, header = next(kept, (0, []))
    columns = tuple(name.strip() for name in header)
    repeated = [name for name in dict.fromkeys(columns) if columns.count(name) > 1]
    if repeated:
        faults.add(f"{faults.source}:{first}", f"expected column names that differ, got {shown(repeated[0])} twice")
    return _line_table(faults.source, columns, _under(columns, kept, faults))


def _under(columns: tuple[str, ...], records: Iterator[tuple[int, list[str]]], faults: Faults) -> Iterator[Row]:
    for number, record in records:
        if len(record) == len(columns):
            yield number, dict(zip(columns, record, strict=True))
        else:
            fault = f"expected {len(columns)} fields, as in the first line, got {len(record)}"
            faults.add(f"{faults.source}:{number}", fault)
