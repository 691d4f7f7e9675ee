"""A task with several versions of its adapter, some made of others: in `portfolio show`, on a terminal and as JSON."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from portfolio.records import Attention, Compared, Member, Snapshot
from portfolio.reports.listing import print_task, print_tasks, task_to_dict, tasks_to_dict
from portfolio.reports.show import show_task

SnapshotOf = Callable[..., Snapshot]
MakeScreen = Callable[..., Any]


@pytest.fixture
def fused(snapshot_of: SnapshotOf) -> Snapshot:
    """`banking` has its own adapter and a fusion of that with `travel`'s, which is stored first, to be sorted."""
    snapshot = snapshot_of([[0.5, None], [0.75, 1.0]], names=["banking", "travel"])
    own, other = snapshot.adapters
    tried = {"made_of": "in words", "parameters": 10, "seconds": 1.0}
    fusion = dataclasses.replace(
        own,
        version=2,
        method="fusion",
        config='{"regulariser":0.01}',
        notes=("began again once",),
        members=(
            Member(name="banking", version=1, digest="1" * 64),
            Member(name="travel", version=1, digest="2" * 64),
        ),
        comparison=(
            Compared(choice="fusion", score=0.912, p_value=None, is_kept=True, **tried),
            Compared(choice="own", score=float("nan"), p_value=0.003, is_kept=False, **tried),
        ),
        attention="7" * 64,
    )
    return dataclasses.replace(snapshot, adapters=(fusion, own, other))


def test_the_newest_version_comes_last_and_is_said_to_answer(fused: Snapshot, screen: MakeScreen) -> None:
    terminal = screen()
    print_task(fused, "banking", terminal.console)
    titles = [line for line in terminal.lines() if line.startswith("adapter ")]
    assert titles == ["adapter banking@1: bottleneck", "adapter banking@2: fusion, the version that answers"]


def test_a_single_version_is_not_said_to_answer(fused: Snapshot, screen: MakeScreen) -> None:
    terminal = screen()
    print_task(fused, "travel", terminal.console)
    assert "adapter travel@1: bottleneck" in terminal.lines() and "answers" not in terminal.text()
    assert "made of" not in terminal.text() and "compared" not in terminal.text()


def test_a_version_is_shown_with_its_members_and_what_it_was_compared_with(fused: Snapshot, screen: MakeScreen) -> None:
    terminal = screen()
    print_task(fused, "banking", terminal.console)
    text = "\n".join(terminal.lines())
    assert re.search(r"^made of +banking@1, travel@1$", text, re.MULTILINE)
    assert re.search(r"^note +began again once$", text, re.MULTILINE)
    assert "what was compared before banking@2 was kept" in text
    assert "The fusion (91.2 %) is better than the target's own adapter" in text
    assert re.search(r"^fusion +in words +91\.2 +10 +1\.0 s +kept$", text, re.MULTILINE)
    assert re.search(r"^own +in words +- +10 +1\.0 s +p = \.003$", text, re.MULTILINE)


def test_the_list_names_the_method_of_the_version_that_answers(fused: Snapshot, screen: MakeScreen) -> None:
    terminal = screen()
    print_tasks(fused, terminal.console)
    assert [line.split()[2] for line in terminal.lines()[2:4]] == ["fusion", "bottleneck"]


def test_json_tells_versions_members_and_comparison_strictly(fused: Snapshot) -> None:
    shown = json.loads(json.dumps(tasks_to_dict(fused), allow_nan=False))["tasks"][0]["adapters"]
    assert [(version["ref"], version["answers"]) for version in shown] == [("banking@1", False), ("banking@2", True)]
    own, fusion = shown
    assert own["members"] == own["comparison"] == [] and own["attention_digest"] is None
    assert fusion["members"][1] == {"name": "travel", "version": 1, "digest": "2" * 64, "ref": "travel@1"}
    assert [(one["choice"], one["score"], one["p_value"], one["is_kept"]) for one in fusion["comparison"]] == [
        ("fusion", 0.912, None, True),
        ("own", None, 0.003, False),
    ]
    assert fusion["attention_digest"] == "7" * 64


def test_attention_is_shown_and_in_json_where_it_is_handed_in(
    fused: Snapshot, attention_of: Callable[..., Attention], capsys: pytest.CaptureFixture[str]
) -> None:
    attention = attention_of([[[0.75, 0.25]]], ["banking@1", "travel@1"])
    show_task(fused, "banking", attention=attention)
    assert "banking@1 is used most (75 %)" in capsys.readouterr().out
    show_task(fused, "banking", as_json=True, attention=attention)
    assert json.loads(capsys.readouterr().out)["attention"]["mean"] == {"banking@1": 0.75, "travel@1": 0.25}
    assert "attention" not in task_to_dict(fused, "banking")
