"""What commands on versions print: for people, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from portfolio.gates.verdict import Verdict
from portfolio.records import Snapshot
from portfolio.reports.at import at
from portfolio.reports.history import history
from portfolio.reports.show import show_at, show_garbage, show_gate, show_history, show_move, show_tasks

Captured = pytest.CaptureFixture[str]
EventsOf = Callable[..., Any]

VERDICT = Verdict(
    ref="banking@2",
    champion="banking@1",
    outcome="PASS",
    findings=(),
    adapter="1" * 64,
    champion_adapter="2" * 64,
    data=(),
    gates="3" * 64,
    surroundings="4" * 64,
)


@dataclass(frozen=True, kw_only=True)
class Moved:
    """As `promote` gives it."""

    alias: str = "champion"
    before: str | None = "banking@1"
    after: str | None = "banking@2"
    verdict: Verdict | None = None
    forced: str | None = None
    measured: bool = True


@dataclass(frozen=True, kw_only=True)
class File:
    """As `gc` gives it."""

    what: str = "blob"
    path: str = "blobs/ab/cd"
    bytes: int = 1500
    why: str = "no row refers to it"


@pytest.mark.parametrize(
    ("move", "is_dry_run", "said"),
    [
        (Moved(verdict=VERDICT), False, "banking@2 is the champion in the place of banking@1; its verdict is PASS"),
        (Moved(forced="at once"), False, "banking@2 is the champion in the place of banking@1; forced: at once"),
        (Moved(alias="beta", before=None), True, "banking@2 would be the beta"),
        (Moved(before="banking@2"), False, "banking@2 is the champion"),
    ],
)
def test_a_move_is_told_in_a_line(move: Moved, is_dry_run: bool, said: str, capsys: Captured) -> None:
    show_move(move, is_dry_run, as_json=False)
    assert capsys.readouterr().out == f"{said}\n"


def test_a_move_is_told_as_json(capsys: Captured) -> None:
    show_move(Moved(verdict=VERDICT, measured=False), is_dry_run=True, as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "alias": "champion",
        "before": "banking@1",
        "after": "banking@2",
        "forced": None,
        "measured": False,
        "outcome": "PASS",
        "dry_run": True,
    }


@pytest.mark.parametrize(
    ("files", "is_dry_run", "said"),
    [
        ([], False, ["nothing to delete"]),
        ([File()], False, ["blob: blobs/ab/cd, 1.5 kB: no row refers to it", "1 file, 1.5 kB, deleted"]),
        ([File()], True, ["blob: blobs/ab/cd, 1.5 kB: no row refers to it", "1 file, 1.5 kB, would be deleted"]),
    ],
)
def test_garbage_is_told_file_by_file(files: list[File], is_dry_run: bool, said: list[str], capsys: Captured) -> None:
    show_garbage(files, is_dry_run, as_json=False)
    assert capsys.readouterr().out.splitlines() == said


def test_garbage_is_told_as_json(capsys: Captured) -> None:
    show_garbage([File(), File(bytes=500)], is_dry_run=False, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["bytes"], told["dry_run"], told["garbage"][0]["path"]) == (2000, False, "blobs/ab/cd")


def test_a_verdict_is_told_both_ways(capsys: Captured) -> None:
    show_gate(VERDICT, as_json=True)
    assert json.loads(capsys.readouterr().out)["outcome"] == "PASS"
    show_gate(VERDICT, as_json=False)
    assert capsys.readouterr().out.startswith("PASS banking@2")


def test_history_and_what_answered_are_told_both_ways(events_of: EventsOf, capsys: Captured) -> None:
    events = events_of(("add-task", "banking", {"by": "ana", "adapters": {"banking@1": "1" * 64}, "generation": 1}))
    lines, serving = history(events), at(events, "2026-11-01")
    show_history(lines, as_json=True)
    assert json.loads(capsys.readouterr().out)["history"][0]["by"] == "ana"
    show_at(serving, as_json=True)
    assert json.loads(capsys.readouterr().out)["tasks"][0]["adapter"] == "banking@1"
    show_history(lines, as_json=False)
    show_at(serving, as_json=False)
    shown = capsys.readouterr().out
    assert "by ana; generation 1" in shown and "2026-11-01 10:00 UTC  came  111111111111" in shown


def test_a_listing_takes_tags(snapshot_of: Callable[..., Snapshot], capsys: Captured) -> None:
    show_tasks(snapshot_of([[1.0]]), as_json=True, tags={"tenant": "acme"})
    assert json.loads(capsys.readouterr().out)["tasks"] == []
    show_tasks(snapshot_of([[1.0]]), as_json=False, tags={"tenant": "acme"})
    assert capsys.readouterr().out == "No task has the tags tenant = acme.\n"
