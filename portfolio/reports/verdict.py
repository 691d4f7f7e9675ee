"""A report's first paragraph: what got worse, by how much, why, and what to do; nothing that the figures do not say.

A loss is called more than chance where its 95 % interval lies below 0 and an exact sign test agrees: with b rows lost and c
won, P(a fair coin falls as unevenly as b : c, or more so) < 5 %. The test keeps a handful of rows from deciding.

Source of the test: McNemar, 1947, Psychometrika 12.
"""

from __future__ import annotations

from collections.abc import Sequence

from portfolio.reports.findings import Change, Interval, Loss
from portfolio.reports.reasons import reasons_in_words
from portfolio.reports.report import Report
from portfolio.reports.wording import count, percent, points

_SIGNIFICANT = 0.05
_FALSE_ALARMS = 0.025  # of tasks that did not change, at most so many look worse by chance


def verdict(report: Report) -> str:
    """The paragraph, for a portfolio of at least one task."""
    if len(report.tasks) == 1:
        return "With one task there is nothing yet to forget."
    if not _measured(report):
        return "Whether anything got worse is not known: no earlier task was measured both when it was added and now."
    worse = [loss for loss in report.losses if is_more_than_chance(loss)]
    if worse:
        told = [_worst(worse, report), _on_average(report), *reasons_in_words(worse, report)]
    elif _is_worse_together(report):
        told = [_worse_together(report), *reasons_in_words(report.losses, report)]
    else:
        told = [_nothing_sure(report)]
    return " ".join(sentence for sentence in (*told, _own_adapters(report)) if sentence)


def is_more_than_chance(loss: Loss) -> bool:
    """Whether other rows of the same kind can be expected to show a loss, too."""
    return loss.interval is not None and loss.interval.high < 0 and _sign_test(len(loss.lost), loss.won) < _SIGNIFICANT


def within(interval: Interval | None) -> str:
    """` (95 % interval -8.0 to -2.0)`, in points; nothing where there is none."""
    return "" if interval is None else f" (95 % interval {points(interval.low)} to {points(interval.high)})"


def _measured(report: Report) -> list[Change]:
    """The changes of the earlier tasks that were measured twice; the last task has had no time to change."""
    return [change for change in report.changes[:-1] if change.change is not None]


def _sign_test(lost: int, won: int) -> float:
    """The p-value, exact and two-sided; 1 where no row was lost or won."""
    rows = lost + won
    ways, tail = 1, 0  # to choose `few` rows of all; to choose at most as many as the smaller side has
    for few in range(min(lost, won) + 1):
        tail += ways
        ways = ways * (rows - few) // (few + 1)
    return float(min(1.0, 2 * tail / 2**rows))


def _worst(worse: Sequence[Loss], report: Report) -> str:
    loss, measured = worse[0], _measured(report)
    change = next(change for change in measured if change.task == loss.task)
    scores = (
        f"{percent(change.before)} % of its test rows were answered rightly when it was added, "
        f"{percent(change.after)} % now, {points(change.change)} points{within(change.interval)}."
    )
    if len(worse) == 1:
        some = f"{loss.task} got worse: {scores}"
    else:
        every = f"All {len(worse):,}" if len(worse) == len(measured) else f"{len(worse):,} of {len(measured):,}"
        some = f"{every} earlier tasks got worse by more than chance, {loss.task} most: {scores}"
    few = len(worse) <= _FALSE_ALARMS * len(measured)
    return f"{some} Among {len(measured):,} tasks, so few can look worse by chance alone." if few else some


def _on_average(report: Report) -> str:
    interval = report.routed.bwt_interval
    if interval is None or len(_measured(report)) < 2:
        return ""
    return f"The earlier tasks changed by {points(report.routed.bwt)} points on average{within(interval)}."


def _is_worse_together(report: Report) -> bool:
    """Whether the earlier tasks lost on average by more than chance, though no single one did."""
    interval = report.routed.bwt_interval
    gained = sum(max(0, round((change.change or 0.0) * change.rows)) for change in _measured(report))
    lost, won = sum(len(loss.lost) for loss in report.losses), sum(loss.won for loss in report.losses) + gained
    return interval is not None and interval.high < 0 and lost > won and _sign_test(lost, won) < _SIGNIFICANT


def _worse_together(report: Report) -> str:
    return (
        f"No single task got worse by more than chance, but the {count(len(_measured(report)), 'earlier task')} together "
        f"did: {points(report.routed.bwt)} points on average{within(report.routed.bwt_interval)}."
    )


def _nothing_sure(report: Report) -> str:
    measured = _measured(report)
    losing = [change for change in measured if (change.change or 0.0) < 0]
    unsure = [change for change in losing if change.interval is None]
    twice = "" if len(measured) == len(report.tasks) - 1 else " measured both then and now"
    if not losing:
        if not any(change.change for change in measured):
            return f"Nothing got worse: every earlier task{twice} scores exactly what it scored when it was added."
        average = f"the change is {points(report.routed.bwt)} points on average"
        return f"Nothing got worse: no earlier task{twice} scores less than when it was added; {average}."
    if not unsure:
        nothing = f"No earlier task{twice}" if twice else "Nothing"
        return f"{nothing} got worse by more than chance. {_largest(report.losses[0])}"
    if report.rows_kept and report.losses:
        some = count(len(report.losses), "task")
        return f"None of the {some} that lost most got worse by more than chance. {_largest(report.losses[0])}"
    return _unsure(unsure, measured)


def _largest(loss: Loss) -> str:
    few = "; these are too few rows to be sure" if loss.interval is not None and loss.interval.high < 0 else ""
    return (
        f"The largest loss is that of {loss.task}: of {count(loss.rows, 'test row')} {len(loss.lost):,} were lost and "
        f"{loss.won:,} won, {points(loss.change)} points{within(loss.interval)}{few}."
    )


def _unsure(unsure: Sequence[Change], measured: Sequence[Change]) -> str:
    """Of losses whose rows were not kept."""
    worst = min(unsure, key=lambda change: change.change or 0.0)
    scores = f"{percent(worst.before)} % then, {percent(worst.after)} % now"
    if len(unsure) == 1:
        some = f"{worst.task} scores less than when it was added: {scores}."
    else:
        every = f"All {len(unsure):,}" if len(unsure) == len(measured) else f"{len(unsure):,} of {len(measured):,}"
        some = f"{every} earlier tasks score less than when they were added, {worst.task} most: {scores}."
    return f"{some} Whether this is more than chance cannot be said without the test rows of that time."


def _own_adapters(report: Report) -> str:
    """What was lost with the task given, which isolated adapters cannot lose."""
    losing = [change for change in report.oracle_changes if (change.change or 0.0) < 0]
    if not losing:
        return ""
    worst = min(losing, key=lambda change: change.change or 0.0)
    some = worst.task if len(losing) == 1 else f"{count(len(losing), 'task')} lost, most of all {worst.task}, which"
    return (
        f"With the task given, {some} lost {points(worst.change).lstrip('-')} points{within(worst.interval)}: its own "
        f"adapter answers otherwise than when it was added. For its versions, type: portfolio show {worst.task}"
    )
