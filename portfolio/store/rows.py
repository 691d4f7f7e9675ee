"""Records to rows and back; for adapters see adapter_rows.py, for results result_rows.py.

Every function works in the caller's transaction.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from portfolio.errors import StoreError
from portfolio.records import (
    BaseContract,
    FirstLook,
    Moment,
    RouterState,
    RouterWishes,
    Source,
    TaskRecord,
    from_json,
    to_json,
)
from portfolio.store.checksums import checksum
from portfolio.store.schema import knows_moments

_Record = TypeVar("_Record")
_Values = dict[str, Any]  # column name to value


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened to a portfolio."""

    at: str  # ISO 8601, UTC
    action: str  # `init`, `add-task`, `remove-task`, `measure`, `tagged`, `calibrated`, and those of releases.py
    subject: str  # a task's name; for `init` the base's, for `measure` the steps, for `calibrated` the word `router`
    detail: str  # a JSON object


def insert(db: sqlite3.Connection, table: str, values: _Values) -> None:
    """A new row, with its checksum."""
    row = {column: _as_read_back(value) for column, value in values.items()}
    row["checksum"] = checksum(row)
    columns = ", ".join(row)
    places = ", ".join(f":{column}" for column in row)
    db.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", row)


def storable(text: str) -> str:
    """The same text, but with half a character, which a path may hold and UTF-8 cannot, as in JSON: `\\udce9`."""
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8")


