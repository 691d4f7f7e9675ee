"""The sentences above a report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from portfolio.records import RouterWishes, Snapshot
from portfolio.reports.report import build_report
from portfolio.reports.summary import summary

SnapshotOf = Callable[..., Snapshot]
HistoryOf = Callable[..., Any]

N = None


def text_of(snapshot: Snapshot) -> str:
    return "\n".join(summary(build_report(snapshot)))


def test_a_portfolio_without_tasks_says_how_to_add_one(snapshot_of: SnapshotOf) -> None:
    assert text_of(snapshot_of([])) == (
        "This portfolio has no task yet. Add one with: portfolio add-task NAME --train FILE"
    )


def test_the_accuracies_now_follow_what_got_worse(snapshot_of: SnapshotOf) -> None:
    _, opening, accuracy, *_ = summary(build_report(snapshot_of([[1.0, N], [1.0, 0.9]], [[1.0, N], [0.8, 0.9]])))
    assert opening == "2 tasks on the frozen base tiny."
    assert accuracy == (
        "Test rows answered rightly: 95.0 % with the task given, 85.0 % with the router choosing, "
        "which finds the right task for 87.5 %."
    )


def verdict_of(history: Any) -> str:
    return summary(build_report(history.snapshot, history.load))[0]


def grown(history_of: HistoryOf, then: str, now: str, *, others: int = 1) -> Any:
    """Task a, then b and so on, all of whose own rows are right; a's rows stay as they were until the last one came."""
    names = "abcdefgh"[: others + 1]
    changes = [
        ("add-task", name, {"a": then} | {one: "+ +" for one in names[1 : at + 1]}) for at, name in enumerate(names)
    ]
    action, last, rows = changes[-1]
    return history_of(*changes[:-1], (action, last, {**rows, "a": now}))


def test_a_clear_loss_is_told_with_its_interval_reason_and_remedy(history_of: HistoryOf) -> None:
    said = verdict_of(grown(history_of, "+ " * 20, "+ " * 12 + "b " * 8))
    assert said == (
        "a got worse: 100 % of its test rows were answered rightly when it was added, 60.0 % now, "
        "-40.0 points (95 % interval -60.0 to -20.0). "
        "Of the 8 rows that it lost, 8 now go to the newer task b, by a margin of 0.50 on average. "
        "b overlaps with a: without it, 8 of the 8 would come back. Look closer with: portfolio overlap --without b; "
        "then remove it, make one task of those that overlap, or keep them apart by tags and rules. "
        "To train a again would give nothing: with the task given, it is answered as well as before."
    )


def test_a_taker_that_would_give_little_back_is_not_to_be_removed(history_of: HistoryOf) -> None:
    said = verdict_of(grown(history_of, "+ " * 20, "+ " * 12 + "b! " * 7 + "b"))
    assert "Without b only 1 of the 8 would come back, so removing it would not undo the loss." in said
    assert "overlap" not in said
    none = verdict_of(grown(history_of, "+ " * 20, "+ " * 12 + "b! " * 8))
    assert "Without b none of the 8 would come back" in none


def test_a_few_rows_of_very_many_call_for_no_remedy(history_of: HistoryOf) -> None:
    said = verdict_of(grown(history_of, "+ " * 2000, "+ " * 1990 + "b " * 10))
    assert "b overlaps with a: without it, 10 of the 10 would come back. So few of their test rows call for no" in said
    assert "portfolio overlap --without b" in said
    assert "remove it" not in said
    more = verdict_of(grown(history_of, "+ " * 2000, "+ " * 1980 + "b " * 20))
    assert "remove it" in more


def test_an_older_task_is_never_to_be_removed_for_a_newer_one(history_of: HistoryOf) -> None:
    came = {"a": "+", "b": "+ " * 20}
    said = verdict_of(
        history_of(
            ("add-task", "a", {"a": "+"}),
            ("add-task", "b", came),
            ("add-task", "c", {**came, "b": "+ " * 12 + "a " * 8, "c": "+"}),
        )
    )
    assert "a overlaps with b" in said and "then make one task of those that overlap" in said
    assert "remove it" not in said


