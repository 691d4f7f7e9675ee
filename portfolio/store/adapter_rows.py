"""Versions of adapters to rows and back, with their aliases and with the adapters that they are made of.

What only some versions have (the number of their members, what they were compared with, the digest of their attention)
is JSON in the column `more`, which is NULL for the others. That number is there because a lost row of the table
`member` would otherwise go unseen.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from portfolio.errors import StoreError
from portfolio.records import AdapterRecord, Compared, Member
from portfolio.refs import Ref
from portfolio.store.release_rows import delete_releases
from portfolio.store.rows import decoded, fields_of, insert
from portfolio.store.schema import knows_members

_ELSEWHERE = ("members", "comparison", "attention")  # fields that are no columns of `version`


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionBlob:
    """The blob that says how much a fusion attends to its members."""

    ref: Ref  # of the fusion
    task: str
    digest: str


def insert_adapters(db: sqlite3.Connection, adapters: Iterable[AdapterRecord]) -> None:
    """New versions; what one is made of is there, or comes before it."""
    for adapter in adapters:
        columns = [field.name for field in dataclasses.fields(adapter) if field.name not in _ELSEWHERE]
        insert(
            db,
            "version",
            {
                **{column: getattr(adapter, column) for column in columns},
                "version": int(adapter.version),
                "parameters": int(adapter.parameters),
                "bytes": int(adapter.bytes),
                "seconds": float(adapter.seconds),
                "epochs": int(adapter.epochs),
                "seed": int(adapter.seed),
                "validation_score": float(adapter.validation_score),
                "notes": json.dumps(adapter.notes),
                "more": _more_json(adapter),
            },
        )
        for place, member in enumerate(adapter.members):
            insert(
                db,
                "member",
                {
                    "name": adapter.name,
                    "version": int(adapter.version),
                    "place": place,
                    "member_name": member.name,
                    "member_version": int(member.version),
                    "member_digest": member.digest,
                },
            )


def delete_adapters(db: sqlite3.Connection, tasks: Iterable[str]) -> None:
    """Remove the adapters of these tasks, of which no other may be made, with their aliases."""
    names = [(name,) for name in tasks]
    for table in ("member", "alias"):  # the first for all tasks before any version goes, as they may need each other
        db.executemany(
            f"DELETE FROM {table} WHERE EXISTS (SELECT 1 FROM version WHERE task = ? "
            f"AND version.name = {table}.name AND version.version = {table}.version)",
            names,
        )
    delete_releases(db, [name for (name,) in names])
    db.executemany("DELETE FROM version WHERE task = ?", names)


def read_adapters(db: sqlite3.Connection) -> tuple[AdapterRecord, ...]:
    """All versions of all adapters, in the order of their tasks."""
    members = _read_members(db)
    rows = db.execute(
        "SELECT version.* FROM version JOIN task ON task.name = version.task "
        "ORDER BY task.position, version.name, version.version"
    )
    return tuple(decoded("version", row, lambda row: _adapter(row, members)) for row in rows)


def read_digest(db: sqlite3.Connection, ref: Ref) -> str | None:
    """The digest of a version; None if it is not there."""
    row = db.execute("SELECT digest FROM version WHERE name = ? AND version = ?", (ref.name, ref.version)).fetchone()
    return None if row is None else str(row["digest"])


def read_attention_blobs(db: sqlite3.Connection) -> tuple[AttentionBlob, ...]:
    """The blobs of all fusions that have one."""
    rows = db.execute("SELECT * FROM version")
    found = [decoded("version", row, lambda row: (row, _more(row).get("attention"))) for row in rows]
    return tuple(
        AttentionBlob(ref=Ref(row["name"], row["version"]), task=row["task"], digest=digest)
        for row, digest in found
        if digest is not None
    )


# One row


def _read_members(db: sqlite3.Connection) -> dict[Ref, list[Member]]:
    """The members of each version that has some, in their order."""
    members: dict[Ref, list[Member]] = {}
    if knows_members(db):
        for row in db.execute("SELECT * FROM member ORDER BY name, version, place"):
            member = Member(name=row["member_name"], version=row["member_version"], digest=row["member_digest"])
            members.setdefault(Ref(row["name"], row["version"]), []).append(member)
    return members


def _adapter(row: sqlite3.Row, members_of: dict[Ref, list[Member]]) -> AdapterRecord:
    values, more = fields_of(AdapterRecord, row), _more(row)
    ref = Ref(row["name"], row["version"])
    members = tuple(members_of.get(ref, ()))
    expected = more.get("members", 0)
    if len(members) != expected:
        raise ValueError(f"{ref} is made of {expected} adapters, but {len(members)} rows name one")
    return AdapterRecord(
        **{
            **values,
            "notes": () if values["notes"] == "[]" else tuple(json.loads(values["notes"])),
            "members": members,
            "comparison": tuple(Compared(**compared) for compared in more.get("comparison", ())),
            "attention": more.get("attention"),
        }
    )


def _more(row: sqlite3.Row) -> dict[str, Any]:
    written = row["more"] if "more" in row.keys() else None  # noqa: SIM118 - of its values, without keys()
    more: dict[str, Any] = json.loads(written) if written else {}
    return more


def _more_json(adapter: AdapterRecord) -> str | None:
    """What a version's row holds beside its first columns; None where it has nothing of the kind."""
    more = {
        "members": len(adapter.members),
        "comparison": [_compared(compared) for compared in adapter.comparison],
        "attention": adapter.attention,
    }
    filled = {key: value for key, value in more.items() if value}
    try:
        return json.dumps(filled, sort_keys=True, allow_nan=False) if filled else None
    except ValueError as error:
        raise StoreError(
            f"expected finite numbers in what {adapter.ref} was compared with, got NaN or infinity; nothing was changed"
        ) from error


def _compared(compared: Compared) -> dict[str, Any]:
    return {
        **dataclasses.asdict(compared),
        "score": float(compared.score),
        "parameters": int(compared.parameters),
        "seconds": float(compared.seconds),
        "p_value": None if compared.p_value is None else float(compared.p_value),
        "is_kept": bool(compared.is_kept),
    }
