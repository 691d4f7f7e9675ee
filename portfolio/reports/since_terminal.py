"""Two moments of a portfolio side by side, on a terminal: what happened between, what changed by it, and why."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from portfolio.records import Moment
from portfolio.reports.findings import NO_TEXTS, Change, Since, Texts
from portfolio.reports.losses_terminal import print_losses
from portfolio.reports.sections import change_cells, print_section, print_title
from portfolio.reports.since import UNDER_RULES
from portfolio.reports.tables import figures_table
from portfolio.reports.verdict import is_more_than_chance
from portfolio.reports.wording import count, moment, percent, plain

_HAPPENED = 12  # changes that are listed
_NAMES = 12  # of tasks that came or went
_TASKS = 40  # of more than these, those that changed most are listed
_ACTIONS = {
    "add-task": "came",
    "remove-task": "went",
    "calibrated": "was calibrated",
    "promote": "was promoted: another version answers",
    "rollback": "was rolled back: another version answers",
}


def print_since(found: Since, console: Console, texts: Texts = NO_TEXTS) -> None:
    """Write it to `console`; 80 columns are enough, and nothing is said by colour alone.

    Args:
        texts: of test rows that were lost, by task and row, to be written with them.
    """
    for sentence in _in_words(found):
        console.print(Text(plain(sentence, console)))
    if found.between:
        print_title("What happened", console)
        _print_happened(found.between, console)
    _print_changes("Routed", found.routed, console)
    if any(change.change for change in found.oracle):
        _print_changes("With the task given", found.oracle, console)
    if found.losses:
        print_title("Why tasks lost, routed, most lost first", console)
        print_losses(found.losses, texts, console)


def _in_words(found: Since) -> list[str]:
    sentences = [
        _span(found),
        _named("Came", found.came),
        _named("Went", found.went),
        _named("On other test rows since another version answers, so not comparable", found.other_rows),
        _judged(found),
        _isolation(found),
    ]
    return [sentence for sentence in sentences if sentence]


def _span(found: Since) -> str:
    if found.after.action == UNDER_RULES:
        return f"What {found.after.subject} changes for this request, on the test rows of all tasks."
    return f"From {moment(found.before.at)} to {moment(found.after.at)}: {count(len(found.between), 'change')}."


def _named(what: str, tasks: Sequence[str]) -> str:
    more = f" and {len(tasks) - _NAMES:,} more" if len(tasks) > _NAMES else ""
    return f"{what}: {', '.join(tasks[:_NAMES])}{more}." if tasks else ""


def _judged(found: Since) -> str:
    """Which tasks got worse by more than chance."""
    measured = [change for change in found.routed if change.change is not None]
    if not measured:
        return "No task was measured at both moments."
    worse = [loss.task for loss in found.losses if is_more_than_chance(loss)]
    if not worse:
        return f"Of {count(len(measured), 'task')} measured both times, none got worse by more than chance, routed."
    return _named("Got worse by more than chance, routed", worse)


def _isolation(found: Since) -> str:
    if not found.oracle or any(change.change for change in found.oracle):
        return ""
    return "With the task given, every one of them scores exactly what it scored before."


def _print_happened(between: Sequence[Moment], console: Console) -> None:
    for one in between[-_HAPPENED:]:
        line = f"{moment(one.at)}  {_happened(one)}"
        console.print(Padding(Text(plain(line, console), overflow="fold"), (0, 0, 0, 2), expand=False))
    if len(between) > _HAPPENED:
        earlier = count(len(between) - _HAPPENED, "earlier change")
        console.print(Text(f"  and {earlier}; for all, add --json", style="dim"))


def _happened(one: Moment) -> str:
    if one.action == "measure":
        return "all tasks were measured again"
    return f"{one.subject} {_ACTIONS.get(one.action, one.action)}"


def _print_changes(how: str, changes: Sequence[Change], console: Console) -> None:
    """A line a task; of very many, those that changed most, in their order."""
    if not changes:
        return
    largest = sorted(range(len(changes)), key=lambda task: -abs(changes[task].change or 0.0))
    shown = [changes[task] for task in sorted(largest[:_TASKS])]
    most = f", the {len(shown)} of {len(changes):,} that changed most" if len(shown) < len(changes) else ""
    print_section(f"{how}: scores in %, changes in points{most}", _changes(shown, console), console)


def _changes(changes: Sequence[Change], console: Console) -> RenderableType:
    rows: list[list[str | Text]] = [
        [change.task, count(change.rows), percent(change.before), percent(change.after), *change_cells(change)]
        for change in changes
    ]
    return figures_table(["task", "rows", "before", "after", "change", "from .. to"], rows, console)