def _as_read_back(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    return value + 0.0 if isinstance(value, float) else value  # SQLite keeps no -0.0


# The portfolio itself


def contract_json(contract: BaseContract) -> str:
    """The canonical JSON of a contract, also where a path in it is not valid UTF-8."""
    return storable(to_json(contract))


def insert_portfolio(db: sqlite3.Connection, contract: BaseContract, now: str) -> None:
    insert(db, "portfolio", {"one": 1, "generation": 0, "contract": contract_json(contract), "created_at": now})


def read_contract_json(db: sqlite3.Connection) -> str:
    """The contract's JSON as it was written, which a record that has grown a field since would give differently."""
    return decoded("portfolio", _only(db, "portfolio"), lambda row: str(row["contract"]))


def read_contract(db: sqlite3.Connection) -> BaseContract:
    return decoded("portfolio", _only(db, "portfolio"), lambda row: from_json(BaseContract, row["contract"]))


def read_generation(db: sqlite3.Connection) -> int:
    return decoded("portfolio", _only(db, "portfolio"), lambda row: int(row["generation"]))


def advance_generation(db: sqlite3.Connection) -> int:
    """Add one to the generation, and give the new one."""
    generation = read_generation(db) + 1
    row = {**_only(db, "portfolio"), "generation": generation}
    db.execute("UPDATE portfolio SET generation = ?, checksum = ?", (generation, checksum(row)))
    return generation


# Tasks


def insert_task(db: sqlite3.Connection, task: TaskRecord) -> None:
    """Put the task at the next position."""
    position = db.execute("SELECT COALESCE(MAX(position), 0) + 1 FROM task").fetchone()[0]
    insert(
        db,
        "task",
        {
            **{field.name: getattr(task, field.name) for field in dataclasses.fields(task)},
            "position": position,
            "labels": json.dumps(task.labels),
            "has_pairs": int(task.has_pairs),
            "columns": json.dumps(task.columns),
            "sources": json.dumps([dataclasses.asdict(source) for source in task.sources]),
            "seed": int(task.seed),
            "notes": json.dumps(task.notes),
            "tags": _tags_json(dict(task.tags)),
        },
    )


def set_tags(db: sqlite3.Connection, name: str, tags: Mapping[str, str]) -> dict[str, str]:
    """Replace the tags of a task that is there, and give those it had.

    Raises:
        StoreError: the row was damaged before; a new checksum would hide that.
    """
    row = db.execute("SELECT * FROM task WHERE name = ?", (name,)).fetchone()
    earlier = decoded("task", row, _task)
    require_intact("task", row)
    changed = {**row, "tags": _tags_json(tags)}
    db.execute("UPDATE task SET tags = ?, checksum = ? WHERE name = ?", (changed["tags"], checksum(changed), name))
    return dict(earlier.tags)


def delete_task(db: sqlite3.Connection, name: str) -> None:
    """Remove a task, whose adapters and results are gone already."""
    db.execute("DELETE FROM task WHERE name = ?", (name,))


def task_names(db: sqlite3.Connection) -> list[str]:
    """The names of all tasks, in the order they were added."""
    return [row["name"] for row in db.execute("SELECT name FROM task ORDER BY position")]


def read_tasks(db: sqlite3.Connection) -> tuple[TaskRecord, ...]:
    rows = db.execute("SELECT * FROM task ORDER BY position")
    return tuple(decoded("task", row, _task) for row in rows)


# The router


def put_router(db: sqlite3.Connection, router: RouterState | None) -> None:
    """Write the router's state in the place of the earlier one; None removes it."""
    db.execute("DELETE FROM router")
    if router is not None:
        insert(
            db,
            "router",
            {
                "one": 1,
                "totals": router.totals,
                "threshold": float(router.threshold),
                "temperature": float(router.temperature),
                "shrinkage": float(router.shrinkage),
                "coverage": float(router.wishes.coverage),
                "more": _more_json(router),
            },
        )


def read_router(db: sqlite3.Connection) -> RouterState | None:
    row = db.execute("SELECT * FROM router").fetchone()
    return None if row is None else decoded("router", row, _router)


def router_to_json(router: RouterState) -> str:
    """All of a router's state as one text, for where it is not the state that holds now."""
    columns = ("totals", "threshold", "temperature", "shrinkage")
    return json.dumps({**{key: getattr(router, key) for key in columns}, "more": json.loads(_more_json(router))})


def router_from_json(text: str) -> RouterState:
    """What `router_to_json` wrote."""
    fields = json.loads(text)
    more = fields.pop("more")
    return _state(fields, more, RouterWishes(**more["wishes"]))


# Events


def append_event(db: sqlite3.Connection, event: Event) -> None:
    number = db.execute("SELECT COALESCE(MAX(number), 0) + 1 FROM event").fetchone()[0]
    insert(db, "event", {"number": number, **dataclasses.asdict(event)})


def read_events(db: sqlite3.Connection) -> tuple[Event, ...]:
    """All events, oldest first; by number, as a clock may have gone backwards."""
    rows = db.execute("SELECT at, action, subject, detail FROM event ORDER BY number")
    return tuple(decoded("event", row, lambda values: Event(**dict(values))) for row in rows)


def read_last_event(db: sqlite3.Connection) -> Event:
    """The newest; there is always that of `init`."""
    row = db.execute("SELECT at, action, subject, detail FROM event ORDER BY number DESC LIMIT 1").fetchone()
    return decoded("event", row, lambda values: Event(**dict(values)))


def insert_moment(db: sqlite3.Connection, moment: Moment) -> None:
    insert(db, "moment", dataclasses.asdict(moment))


def read_moments(db: sqlite3.Connection) -> tuple[Moment, ...]:
    """All moments, oldest first; none in a portfolio of an older schema."""
    if not knows_moments(db):
        return ()
    rows = db.execute("SELECT generation, at, action, subject, step, outcomes FROM moment ORDER BY generation")
    return tuple(decoded("moment", row, lambda values: Moment(**dict(values))) for row in rows)


# Shared by all tables


def _only(db: sqlite3.Connection, table: str) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute(f"SELECT * FROM {table}").fetchone()
    if row is None:
        raise StoreError(f"portfolio.db is damaged: its table {table!r} is empty; restore it from a copy")
    return row


def decoded(table: str, row: sqlite3.Row, decode: Callable[[sqlite3.Row], _Record]) -> _Record:
    """`decode(row)`.

    Raises:
        StoreError: that did not work, as the row is damaged.
    """
    try:
        return decode(row)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise StoreError(
            f"portfolio.db is damaged: a row of its table {table!r} cannot be read ({error}); restore it from a copy"
        ) from error


def require_intact(table: str, row: sqlite3.Row) -> None:
    """Nothing, if a row that is to be changed is as it was written.

    Raises:
        StoreError: it was damaged before; a new checksum would hide that.
    """
    if row["checksum"] != checksum(dict(row)):
        key = row.keys()[0]
        raise StoreError(
            f"portfolio.db is damaged: a row of its table {table!r} ({key} {row[key]!r}) is not as it was written, as its "
            "checksum differs; restore it from a copy"
        )


def fields_of(kind: type[Any], row: sqlite3.Row) -> _Values:
    """The fields that the row has a column for; one that a later migration adds keeps the record's default."""
    held = dict(row)
    return {name: held[name] for name in kind.__dataclass_fields__ if name in held}  # fields() takes as long as reading


def _task(row: sqlite3.Row) -> TaskRecord:
    values = fields_of(TaskRecord, row)
    texts = (*(values[key] for key in ("labels", "columns", "sources", "notes")), values.get("tags") or "{}")
    labels, columns, sources, notes, tags = json.loads(f"[{','.join(texts)}]")  # together: of many rows half the time
    return TaskRecord(
        **{
            **values,
            "labels": tuple(labels),
            "has_pairs": bool(values["has_pairs"]),
            "columns": tuple(columns),
            "sources": tuple(Source(**source) for source in sources),
            "notes": tuple(notes),
            "tags": tuple(tags.items()),
        }
    )


def _tags_json(tags: Mapping[str, str]) -> str | None:
    return json.dumps(dict(tags), sort_keys=True) if tags else None


def _router(row: sqlite3.Row) -> RouterState:
    more = json.loads(dict(row).get("more") or "{}")
    wishes = RouterWishes(**more.get("wishes", {"coverage": row["coverage"]}))
    return _state(fields_of(RouterState, row), more, wishes)


def _state(fields: Mapping[str, Any], more: Mapping[str, Any], wishes: RouterWishes) -> RouterState:
    first_look = more.get("first_look")
    look = None if first_look is None else FirstLook(**first_look)
    return RouterState(**{**fields, **more, "wishes": wishes, "first_look": look})


def _more_json(router: RouterState) -> str:
    """What a router's row holds beside its first columns."""
    look = router.first_look
    more = {
        "wishes": dataclasses.asdict(router.wishes),
        "first_look": look and {field: _number(value) for field, value in dataclasses.asdict(look).items()},
        "own_share": _number(router.own_share),
        "ece_before": _measured(router.ece_before),
        "ece": _measured(router.ece),
        "asked": _measured(router.asked),
    }
    return json.dumps(more, sort_keys=True)


def _number(value: float) -> float:
    """The number itself. A column refuses NaN, which becomes NULL there; JSON would keep it."""
    if math.isnan(value):
        raise StoreError("expected numbers in the router's state, got NaN; nothing was changed")
    return float(value)


def _measured(score: float | None) -> float | None:
    return None if score is None or math.isnan(score) else float(score)
