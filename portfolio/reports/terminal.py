"""The report on a terminal: plain words first, then both results matrices, the figures with their formulas, costs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from portfolio.reports.report import FORMULAS, Report, Results
from portfolio.reports.router import in_words
from portfolio.reports.summary import summary
from portfolio.reports.tables import bare_table, fields_table, figures_table, print_table
from portfolio.reports.wording import NOTHING, count, duration, percent, plain, points, size

_MATRIX_TASKS = 12  # more columns than these do not fit 80 characters
_LISTED_TASKS = 40  # of more tasks than these, only those that lost most are listed
_WORST_TASKS = 20
_NARROWEST_FIGURES = 66  # columns
_CLEAR_LOSS = 0.01  # of a score; a smaller one is coloured less loudly

_METRICS = (  # figure, and its words
    ("average_accuracy", "average accuracy"),
    ("average_incremental_accuracy", "average over steps"),
    ("plasticity", "plasticity"),
)
_TRANSFERS = (("bwt", "BWT"), ("forgetting", "forgetting"), ("fwt", "FWT"))
_ROUTED_ONLY = (
    ("routing_accuracy", "routing accuracy"),
    ("astray_right", "right label, wrong adapter"),
    ("coverage", "coverage"),
    ("selective_accuracy", "selective accuracy"),
    ("floor", "floor"),
)


def print_report(report: Report, console: Console) -> None:
    """Write the report to `console`; 80 columns are enough, and nothing is said by colour alone."""
    for sentence in summary(report):
        console.print(Text(plain(sentence, console)))
    if not report.tasks:
        return
    listed = _listed(report)
    _print_legend(report, len(listed), console)
    if len(report.tasks) <= _MATRIX_TASKS:
        for how, results in (("With the task given", report.oracle), ("Routed", report.routed)):
            title = f"{how}: score on a task (column) after each step (row)"
            _print_section(title, _matrix(report.tasks, results, console), console)
    else:
        _print_section("Each task when it was added, and now", _added_and_now(report, listed, console), console)
    _print_section("Each task now", _now(report, listed, console), console)
    _print_section("Figures", _figures(report, console), console)
    if report.router is not None:
        _print_section("Router: settings and calibration", fields_table(in_words(report.router), console), console)
    _print_section("Costs", _costs(report, listed, console), console)


def _print_legend(report: Report, listed: int, console: Console) -> None:
    base = f"Base {report.base.name}, fingerprint {report.base.fingerprint[:12]}. Scores in %, changes in points."
    console.print(Text(plain(base, console), style="dim"))
    if listed < len(report.tasks):
        lost = f"Listed are the {listed} of {count(len(report.tasks), 'task')} that lost most when routed."
        console.print(Text(f"{lost} For all, type: portfolio report --json", style="dim"))


def _print_section(title: str, table: Table, console: Console) -> None:
    console.print()
    console.print(Text(title, style="bold"))
    print_table(table, console)


def _listed(report: Report) -> list[int]:
    """The tasks to list, in the order they were added: all, or of very many those that lost most when routed."""
    everyone = list(range(len(report.tasks)))
    if len(everyone) <= _LISTED_TASKS:
        return everyone
    changes, now = report.routed.changes(), report.routed.now()

    def loss_then_score(task: int) -> tuple[float, float]:
        change, score = changes[task], now[task]
        return (1.0 if change is None else change, 1.0 if score is None else score)

    return sorted(sorted(everyone, key=loss_then_score)[:_WORST_TASKS])


def _matrix(tasks: Sequence[str], results: Results, console: Console) -> Table:
    columns = range(len(tasks))
    added, changes = results.added(), results.changes()
    rows: list[list[str | Text]] = [
        [name, *(_cell(row[task], added[task], is_known=task <= step) for task in columns)]
        for step, (name, row) in enumerate(zip(_numbered(tasks, columns), results.matrix, strict=True))
    ]
    if len(tasks) > 1:
        rows.append([_bold("change"), *(_colored(points(change), change) for change in changes)])
    return figures_table(["after", *(str(task + 1) for task in columns)], rows, console, gap=1)


def _cell(score: float | None, added: float | None, *, is_known: bool) -> Text:
    if score is None:
        return Text(NOTHING if is_known else "")
    return _colored(percent(score), None if added is None else score - added)


def _colored(text: str, change: float | None) -> Text:
    if not change:
        return Text(text)
    if change > 0:
        return Text(text, style="green")
    return Text(text, style="red" if change <= -_CLEAR_LOSS else "yellow")


def _added_and_now(report: Report, listed: Sequence[int], console: Console) -> Table:
    headers = ["\ntask", "oracle\nadded", "\nnow", "\nchange", "routed\nadded", "\nnow", "\nchange"]
    columns = [(results.added(), results.now(), results.changes()) for results in (report.oracle, report.routed)]
    rows: list[list[str | Text]] = []
    for name, task in zip(_numbered(report.tasks, listed), listed, strict=True):
        row: list[str | Text] = [name]
        for added, now, changes in columns:
            row += [percent(added[task]), percent(now[task]), _colored(points(changes[task]), changes[task])]
        rows.append(row)
    return figures_table(headers, rows, console)


def _now(report: Report, listed: Sequence[int], console: Console) -> Table:
    rows: list[list[str | Text]] = []
    for name, task in zip(_numbered(report.tasks, listed), listed, strict=True):
        now = report.per_task[task]
        scores = (now.oracle, now.routed, now.floor, now.routing_accuracy, now.coverage, now.selective_accuracy)
        rows.append([name, count(now.rows), *map(percent, scores)])
    means = (report.oracle.average_accuracy, report.routed.average_accuracy, report.floor)
    routing_means = (report.routing_accuracy, report.coverage, report.selective_accuracy)
    all_rows = sum(now.rows for now in report.per_task)
    rows.append([_bold("mean of all tasks"), count(all_rows), *map(percent, means + routing_means)])
    headers = ["task", "rows", "oracle", "routed", "floor", "routing", "coverage", "selective"]
    return figures_table(headers, rows, console)


def _figures(report: Report, console: Console) -> Table:
    table = bare_table(console)
    table.width = None if console.width >= _NARROWEST_FIGURES else _NARROWEST_FIGURES
    table.add_column("", no_wrap=True)
    table.add_column("oracle", justify="right", no_wrap=True)
    table.add_column("routed", justify="right", no_wrap=True)
    table.add_column(f"formula (T = {count(len(report.tasks), 'task')}, counted from 0)", overflow="fold")
    for kinds, written in ((_METRICS, percent), (_TRANSFERS, points)):
        for figure, words in kinds:
            oracle, routed = getattr(report.oracle, figure), getattr(report.routed, figure)
            table.add_row(words, written(oracle), written(routed), Text(FORMULAS[figure], style="dim"))
    for figure, words in _ROUTED_ONLY:
        table.add_row(words, "", percent(getattr(report, figure)), Text(FORMULAS[figure], style="dim"))
    return table


def _costs(report: Report, listed: Sequence[int], console: Console) -> Table:
    names = {report.tasks[task] for task in listed}
    rows: list[list[str | Text]] = []
    for cost in report.costs:
        if cost.task in names:
            measures = (count(cost.parameters), size(cost.bytes), duration(cost.seconds))
            rows.append([cost.adapter, cost.method, *measures, count(cost.epochs), count(cost.train_rows)])
    parameters = count(sum(cost.parameters for cost in report.costs))
    everything = size(sum(cost.bytes for cost in report.costs))
    training = duration(sum(cost.seconds for cost in report.costs))
    rows.append([_bold("all adapters"), "", parameters, everything, training, "", ""])
    headers = ["adapter", "method", "parameters", "size", "training", "epochs", "rows"]
    return figures_table(headers, rows, console, left=2)


def _numbered(tasks: Sequence[str], listed: Sequence[int]) -> list[str]:
    digits = len(str(len(tasks)))
    return [f"{task + 1:>{digits}} {tasks[task]}" for task in listed]


def _bold(text: str) -> Text:
    return Text(text, style="bold")
