"""`portfolio tasks` and `portfolio show`: as JSON and on a terminal."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from portfolio.errors import NotFound
from portfolio.records import Cell, Snapshot, Traffic
from portfolio.reports.listing import print_task, print_tasks, task_to_dict, tasks_to_dict

SnapshotOf = Callable[..., Snapshot]
MakeScreen = Callable[..., Any]

N = None
TWO = [[0.5, N], [0.75, 1.0]]


def test_the_list_holds_every_task_with_its_scores_now(snapshot_of: SnapshotOf) -> None:
    listed = json.loads(json.dumps(tasks_to_dict(snapshot_of(TWO, names=["b", "a"])), allow_nan=False))
    assert (listed["generation"], listed["base"]) == (2, "tiny")
    assert [(task["name"], task["position"]) for task in listed["tasks"]] == [("b", 1), ("a", 2)]
    assert [task["scores"]["oracle"] for task in listed["tasks"]] == [0.75, 1.0]
    assert listed["tasks"][0]["labels"] == ["no", "yes"]


def test_one_task_is_the_same_as_in_the_list_and_has_its_history(snapshot_of: SnapshotOf) -> None:
    snapshot = snapshot_of(TWO)
    shown = json.loads(json.dumps(task_to_dict(snapshot, "task0"), allow_nan=False))
    history = shown.pop("history")
    assert shown == json.loads(json.dumps(tasks_to_dict(snapshot)["tasks"][0]))
    assert [(step["step"], step["oracle"]) for step in history] == [("task0", 0.5), ("task1", 0.75)]


def test_an_adapter_is_told_with_its_settings_as_objects(snapshot_of: SnapshotOf) -> None:
    [adapter] = task_to_dict(snapshot_of([[1.0]]), "task0")["adapters"]
    assert adapter["ref"] == "task0@1"
    assert adapter["config"] == {"activation": "relu", "rank": 8}
    assert adapter["training"] == {"epochs": 5}


def test_history_follows_the_steps_whatever_the_order_of_the_cells(snapshot_of: SnapshotOf) -> None:
    snapshot = snapshot_of([[0.1, N, N], [0.2, 0.5, N], [0.3, 0.5, 0.5]], names=["c", "a", "b"])
    gone = Cell(step="gone", task="c", rows=1, oracle=0.9)
    backwards = dataclasses.replace(snapshot, cells=(*reversed(snapshot.cells), gone))
    assert [step["oracle"] for step in task_to_dict(backwards, "c")["history"]] == [0.1, 0.2, 0.3]


def test_scores_that_are_missing_or_nan_are_null(snapshot_of: SnapshotOf) -> None:
    snapshot = snapshot_of([[float("nan")]])
    [adapter] = snapshot.adapters
    snapshot = dataclasses.replace(snapshot, adapters=(dataclasses.replace(adapter, validation_score=float("nan")),))
    shown = task_to_dict(snapshot, "task0")
    json.dumps(shown, allow_nan=False)
    assert shown["scores"]["oracle"] is shown["adapters"][0]["validation_score"] is None


def test_an_unknown_task_is_named_with_those_that_are_near(snapshot_of: SnapshotOf, screen: MakeScreen) -> None:
    snapshot = snapshot_of(TWO, names=["banking", "travel"])
    with pytest.raises(NotFound, match=r"named 'bankin'; did you mean banking\? List them with: portfolio tasks"):
        task_to_dict(snapshot, "bankin")
    with pytest.raises(NotFound, match=r"none of this portfolio's 2 tasks is named 'zzz'\. List them"):
        print_task(snapshot, "zzz", screen().console)


def test_asking_an_empty_portfolio_for_a_task_says_that_it_is_empty(snapshot_of: SnapshotOf) -> None:
    with pytest.raises(NotFound, match="'banking', but this portfolio has no task yet"):
        task_to_dict(snapshot_of([]), "banking")


def test_the_list_on_a_terminal_has_a_line_a_task(snapshot_of: SnapshotOf, screen: MakeScreen) -> None:
    shown = screen()
    print_tasks(snapshot_of(TWO, names=["banking", "travel"]), shown.console)
    header, rule, first, second, *_ = shown.lines()
    assert header.split() == ["task", "method", "labels", "train", "test", "oracle", "routed", "added"]
    assert set(rule) == {"─"}
    assert first.split() == ["1", "banking", "bottleneck", "2", "100", "20", "75.0", "75.0", "2026-03-04"]
    assert second.split() == ["2", "travel", "bottleneck", "2", "100", "20", "100", "100", "2026-03-04"]


def tagged(snapshot: Snapshot, **tags: str) -> Snapshot:
    """The same portfolio, but the first task has tags."""
    first, *others = snapshot.tasks
    return dataclasses.replace(snapshot, tasks=(dataclasses.replace(first, tags=tuple(sorted(tags.items()))), *others))


def test_tags_are_listed_where_there_are_any(snapshot_of: SnapshotOf, screen: MakeScreen) -> None:
    snapshot = snapshot_of(TWO, names=["banking", "travel"])
    shown, without = screen(), screen()
    print_tasks(tagged(snapshot, tenant="acme", risk="[bold]high"), shown.console)
    print_tasks(snapshot, without.console)
    assert shown.lines()[: len(without.lines())] == without.lines()
    header, _, line = [line.split() for line in shown.lines()[-3:]]
    assert (header, line) == (["task", "tenant", "risk"], ["banking", "acme", "[bold]high"])


def test_tags_with_columns_of_their_own_come_first_and_others_together(
    snapshot_of: SnapshotOf, screen: MakeScreen
) -> None:
    snapshot = tagged(snapshot_of(TWO, names=["banking", "travel"]), owner="ana", kind="product", colour="red", age="1")
    first, second = snapshot.tasks
    snapshot = dataclasses.replace(snapshot, tasks=(first, dataclasses.replace(second, tags=(("kind", "safety"),))))
    shown = screen()
    print_tasks(snapshot, shown.console)
    assert [line.split() for line in shown.lines()[-4:]] == [
        ["task", "kind", "owner", "other", "tags"],
        ["─" * len(shown.lines()[-3])],
        ["banking", "product", "ana", "age", "=", "1,", "colour", "=", "red"],
        ["travel", "safety", "-", "-"],
    ]


def test_only_tasks_with_these_tags_are_listed_at_their_places(snapshot_of: SnapshotOf, screen: MakeScreen) -> None:
    snapshot = tagged(snapshot_of(TWO, names=["banking", "travel"]), tenant="acme", risk="high")
    turned = dataclasses.replace(snapshot, tasks=snapshot.tasks[::-1])
    wanted = {"tenant": "acme", "risk": "high"}
    shown = screen()
    print_tasks(turned, shown.console, wanted)
    assert shown.lines()[2].split()[:2] == ["2", "banking"] and "travel" not in shown.text()
    [task] = tasks_to_dict(turned, wanted)["tasks"]
    assert (task["name"], task["position"]) == ("banking", 2)
    nobody = screen()
    print_tasks(turned, nobody.console, {**wanted, "risk": "low"})
    assert nobody.lines() == ["No task has the tags tenant = acme, risk = low."]


def out_and_tried(snapshot: Snapshot) -> Snapshot:
    """The same, but the first task is disabled, and a challenger is tried beside the second."""
    first, second = snapshot.tasks
    traffic = Traffic(
        name=second.name, version=3, mode="canary", share=0.1, by="session", since="2026-11-22T10:00:00+00:00"
    )
    return dataclasses.replace(
        snapshot, tasks=(dataclasses.replace(first, disabled="none"), second), traffic=(traffic,)
    )


def test_disabled_tasks_are_marked_and_challengers_named(snapshot_of: SnapshotOf, screen: MakeScreen) -> None:
    snapshot = out_and_tried(snapshot_of(TWO, names=["banking", "travel"]))
    shown = screen()
    print_tasks(snapshot, shown.console)
    assert shown.lines()[2].startswith("1 banking (off)  bottleneck")
    assert shown.lines()[6:] == [
        "",
        "disabled (off)",
        "banking: nobody answers",
        "",
        "tried beside the version that answers",
        "travel@3: canary on 10.0 % of sessions since 2026-11-22 10:00 UTC",
    ]
    one, other = tasks_to_dict(snapshot)["tasks"]
    assert (one["disabled"], one["traffic"], other["disabled"], other["traffic"]["share"]) == ("none", None, None, 0.1)


def test_one_task_is_shown_with_who_answers_instead_and_who_is_tried(
    snapshot_of: SnapshotOf, screen: MakeScreen
) -> None:
    snapshot, shown = out_and_tried(snapshot_of(TWO, names=["banking", "travel"])), screen(width=120)
    print_task(snapshot, "banking", shown.console)
    print_task(snapshot, "travel", shown.console)
    text = "\n".join(shown.lines())
    assert len(re.findall(r"^disabled +nobody answers in its place$", text, re.MULTILINE)) == 1
    assert len(re.findall(r"^tried +travel@3, canary on 10\.0 % of sessions since .* UTC$", text, re.MULTILINE)) == 1


def test_the_version_and_the_mark_of_the_longest_name_are_not_cut(snapshot_of: SnapshotOf, screen: MakeScreen) -> None:
    snapshot = snapshot_of([[1.0]], names=["n" * 128])
    [task], [adapter] = snapshot.tasks, snapshot.adapters
    versions = (adapter, dataclasses.replace(adapter, version=12))
    off = dataclasses.replace(task, disabled="base")
    for width in (80, 40):
        shown = screen(width=width)
        print_tasks(dataclasses.replace(snapshot, tasks=(off,), adapters=versions), shown.console)
        assert re.match(r"1 n+…@12 \(off\)  bottleneck", shown.lines()[2])
        assert len(shown.lines()[1]) == len(shown.lines()[2])  # as long as the rule


def test_a_task_is_shown_with_its_tags(snapshot_of: SnapshotOf, screen: MakeScreen) -> None:
    snapshot = tagged(snapshot_of(TWO, names=["banking", "travel"]), tenant="acme", risk="high")
    shown, without = screen(), screen()
    print_task(snapshot, "banking", shown.console)
    print_task(snapshot, "travel", without.console)
    assert re.search(r"^tags +risk = high, tenant = acme$", "\n".join(shown.lines()), re.MULTILINE)
    assert "tags" not in without.text()


def test_tags_are_an_object_in_json_empty_where_there_are_none(snapshot_of: SnapshotOf) -> None:
    listed = tasks_to_dict(tagged(snapshot_of(TWO), tenant="acme", risk="high"))["tasks"]
    assert [task["tags"] for task in listed] == [{"risk": "high", "tenant": "acme"}, {}]


def test_the_longest_names_and_tags_stay_within_80_columns(snapshot_of: SnapshotOf, screen: MakeScreen) -> None:
    shown = screen(width=80)
    snapshot = tagged(snapshot_of([[1.0]], names=["n" * 128]), **{"k" * 128: "v" * 128})
    print_tasks(snapshot, shown.console)
    print_task(snapshot, "n" * 128, shown.console)
    assert max(map(len, shown.text().splitlines())) <= 80
    assert shown.text().count("v") >= 256


def test_answers_that_are_right_by_another_adapter_are_in_json(snapshot_of: SnapshotOf) -> None:
    snapshot = snapshot_of(TWO)
    cells = tuple(
        dataclasses.replace(cell, astray_right=0.125 if cell.step == "task1" else None) for cell in snapshot.cells
    )
    shown = task_to_dict(dataclasses.replace(snapshot, cells=cells), "task0")
    assert shown["scores"]["astray_right"] == 0.125
    assert [step["astray_right"] for step in shown["history"]] == [None, 0.125]


def test_an_empty_list_says_how_to_add_a_task(snapshot_of: SnapshotOf, screen: MakeScreen) -> None:
    shown = screen()
    print_tasks(snapshot_of([]), shown.console)
    assert "portfolio add-task NAME --train FILE" in " ".join(shown.lines())
    assert tasks_to_dict(snapshot_of([]))["tasks"] == []


def test_a_task_is_shown_with_where_it_came_from_and_what_it_became(
    snapshot_of: SnapshotOf, screen: MakeScreen
) -> None:
    shown = screen()
    print_task(snapshot_of(TWO, names=["banking", "travel"]), "banking", shown.console)
    text = "\n".join(shown.lines())
    assert "banking: task 1 of 2, classification" in text
    assert re.search(r"^2 labels +no, yes$", text, re.MULTILINE)
    assert re.search(r"^columns +text = text, label = label$", text, re.MULTILINE)
    assert re.search(r"^note +the label column was guessed$", text, re.MULTILINE)
    assert "validation: 10 rows, held out of train" in text
    assert re.search(r"^from +/data/banking/test.csv$", text, re.MULTILINE)
    assert "adapter banking@1: bottleneck" in text
    assert re.search(r'^method +activation = "relu", rank = 8$', text, re.MULTILINE)
    assert re.search(r"^trained +2\.5 s for 3 epochs, seed 0; 90\.0 % on validation$", text, re.MULTILINE)
    assert re.search(r"^stored +2026-03-04 10:11 UTC, sha256 0123456789ab$", text, re.MULTILINE)
    assert re.search(r"^travel +20 +75\.0 +75\.0 +50\.0 +87\.5 +75\.0 +62\.5$", text, re.MULTILINE)


def test_labels_and_paths_are_printed_as_they_are_and_cannot_steer_the_terminal(
    snapshot_of: SnapshotOf, screen: MakeScreen
) -> None:
    snapshot = snapshot_of([[1.0]])
    [task] = snapshot.tasks
    strange = dataclasses.replace(task, labels=("[bold]", "\x1b[2J", ":smile:", "naïve"))
    shown, ascii_only = screen(), screen(encoding="ascii")
    for terminal in (shown, ascii_only):
        print_task(dataclasses.replace(snapshot, tasks=(strange,)), "task0", terminal.console)
    assert "[bold], \\x1b[2J, :smile:, naïve" in shown.text()
    assert "[bold], \\x1b[2J, :smile:, na\\xefve" in ascii_only.text()


def test_long_paths_and_many_labels_are_shown_whole_within_80_columns(
    snapshot_of: SnapshotOf, screen: MakeScreen
) -> None:
    snapshot = snapshot_of([[1.0]])
    [task] = snapshot.tasks
    path = "/" + "deep/" * 40 + "train.csv"
    labels = tuple(f"label-{index}" for index in range(150))
    source = dataclasses.replace(task.sources[0], path=path)
    long = dataclasses.replace(task, labels=labels, sources=(source,))
    shown = screen(width=80)
    print_task(dataclasses.replace(snapshot, tasks=(long,)), "task0", shown.console)
    assert max(map(len, shown.text().splitlines())) <= 80
    assert path in re.sub(r"\s", "", shown.text())
    assert ",".join(labels) in re.sub(r"\s", "", shown.text())
