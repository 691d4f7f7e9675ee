"""The sentences above a report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from portfolio.records import RouterWishes, Snapshot
from portfolio.reports.report import build_report
from portfolio.reports.summary import summary

SnapshotOf = Callable[..., Snapshot]

N = None


def text_of(snapshot: Snapshot) -> str:
    return "\n".join(summary(build_report(snapshot)))


def test_a_portfolio_without_tasks_says_how_to_add_one(snapshot_of: SnapshotOf) -> None:
    assert text_of(snapshot_of([])) == (
        "This portfolio has no task yet. Add one with: portfolio add-task NAME --train FILE"
    )


def test_the_accuracies_now_are_said_first(snapshot_of: SnapshotOf) -> None:
    opening, accuracy, *_ = summary(build_report(snapshot_of([[1.0, N], [1.0, 0.9]], [[1.0, N], [0.8, 0.9]])))
    assert opening == "2 tasks on the frozen base tiny."
    assert accuracy == (
        "Test rows answered rightly: 95.0 % with the task given, 85.0 % with the router choosing, "
        "which finds the right task for 87.5 %."
    )


def test_what_got_worse_is_named_with_both_scores(snapshot_of: SnapshotOf) -> None:
    routed = [[0.9, N, N, N], [0.9, 0.8, N, N], [0.9, 0.8, 0.7, N], [0.85, 0.5, 0.75, 0.9]]
    text = text_of(snapshot_of([[0.9] * 4] * 4, routed, ["a", "b", "c", "d"]))
    assert (
        "Routed, 2 of 3 earlier tasks score less than when they were added; "
        "the change is -10.0 points on average, the largest loss that of b: 80.0 % then, 50.0 % now." in text
    )
    assert "With the task given, every earlier task scores exactly what it scored when it was added." in text


def test_a_loss_with_the_task_given_is_told_however_small(snapshot_of: SnapshotOf) -> None:
    """Isolated adapters cannot forget, so any change here matters, even one that rounds to nothing."""
    text = text_of(snapshot_of([[0.9, N, N], [0.9, 0.9, N], [0.9, 0.89999, 0.9]]))
    assert "With the task given, 1 of 2 earlier tasks scores less than when it was added" in text


def test_all_losing_and_only_one_earlier_task_read_well(snapshot_of: SnapshotOf) -> None:
    every = snapshot_of([[0.9, N, N], [0.8, 0.9, N], [0.7, 0.6, 0.9]])
    assert "Routed, all 2 earlier tasks score less than when they were added" in text_of(every)
    single = snapshot_of([[0.9, N], [0.7, 0.9]])
    assert "Routed, task0 scores less than when it was added: 90.0 % then, 70.0 % now." in text_of(single)


def test_gains_without_losses_are_no_forgetting(snapshot_of: SnapshotOf) -> None:
    text = text_of(snapshot_of([[0.8, N], [0.9, 0.9]]))
    assert "Routed, no earlier task scores less than when it was added (+10.0 points on average)." in text


def test_one_task_has_nothing_to_forget(snapshot_of: SnapshotOf) -> None:
    text = text_of(snapshot_of([[0.8]]))
    assert "With one task there is nothing yet to forget." in text
    assert "earlier" not in text


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
    assert "Routed, every earlier task measured both then and now scores exactly" in text


def test_a_portfolio_that_was_never_scored_says_so(snapshot_of: SnapshotOf) -> None:
    text = text_of(dataclasses.replace(snapshot_of([[1.0, N], [1.0, 1.0]]), cells=(), router=None))
    assert text.splitlines() == [
        "2 tasks on the frozen base tiny.",
        "No score was measured after the last task was added.",
        "6 of 6 scores were not measured; they are left out, not counted as 0.",
    ]


def test_one_measured_matrix_is_told_without_the_other(snapshot_of: SnapshotOf) -> None:
    assert "With the task given, 80.0 % of test rows are answered rightly; routed, not measured." in text_of(
        snapshot_of([[0.8]], [[N]])
    )
    assert "Test rows answered rightly: 80.0 % with the router choosing" in text_of(snapshot_of([[N]], [[0.8]]))