def test_an_older_taker_is_not_called_newer_and_small_takers_are_added_up(history_of: HistoryOf) -> None:
    words = "+ " * 8 + "a " * 6 + "c " * 3 + "d " * 2 + "e "
    came = {"a": "+", "b": "+ " * 20}
    said = verdict_of(
        history_of(
            ("add-task", "a", {"a": "+"}),
            ("add-task", "b", came),
            *[("add-task", name, came | {one: "+" for one in "cde"[: at + 1]}) for at, name in enumerate("cd")],
            ("add-task", "e", {**came, "c": "+", "d": "+", "e": "+", "b": words}),
        )
    )
    assert (
        "Of the 12 rows that it lost, 6 now go to a, by a margin of 0.50 on average; 3 to the newer task c; "
        "and 3 to other tasks." in said
    )


def test_an_adapter_that_answers_otherwise_is_pointed_at_and_no_taker_is(history_of: HistoryOf) -> None:
    said = verdict_of(grown(history_of, "+ " * 20, "+ " * 12 + "- " * 8))
    assert "Of the 8 rows that it lost, 8 now go to a, whose own adapter says another label." in said
    assert (
        "With the task given, a lost 40.0 points (95 % interval -60.0 to -20.0): its own adapter answers otherwise than "
        "when it was added. For its versions, type: portfolio show a" in said
    )
    assert "overlap" not in said
    assert "To train" not in said
    mostly = verdict_of(grown(history_of, "+ " * 20, "+ " * 12 + "- " * 6 + "b b"))
    assert "2 now go to the newer task b, by a margin of 0.50 on average; and 6 to a, whose own adapter says" in mostly
    assert "overlap" not in mostly


def test_training_again_is_not_advised_against_where_the_own_adapter_lost_too(history_of: HistoryOf) -> None:
    said = verdict_of(grown(history_of, "+ " * 20, "+ " * 12 + "b " * 7 + "b-"))
    assert "b overlaps with a" in said
    assert "To train" not in said


def test_of_several_that_got_worse_the_worst_is_named_and_reasons_are_those_of_all(history_of: HistoryOf) -> None:
    good = "+ " * 20
    said = verdict_of(
        history_of(
            ("add-task", "a", {"a": good}),
            ("add-task", "b", {"a": good, "b": good}),
            ("add-task", "c", {"a": good, "b": good, "c": good}),
            ("add-task", "d", {"a": "+ " * 10 + "d " * 10, "b": "+ " * 8 + "d " * 12, "c": good, "d": "+"}),
        )
    )
    assert said.startswith("2 of 3 earlier tasks got worse by more than chance, b most: 100 % of its test rows")
    assert "The earlier tasks changed by -36.7 points on average (95 % interval " in said
    assert "Of the 22 rows that these tasks lost, 22 now go to the newer task d" in said
    assert "d overlaps with these tasks: without it, 22 of the 22 would come back." in said
    assert "To train these tasks again would give nothing" in said


def test_a_loss_within_chance_is_said_to_be_so_and_calls_for_nothing(history_of: HistoryOf) -> None:
    said = verdict_of(grown(history_of, "+ " * 19 + "-", "+ " * 17 + "b b +"))
    assert said == (
        "Nothing got worse by more than chance. The largest loss is that of a: of 20 test rows 2 were lost and 1 won, "
        "-5.0 points (95 % interval -25.0 to +10.0)."
    )


def test_a_handful_of_rows_is_too_few_to_call_a_loss(history_of: HistoryOf) -> None:
    """A bootstrap alone would: few of its resamples hold none of the four rows."""
    said = verdict_of(grown(history_of, "+ " * 40, "+ " * 35 + "b " * 5))
    assert said.startswith("Nothing got worse by more than chance. The largest loss is that of a: of 40 test rows 5")
    assert said.endswith("; these are too few rows to be sure.")
    assert verdict_of(grown(history_of, "+ " * 40, "+ " * 34 + "b " * 6)).startswith("a got worse")


