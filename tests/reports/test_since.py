"""Two moments of a portfolio side by side."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from portfolio.errors import ConfigError, NotFound
from portfolio.records import Alias, Snapshot
from portfolio.reports.measured_on import MeasuredOn
from portfolio.reports.since import find_moment, since, since_to_dict
from portfolio.reports.since_terminal import print_since

HistoryOf = Callable[..., Any]
MakeScreen = Callable[..., Any]


@pytest.fixture
def history(history_of: HistoryOf) -> Any:
    """Days 1 to 6 of November: a, b and c come, b goes, all is measured, b comes again with another split."""
    return history_of(
        ("add-task", "a", {"a": "+ + + -"}),
        ("add-task", "b", {"a": "+ + b -", "b": "+ +"}),
        ("add-task", "c", {"a": "+ c c +", "b": "+ +", "c": "+"}),
        ("remove-task", "b", {"a": "+ c c +", "c": "+"}),
        ("measure", "c", {"a": "+ c c +", "c": "+"}),
        ("add-task", "b", {"a": "- c c -", "c": "b", "b": "+ + -"}),
    )


def generation(history: Any, where: str) -> int:
    return find_moment(history.snapshot, where).generation


@pytest.mark.parametrize(("where", "expected"), [("now", 6), ("c", 2), ("c@1", 2), ("b", 5), ("b@1", 5)])
def test_a_name_is_the_moment_before_it_last_came(history: Any, where: str, expected: int) -> None:
    assert generation(history, where) == expected


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("2026-11-02", 1),  # as the day began
        ("2026-11-03", 2),
        ("2026-12-24", 6),
        ("2026-11-02T10:00", 2),  # at that very time
        ("2026-11-02T09:59:59", 1),
        ("2026-11-02 10:00Z", 2),
        ("2026-11-02T11:00+01:00", 2),
        ("2026-11-02T10:59+01:00", 1),
    ],
)
def test_a_date_is_the_last_moment_before_it_and_a_time_also_at_it(history: Any, where: str, expected: int) -> None:
    assert generation(history, where) == expected


def test_a_task_that_is_gone_can_still_be_named(history_of: HistoryOf) -> None:
    history = history_of(
        ("add-task", "a", {"a": "+"}), ("add-task", "b", {"a": "+", "b": "+"}), ("remove-task", "b", {"a": "+"})
    )
    assert generation(history, "b") == generation(history, "b@2") == 1
    with pytest.raises(NotFound):
        find_moment(history.snapshot, "b@x")


def test_an_adapter_is_named_by_its_own_name_where_its_task_has_another(history: Any) -> None:
    adapters = tuple(replace(one, name="other") if one.task == "c" else one for one in history.snapshot.adapters)
    assert find_moment(replace(history.snapshot, adapters=adapters), "other@1").generation == 2


def test_a_task_named_like_a_date_is_meant_first(history_of: HistoryOf) -> None:
    name = "2026-11-09"
    history = history_of(("add-task", "a", {"a": "+"}), ("add-task", name, {"a": "+", name: "+"}))
    assert generation(history, name) == 1
    assert generation(history, "2026-11-10") == 2


@pytest.mark.parametrize("where", ["a", "a@1", "2026-11-01", "2026-11-01T09:59"])
def test_before_the_first_change_there_is_nothing_to_compare_with(history: Any, where: str) -> None:
    with pytest.raises(ConfigError, match="from 2026-11-01 10:00 UTC to 2026-11-06 10:00 UTC"):
        find_moment(history.snapshot, where)


def test_a_task_from_before_rows_were_kept_is_told_from_an_unknown_one(history: Any) -> None:
    later = replace(history.snapshot, moments=history.snapshot.moments[3:5])
    with pytest.raises(ConfigError, match="no test rows were kept from before a came"):
        find_moment(later, "a")


@pytest.mark.parametrize("where", ["nobody", "a@2", "2026-11", "20261102", "2026-W45-1", "", "2026-11-02T10"])
def test_what_is_neither_is_refused_with_names_and_dates(history: Any, where: str) -> None:
    with pytest.raises(NotFound) as caught:
        find_moment(history.snapshot, where)
    assert f"got {where!r}; the tasks: a, c, b; the dates: from 2026-11-01 10:00 UTC" in str(caught.value)


@pytest.mark.parametrize("where", ["2026-13-01", "2026-02-30", "2026-11-02T25:00", "0000-01-01"])
def test_a_date_that_cannot_be_is_refused(history: Any, where: str) -> None:
    with pytest.raises(ConfigError, match=f"got '{where}'"):
        find_moment(history.snapshot, where)


def test_without_any_moment_it_is_said_how_to_get_one(snapshot_of: Callable[..., Snapshot]) -> None:
    with pytest.raises(NotFound, match="portfolio evaluate"):
        find_moment(snapshot_of([[1.0]]), "now")


def compared(history: Any, before: int, after: int) -> Any:
    moments = history.snapshot.moments
    return since(history.snapshot, history.load, moments[before - 1], moments[after - 1])


def test_tasks_known_at_both_moments_are_compared_row_by_row(history: Any) -> None:
    found = compared(history, 1, 3)
    assert [(one.task, one.before, one.after, one.change) for one in found.routed] == [("a", 0.75, 0.5, -0.25)]
    assert [(one.task, one.before, one.after) for one in found.oracle] == [("a", 0.75, 1.0)]
    assert (found.came, found.went) == (("b", "c"), ())
    assert [moment.subject for moment in found.between] == ["b", "c"]
    [loss] = found.losses
    assert (loss.task, loss.lost, loss.won, loss.takers[0].task, loss.takers[0].rows) == ("a", (1, 2), 1, "c", (1, 2))


def test_what_went_is_not_compared(history: Any) -> None:
    found = compared(history, 3, 5)
    assert (found.came, found.went) == ((), ("b",))
    assert [one.task for one in found.routed] == ["a", "c"]
    assert found.losses == ()


def test_a_task_that_came_again_is_another(history: Any) -> None:
    found = compared(history, 2, 6)
    assert (found.came, found.went) == (("c", "b"), ("b",))
    assert [one.task for one in found.routed] == ["a"]


def test_losses_are_told_most_lost_first(history: Any) -> None:
    assert [loss.task for loss in compared(history, 5, 6).losses] == ["c", "a"]


def test_a_moment_beside_itself_shows_no_change(history: Any) -> None:
    found = compared(history, 6, 6)
    assert (found.between, found.came, found.went, found.losses) == ((), (), (), ())
    assert {one.change for one in found.routed} == {0.0}


def test_moments_in_the_wrong_order_are_refused(history: Any) -> None:
    with pytest.raises(ConfigError, match="expected the earlier moment first"):
        compared(history, 3, 2)


def test_as_json_all_of_it_is_there(history: Any) -> None:
    found = json.loads(json.dumps(since_to_dict(compared(history, 1, 3)), allow_nan=False))
    assert found["before"]["at"] == "2026-11-01T10:00:00+00:00"
    assert [moment["action"] for moment in found["between"]] == ["add-task", "add-task"]
    assert found["routed"][0]["change"] == -0.25
    assert set(found["routed"][0]["interval"]) == {"low", "high"}
    assert found["losses"][0]["takers"][0]["rows"] == [1, 2]
    assert found["came"] == ["b", "c"]


def printed(history: Any, screen: MakeScreen, before: int, after: int) -> list[str]:
    shown = screen()
    print_since(compared(history, before, after), shown.console)
    lines: list[str] = shown.lines()
    return lines


def test_on_a_terminal_it_says_what_happened_what_changed_and_why(history: Any, screen: MakeScreen) -> None:
    lines = printed(history, screen, 1, 3)
    assert lines[:3] == [
        "From 2026-11-01 10:00 UTC to 2026-11-03 10:00 UTC: 2 changes.",
        "Came: b, c.",
        "Of 1 task measured both times, none got worse by more than chance, routed.",
    ]
    happened = lines.index("What happened")
    assert lines[happened + 1 : happened + 3] == ["  2026-11-02 10:00 UTC  b came", "  2026-11-03 10:00 UTC  c came"]
    routed = next(line for line in lines if line.startswith("a "))
    assert routed.split()[:5] == ["a", "4", "75.0", "50.0", "-25.0"]
    assert any(line.startswith("a: 2 of 4 rows lost, 1 won, -25.0 points") for line in lines)
    assert "  2 to c, by a margin of 0.50; without it 2 would come back: rows 1, 2" in lines


def test_other_changes_are_told_in_words(history: Any, screen: MakeScreen) -> None:
    lines = printed(history, screen, 3, 6)
    assert "  2026-11-04 10:00 UTC  b went" in lines
    assert "  2026-11-05 10:00 UTC  all tasks were measured again" in lines
    assert "Went: b." in lines


def test_an_unchanged_oracle_takes_a_sentence_and_no_table(history: Any, screen: MakeScreen) -> None:
    lines = printed(history, screen, 3, 5)
    assert "With the task given, every one of them scores exactly what it scored before." in lines
    assert not any(line.startswith("With the task given: scores") for line in lines)


def test_a_clear_loss_is_named_at_once(history_of: HistoryOf, screen: MakeScreen) -> None:
    history = history_of(("add-task", "a", {"a": "+ " * 20}), ("add-task", "b", {"a": "+ " * 10 + "b " * 10, "b": "+"}))
    assert printed(history, screen, 1, 2)[2] == "Got worse by more than chance, routed: a."


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_very_many_changes_fit_80_columns_and_say_what_is_left_out(
    history_of: HistoryOf, screen: MakeScreen, encoding: str
) -> None:
    names = [f"{index:02d}-{'long-name' * 12}" for index in range(45)]
    rows = dict.fromkeys(names, "+ +")
    came = [("add-task", name, dict(list(rows.items())[: step + 1])) for step, name in enumerate(names)]
    history = history_of(*came, *[("measure", names[-1], rows)] * 13)
    shown = screen(encoding=encoding)
    print_since(compared(history, 45, 58), shown.console)
    assert max(map(len, shown.text().splitlines())) <= 80
    happened = shown.lines().index("What happened")
    assert shown.lines()[happened + 13] == "  and 1 earlier change; for all, add --json"
    assert any(line.startswith("Routed: scores in %, changes in points, the 40 of 45") for line in shown.lines())


def test_of_very_many_tasks_those_that_changed_most_are_listed(history_of: HistoryOf, screen: MakeScreen) -> None:
    names = [f"t{index:02d}" for index in range(42)]
    came = [("add-task", name, dict.fromkeys(names[: step + 1], "+ -")) for step, name in enumerate(names)]
    moved = {"t00": "+ -", "t01": "+ -"} | {name: "- -" if at % 2 else "+ +" for at, name in enumerate(names) if at > 1}
    lines = printed(history_of(*came, ("measure", "t41", moved)), screen, 42, 43)
    title = "Routed: scores in %, changes in points, the 40 of 42 that changed most"
    listed = lines[lines.index(title) + 3 :][:41]
    assert [line.split()[0] for line in listed if line] == names[2:]


def move(action: str, task: str, old: int, new: int, generation: int) -> tuple[str, str, dict[str, Any]]:
    return (action, task, {"from": f"{task}@{old}", "to": f"{task}@{new}", "generation": generation})


@pytest.fixture
def versions(events_of: Callable[..., Any]) -> Any:
    """In the history: a comes with its versions 1 and 2 (gen. 1), gets 3 (before gen. 3), which is promoted (gen. 5)."""
    return events_of(
        ("add-task", "a", {"adapters": {"a@1": "1", "a@2": "2"}, "generation": 1}),
        ("add-task", "b", {"adapters": {"b@1": "3"}, "generation": 2}),
        ("add-version", "a", {"adapters": {"a@3": "4"}, "generation": 3}),
        ("add-version", "a", {"adapters": {"a@4": "5"}, "generation": 4}),
        move("promote", "a", 2, 3, 5),
        move("promote", "a", 3, 4, 6),
        move("rollback", "a", 4, 3, 7),
    )


@pytest.fixture
def promoted(history_of: HistoryOf) -> Any:
    """The moments of that history: versions that come are measured at no moment."""
    rows = {"a": "+ +", "b": "+ +"}
    made = history_of(
        ("add-task", "a", {"a": "+ +"}),
        ("add-task", "b", rows),
        ("promote", "a", {**rows, "a": "- +"}),
        ("promote", "a", {**rows, "a": "- -"}),
        ("rollback", "a", {**rows, "a": "- +"}),
    )
    generations = (1, 2, 5, 6, 7)
    moments = [replace(one, generation=at) for one, at in zip(made.snapshot.moments, generations, strict=True)]
    made.snapshot = replace(made.snapshot, generation=7, moments=tuple(moments))
    return made


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("a@3", 6),  # it answered twice: before the rollback
        ("a@4", 5),  # before it was promoted, not before it was added
        ("b@1", 1),  # it came with its task
        ("b", 1),
    ],
)
def test_a_version_is_the_moment_before_it_last_began_to_answer(
    promoted: Any, versions: Any, where: str, expected: int
) -> None:
    assert find_moment(promoted.snapshot, where, versions).generation == expected


def test_a_version_that_never_answered_is_the_moment_before_it_was_added(promoted: Any, versions: Any) -> None:
    assert find_moment(promoted.snapshot, "a@4", versions[:5]).generation == 2


def test_a_version_from_before_rows_were_kept_is_told_from_an_unknown_one(promoted: Any, versions: Any) -> None:
    with pytest.raises(ConfigError, match="no test rows were kept from before a@2 answered"):
        find_moment(promoted.snapshot, "a@2", versions)
    with pytest.raises(NotFound, match="got 'a@9'"):
        find_moment(promoted.snapshot, "a@9", versions)


def test_an_alias_stands_for_the_version_that_it_names(promoted: Any, versions: Any) -> None:
    aliased = replace(promoted.snapshot, aliases=(Alias(name="a", alias="previous", version=4),))
    assert find_moment(aliased, "a@previous", versions).generation == 5


def test_versions_with_the_same_test_rows_are_compared_row_by_row(promoted: Any) -> None:
    found = compared(promoted, 2, 4)
    assert [(one.task, one.before, one.after) for one in found.routed] == [("a", 1.0, 0.0), ("b", 1.0, 1.0)]
    assert found.other_rows == ()


def test_other_test_rows_are_not_compared_also_where_there_are_as_many(promoted: Any, screen: MakeScreen) -> None:
    measured = MeasuredOn(spans={"a": [(1, "rows of 2"), (5, "rows of 3")]})
    first, last = promoted.snapshot.moments[1:3]
    found = since(promoted.snapshot, promoted.load, first, last, measured)
    assert ([one.task for one in found.routed], found.other_rows, found.losses) == (["b"], ("a",), ())
    assert (found.came, found.went) == ((), ())
    assert [one.task for one in found.oracle] == ["b"]
    shown = screen()
    print_since(found, shown.console)
    assert "On other test rows since another version answers, so not comparable: a." in shown.lines()
    assert since_to_dict(found)["other_rows"] == ("a",)


def test_rows_of_another_number_are_other_rows_whatever_is_known_of_them(history_of: HistoryOf) -> None:
    history = history_of(("add-task", "a", {"a": "+ +"}), ("promote", "a", {"a": "+ + -"}))
    found = compared(history, 1, 2)
    assert (found.routed, found.oracle, found.losses, found.other_rows) == ((), (), (), ("a",))


def test_promotions_are_told_in_words(promoted: Any, screen: MakeScreen) -> None:
    lines = printed(promoted, screen, 2, 5)
    assert "  2026-11-03 10:00 UTC  a was promoted: another version answers" in lines
    assert "  2026-11-05 10:00 UTC  a was rolled back: another version answers" in lines


def test_a_time_without_a_zone_is_utc_wherever_one_is(history: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert generation(history, "2026-11-02T10:00") == 2
        assert generation(history, "2026-11-02T09:59") == 1
    finally:
        monkeypatch.undo()
        time.tzset()
