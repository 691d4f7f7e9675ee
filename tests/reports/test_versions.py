"""A task with several versions of its adapter, some made of others: in `portfolio show`, on a terminal and as JSON."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from portfolio.errors import NotFound
from portfolio.gates.verdict import Verdict
from portfolio.records import Alias, Attention, Compared, Lineage, Member, Snapshot, Source
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


def with_champion(snapshot: Snapshot, version: int, **aliases: int) -> Snapshot:
    """The same, but that version of `banking` answers, and other aliases name others."""
    named = {"champion": version, **aliases}
    return dataclasses.replace(
        snapshot, aliases=tuple(Alias(name="banking", alias=alias, version=number) for alias, number in named.items())
    )


def lineage(version: int, **fields: Any) -> Lineage:
    return Lineage(
        **{
            "name": "banking",
            "version": version,
            "labels": ("no", "yes"),
            "has_pairs": False,
            "columns": ("text", None, "label"),
            "sources": (
                Source(split="train", path="/a.csv", sha256="a" * 64, rows=100 * version),
                Source(split="test", path="/b.csv", sha256="b" * 64, rows=1),
            ),
            "seed": 0,
            "reading": "{}",
            "centroids": "c",
            "scatter": "s",
            "evaluation": "e",
            **fields,
        }
    )


def verdict(version: int, outcome: str, at: str, adapter: str = "0123456789abcdef" * 4) -> Verdict:
    return Verdict(
        ref=f"banking@{version}",
        champion="banking@1",
        outcome=outcome,
        findings=(),
        adapter=adapter,
        champion_adapter=None,
        data=(),
        gates="2" * 64,
        surroundings="3" * 64,
        at=at,
    )


def test_the_champion_is_said_to_answer_not_the_newest(fused: Snapshot, screen: MakeScreen) -> None:
    snapshot, terminal = with_champion(fused, 1), screen()
    print_task(snapshot, "banking", terminal.console)
    titles = [line for line in terminal.lines() if line.startswith("adapter ")]
    assert titles == ["adapter banking@1: bottleneck, the version that answers", "adapter banking@2: fusion"]
    shown = tasks_to_dict(snapshot)["tasks"][0]["adapters"]
    assert [(one["ref"], one["answers"]) for one in shown] == [("banking@1", True), ("banking@2", False)]


def test_aliases_are_told_and_that_of_the_champion_only_in_json(fused: Snapshot, screen: MakeScreen) -> None:
    snapshot, terminal = with_champion(fused, 1, beta=2, challenger=2), screen()
    print_task(snapshot, "banking", terminal.console)
    assert [line.split() for line in terminal.lines() if line.startswith("aliases")] == [
        ["aliases", "beta,", "challenger"]
    ]
    shown = task_to_dict(snapshot, "banking")["adapters"]
    assert [one["aliases"] for one in shown] == [["champion"], ["beta", "challenger"]]


def test_a_deprecated_version_is_told_with_the_reason(fused: Snapshot, screen: MakeScreen) -> None:
    fusion, *others = fused.adapters
    old = dataclasses.replace(fusion, deprecated="learned from old limits")
    snapshot, terminal = dataclasses.replace(fused, adapters=(old, *others)), screen()
    print_task(snapshot, "banking", terminal.console)
    told = [line.split(maxsplit=1) for line in terminal.lines() if line.startswith("deprecated")]
    assert told == [["deprecated", "learned from old limits"]]
    shown = task_to_dict(snapshot, "banking")["adapters"]
    assert [one["deprecated"] for one in shown] == [None, "learned from old limits"]


def test_a_version_is_told_with_what_it_was_learned_from(fused: Snapshot, screen: MakeScreen) -> None:
    lineages = [lineage(2, base="9" * 64, code="1.4", parent="banking@1"), lineage(1)]
    terminal = screen()
    print_task(fused, "banking", terminal.console, lineages=lineages)
    text = "\n".join(terminal.lines())
    assert re.search(r"^learned from +train 200 rows aaaaaaaaaaaa, test 1 row bbbbbbbbbbbb$", text, re.MULTILINE)
    assert re.search(r"^base +fingerprint 999999999999$", text, re.MULTILINE)
    assert re.search(r"^code +1\.4$", text, re.MULTILINE) and re.search(r"^parent +banking@1$", text, re.MULTILINE)
    assert len(re.findall(r"^(?:base|code) +not recorded$", text, re.MULTILINE)) == 2  # of the first
    first, second = task_to_dict(fused, "banking", lineages=lineages)["adapters"]
    assert (second["lineage"]["parent"], second["lineage"]["sources"][0]["sha256"]) == ("banking@1", "a" * 64)
    assert first["lineage"]["base"] == "" and "lineage" not in task_to_dict(fused, "banking")["adapters"][0]


def test_the_newest_verdict_is_told_in_full_and_earlier_ones_by_their_outcomes(
    fused: Snapshot, screen: MakeScreen
) -> None:
    verdicts = [
        verdict(2, "PASS", "2026-11-01T10:00:00+00:00", adapter="of an earlier task of this name"),
        verdict(2, "BLOCK", "2026-11-02T10:00:00+00:00"),
        verdict(1, "PASS", "2026-11-02T11:00:00+00:00"),
        verdict(2, "INCONCLUSIVE", "2026-11-03T10:00:00+00:00"),
    ]
    terminal = screen()
    print_task(fused, "banking@2", terminal.console, verdicts=verdicts)
    lines = terminal.lines()
    assert "INCONCLUSIVE banking@2, compared with banking@1" in lines
    assert [line.split(maxsplit=2)[2] for line in lines if line.startswith("judged")] == ["2026-11-02 10:00 UTC: BLOCK"]
    assert "PASS" not in terminal.text()
    first, second = task_to_dict(fused, "banking", verdicts=verdicts)["adapters"]
    assert [one["outcome"] for one in first["verdicts"]] == ["PASS"]
    assert [one["outcome"] for one in second["verdicts"]] == ["INCONCLUSIVE", "BLOCK"]


@pytest.mark.parametrize("name", ["banking@1", "banking@stable"])
def test_one_version_can_be_named_by_number_or_alias(fused: Snapshot, screen: MakeScreen, name: str) -> None:
    snapshot, terminal = with_champion(fused, 2, stable=1), screen()
    print_task(snapshot, name, terminal.console)
    assert [line for line in terminal.lines() if line.startswith("adapter ")] == ["adapter banking@1: bottleneck"]
    shown = task_to_dict(snapshot, name)
    assert (shown["name"], [one["ref"] for one in shown["adapters"]]) == ("banking", ["banking@1"])
    assert [step["step"] for step in shown["history"]] == ["banking", "travel"]


def test_a_version_that_is_not_there_is_refused_with_those_that_are(fused: Snapshot) -> None:
    with pytest.raises(NotFound, match=r"no adapter 'banking@9'; of 'banking' there are: banking@2, banking@1"):
        task_to_dict(fused, "banking@9")
    with pytest.raises(NotFound, match="did you mean banking"):
        task_to_dict(fused, "bankin@1")


def test_the_newest_answers_where_no_alias_says_which(fused: Snapshot, screen: MakeScreen) -> None:
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
    assert [line.split()[1:3] for line in terminal.lines()[2:4]] == [
        ["banking@2", "fusion"],
        ["travel@1", "bottleneck"],
    ]
    older = screen()
    print_tasks(with_champion(fused, 1), older.console)
    assert older.lines()[2].split()[1:3] == ["banking@1", "bottleneck"]


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