def test_small_losses_of_many_tasks_can_be_sure_together(history_of: HistoryOf) -> None:
    good, less = "+ " * 20, "+ " * 18 + "e e"
    names = "abcd"
    came = [("add-task", name, dict.fromkeys(names[: at + 1], good)) for at, name in enumerate(names)]
    said = verdict_of(history_of(*came, ("add-task", "e", {**dict.fromkeys(names, less), "e": "+"})))
    assert said.startswith(
        "No single task got worse by more than chance, but the 4 earlier tasks together did: -10.0 points on average "
        "(95 % interval "
    )
    assert "Of the 8 rows that these tasks lost, 8 now go to the newer task e" in said


def test_one_of_very_many_tasks_can_look_worse_by_chance(history_of: HistoryOf) -> None:
    names = [f"t{index}" for index in range(41)]
    came = [("add-task", name, dict.fromkeys(names[: at + 1], "+ + + + + +")) for at, name in enumerate(names)]
    last = {**came[-1][2], "t3": "t40 t40 t40 t40 t40 t40"}
    said = verdict_of(history_of(*came[:-1], ("add-task", "t40", last)))
    assert "Among 40 tasks, so few can look worse by chance alone." in said


def test_losses_without_rows_are_told_without_a_judgement(snapshot_of: SnapshotOf) -> None:
    routed = [[0.9, N, N, N], [0.9, 0.8, N, N], [0.9, 0.8, 0.7, N], [0.85, 0.5, 0.75, 0.9]]
    text = text_of(snapshot_of([[0.9] * 4] * 4, routed, ["a", "b", "c", "d"]))
    assert (
        "2 of 3 earlier tasks score less than when they were added, b most: 80.0 % then, 50.0 % now. "
        "Whether this is more than chance cannot be said without the test rows of that time." in text
    )
    assert "With the task given, every earlier task scores exactly what it scored when it was added." in text
    assert text.count("What became of each test row was not kept when some of these tasks came") == 1


def test_all_losing_and_only_one_earlier_task_read_well(snapshot_of: SnapshotOf) -> None:
    every = snapshot_of([[0.9, N, N], [0.8, 0.9, N], [0.7, 0.6, 0.9]])
    assert "All 2 earlier tasks score less than when they were added, task1 most" in text_of(every)
    single = snapshot_of([[0.9, N], [0.7, 0.9]])
    assert "task0 scores less than when it was added: 90.0 % then, 70.0 % now." in text_of(single)


def test_a_loss_with_the_task_given_is_told_however_small(snapshot_of: SnapshotOf) -> None:
    """Isolated adapters cannot forget, so any change here matters, even one that rounds to nothing."""
    text = text_of(snapshot_of([[0.9, N, N], [0.9, 0.9, N], [0.9, 0.89999, 0.9]]))
    assert "With the task given, task1 lost 0.00 points: its own adapter answers otherwise" in text
    more = text_of(snapshot_of([[0.9, N, N], [0.9, 0.9, N], [0.8, 0.7, 0.9]]))
    assert "With the task given, 2 tasks lost, most of all task1, which lost 20.0 points" in more


def test_gains_without_losses_are_no_forgetting(snapshot_of: SnapshotOf) -> None:
    text = text_of(snapshot_of([[0.8, N], [0.9, 0.9]]))
    assert text.startswith(
        "Nothing got worse: no earlier task scores less than when it was added; the change is +10.0 points on average."
    )
    assert "With the task given, no earlier task scores less than when it was added." in text


def test_rows_that_were_all_kept_need_no_word(history_of: HistoryOf) -> None:
    history = grown(history_of, "+", "+")
    text = "\n".join(summary(build_report(history.snapshot, history.load)))
    assert text.startswith("Nothing got worse: every earlier task scores exactly what it scored when it was added.")
    assert "not kept" not in text


