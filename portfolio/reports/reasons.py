"""Why rows were lost, and what can be done about it, in a few sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from portfolio.reports.findings import Loss, Taker
from portfolio.reports.report import Report
from portfolio.reports.wording import count

_NAMED_TAKERS = 2
_WORTH_A_REMEDY = 0.01  # of the losers' test rows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Takings:
    """What one task took from all that are looked at."""

    task: str
    rows: int
    lead: float  # mean over these rows
    would_return: int
    is_newer: bool  # than every task that it took from


def reasons_in_words(losses: Sequence[Loss], report: Report) -> list[str]:
    """Who took the rows of these tasks, and by what margin; then what to do, as far as the figures tell."""
    takings = _takings(losses, report.tasks)
    at_home = sum(len(loss.at_home) for loss in losses)
    sentences = [_who(losses, takings, at_home)]
    if takings and sum(taking.rows for taking in takings) > at_home:
        sentences += [_remedy(losses, takings[0]), _no_training(losses, report)]
    return [sentence for sentence in sentences if sentence]


def _takings(losses: Sequence[Loss], tasks: Sequence[str]) -> list[_Takings]:
    """Most rows first."""
    position = {task: number for number, task in enumerate(tasks)}
    by_taker: dict[str, list[tuple[str, Taker]]] = {}
    for loss in losses:
        for taker in loss.takers:
            by_taker.setdefault(taker.task, []).append((loss.task, taker))
    takings = []
    for task, taken in by_taker.items():
        rows = sum(len(taker.rows) for _, taker in taken)
        takings.append(
            _Takings(
                task=task,
                rows=rows,
                lead=sum(len(taker.rows) * taker.lead for _, taker in taken) / rows,
                would_return=sum(taker.would_return for _, taker in taken),
                is_newer=all(position.get(task, 0) > position[loser] for loser, _ in taken),
            )
        )
    return sorted(takings, key=lambda taking: -taking.rows)


def _who(losses: Sequence[Loss], takings: Sequence[_Takings], at_home: int) -> str:
    lost = sum(len(loss.lost) for loss in losses)
    losers = "it" if len(losses) == 1 else "these tasks"
    parts = [(taking.rows, _named(taking)) for taking in takings[:_NAMED_TAKERS]]
    if parts:
        parts[0] = (takings[0].rows, f"{_named(takings[0])}, by a margin of {takings[0].lead:.2f} on average")
    if rest := sum(taking.rows for taking in takings[_NAMED_TAKERS:]):
        parts.append((rest, "other tasks"))
    if at_home:
        own, adapter = (losses[0].task, "adapter says") if len(losses) == 1 else ("their own tasks", "adapters say")
        parts.append((at_home, f"{own}, whose own {adapter} another label"))
    (rows, first), *others = parts
    told = [f"{rows:,} now {'goes' if rows == 1 else 'go'} to {first}", *(f"{more:,} to {to}" for more, to in others)]
    return f"Of the {count(lost, 'row')} that {losers} lost, {_joined(told)}."


def _named(taking: _Takings) -> str:
    return f"the newer task {taking.task}" if taking.is_newer else taking.task


def _remedy(losses: Sequence[Loss], taking: _Takings) -> str:
    if 2 * taking.would_return <= taking.rows:
        few = f"only {taking.would_return:,}" if taking.would_return else "none"
        return (
            f"Without {taking.task} {few} of the {taking.rows:,} would come back, so removing it would not undo the loss. "
            "To read the rows, type: portfolio report --with-texts."
        )
    others = losses[0].task if len(losses) == 1 else "these tasks"
    back = f"{taking.would_return:,} of the {taking.rows:,} would come back"
    overlap = f"{taking.task} overlaps with {others}: without it, {back}."
    look = f"Look closer with: portfolio overlap --without {taking.task}"
    if taking.would_return < _WORTH_A_REMEDY * sum(loss.rows for loss in losses):
        return f"{overlap} So few of their test rows call for no remedy. {look}."
    remove = "remove it, " if taking.is_newer else ""
    return f"{overlap} {look}; then {remove}make one task of those that overlap, or keep them apart by tags and rules."


def _no_training(losses: Sequence[Loss], report: Report) -> str:
    """Where the own adapters are as good as they were, the router alone decides."""
    losers = {loss.task for loss in losses}
    changes = [change.change for change in report.oracle_changes if change.task in losers]
    if any(change is None or change < 0 for change in changes):
        return ""
    who, answered = (losses[0].task, "it is") if len(losses) == 1 else ("these tasks", "they are")
    return f"To train {who} again would give nothing: with the task given, {answered} answered as well as before."


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{'; '.join(parts[:-1])}; and {parts[-1]}"
