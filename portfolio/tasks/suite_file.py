"""A shared evaluation suite: texts, and what is expected of whoever answers them; from a file, and as stored.

Beside the text, and its pair, a row may say: `label`, what an adapter that knows this label must say with its task given;
`task`, where the router must send it; `abstain`, true where the portfolio must refuse it; `never`, a label that must not be
said; `at_most`, how sure at most an adapter may be of any label. A row that says none of these counts for divergence alone.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from portfolio.errors import DamagedBlob
from portfolio.tasks.faults import Faults, shown
from portfolio.tasks.files import TextRow, as_written, read_text_rows
from portfolio.tasks.locations import locate

FORMAT = "suite-1"
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteText:
    """One row. What is None is not expected of anybody."""

    text: str
    pair: str | None = None
    label: str | None = None
    task: str | None = None
    abstain: bool = False
    never: str | None = None
    at_most: float | None = None  # probability, in [0, 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteFile:
    """A suite as read."""

    source: str  # absolute path, or `hub:NAME[:CONFIG]`
    rows: tuple[SuiteText, ...]


def read_suite(place: str | Path) -> SuiteFile:
    """The suite in that place.

    Raises:
        DataError: some rows cannot be used; all faults are named together.
    """
    at = locate(place)
    faults = Faults(at.shown)
    rows = tuple(_row(one, faults) for one in read_text_rows(at, faults))
    faults.raise_if_any()
    return SuiteFile(source=at.recorded, rows=rows)


def suite_to_bytes(rows: Sequence[SuiteText]) -> bytes:
    """Canonical JSON: equal suites give equal bytes. What is not expected is left out."""
    fields = (dataclasses.asdict(row) for row in rows)
    said = [{key: value for key, value in row.items() if value is not None and value is not False} for row in fields]
    document = {"format": FORMAT, "rows": said}
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def suite_from_bytes(data: bytes) -> tuple[SuiteText, ...]:
    """What `suite_to_bytes` wrote.

    Raises:
        DamagedBlob: the bytes are anything else.
    """
    try:
        document = json.loads(data)
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']!r}")
        return tuple(SuiteText(**row) for row in document["rows"])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedBlob(f"expected the rows of a suite, got bytes that are none: {error}") from error


def _row(row: TextRow, faults: Faults) -> SuiteText:
    label, never = _name(row, "label"), _name(row, "never")
    if label is not None and label == never:
        faults.add(row.place, f"{shown(label)} is expected in 'label', and 'never' forbids it")
    return SuiteText(
        text=row.text,
        pair=row.pair,
        label=label,
        task=_name(row, "task"),
        abstain=_yes(row, faults),
        never=never,
        at_most=_share(row, faults),
    )


def _name(row: TextRow, column: str) -> str | None:
    """What stands there; None where nothing does. NaN is how a table of numbers says that."""
    value = row.fields.get(column)
    if isinstance(value, float) and math.isnan(value):
        return None
    return as_written(value) or None


def _yes(row: TextRow, faults: Faults) -> bool:
    written = (_name(row, "abstain") or "false").lower()
    if written not in (*_YES, *_NO):
        faults.add(row.place, f"expected true, false or nothing in 'abstain', got {shown(row.fields['abstain'])}")
    return written in _YES


def _share(row: TextRow, faults: Faults) -> float | None:
    written = _name(row, "at_most")
    if written is None:
        return None
    try:
        share = float(written)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:  # NaN, too
        faults.add(row.place, f"expected a probability from 0 to 1 in 'at_most', got {shown(row.fields['at_most'])}")
    return share