def test_of_very_many_tasks_those_looked_at_are_judged(history_of: HistoryOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portfolio.reports.added.MANY_TASKS", 2)
    monkeypatch.setattr("portfolio.reports.added.WORST_TASKS", 2)
    history = history_of(
        ("add-task", "a", {"a": "+ + + +"}),
        ("add-task", "b", {"a": "+ + + +", "b": "+ + + +"}),
        ("add-task", "c", {"a": "+ + + c", "b": "+ + c c", "c": "+ + + +"}),
        ("add-task", "d", {"a": "+ + + c", "b": "+ + c c", "c": "+ + d d", "d": "+"}),
    )
    assert verdict_of(history).startswith(
        "None of the 2 tasks that lost most got worse by more than chance. The largest loss is that of b: of 4 test rows"
    )


def test_one_task_has_nothing_to_forget(snapshot_of: SnapshotOf) -> None:
    text = text_of(snapshot_of([[0.8]]))
    assert text.startswith("With one task there is nothing yet to forget.")
    assert "earlier" not in text
    assert "not kept" not in text


def test_abstention_and_the_floor_stand_beside_the_accuracy(snapshot_of: SnapshotOf) -> None:
    text = text_of(snapshot_of([[0.8]]))
    assert "Free to abstain, the router answers 75.0 % of these rows (95.0 % wanted), 62.5 % of them rightly." in text
    assert "Without any adapter, the nearest class centroid alone reaches 50.0 %." in text


def test_a_threshold_that_real_out_of_scope_inputs_set_is_told_by_them(snapshot_of: SnapshotOf) -> None:
    snapshot = snapshot_of([[0.8]])
    assert snapshot.router is not None
    router = dataclasses.replace(snapshot.router, wishes=RouterWishes(oos="7" * 64, recall=0.9))
    text = text_of(dataclasses.replace(snapshot, router=router))
    assert "answers 75.0 % of these rows (wanted: to refuse 90.0 % of out-of-scope inputs), 62.5 %" in text


def test_missing_scores_are_counted_and_not_spoken_of(snapshot_of: SnapshotOf) -> None:
    text = text_of(snapshot_of([[0.8, N], [N, 0.8]], [[0.8, N], [0.8, 0.8]]))
    assert "1 of 6 scores were not measured; they are left out, not counted as 0." in text
    assert "With the task given, every" not in text


def test_a_claim_about_every_task_is_limited_to_those_measured_twice(snapshot_of: SnapshotOf) -> None:
    text = text_of(snapshot_of([[0.8, N, N], [0.8, N, N], [0.8, 0.8, 0.8]]))
    assert "Nothing got worse: every earlier task measured both then and now scores exactly" in text


def test_a_portfolio_that_was_never_scored_says_so(snapshot_of: SnapshotOf) -> None:
    text = text_of(dataclasses.replace(snapshot_of([[1.0, N], [1.0, 1.0]]), cells=(), router=None))
    assert text.splitlines() == [
        "Whether anything got worse is not known: no earlier task was measured both when it was added and now.",
        "2 tasks on the frozen base tiny.",
        "No score was measured after the last task was added.",
        "6 of 6 scores were not measured; they are left out, not counted as 0.",
        "What became of each test row was not kept when some of these tasks came, so their changes have no interval and "
        "no reason. To keep the rows as they are answered now, type: portfolio evaluate",
    ]


def test_one_measured_matrix_is_told_without_the_other(snapshot_of: SnapshotOf) -> None:
    assert "With the task given, 80.0 % of test rows are answered rightly; routed, not measured." in text_of(
        snapshot_of([[0.8]], [[N]])
    )
    assert "Test rows answered rightly: 80.0 % with the router choosing" in text_of(snapshot_of([[N]], [[0.8]]))
