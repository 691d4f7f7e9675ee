"""The report on a terminal: plain words first, both results matrices, what changed and why, figures, costs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from portfolio.reports.findings import NO_TEXTS, Texts
from portfolio.reports.findings_terminal import print_findings
from portfolio.reports.formulas import FORMULAS, ROUTED_ONLY
from portfolio.reports.report import Report, Results
from portfolio.reports.router import in_words
from portfolio.reports.sections import colored, ends, numbered, print_section
from portfolio.reports.summary import summary
from portfolio.reports.tables import bare_table, fields_table, figures_table
from portfolio.reports.wording import NOTHING, count, duration, percent, plain, points, size
from portfolio.reports.worst import listed

_MATRIX_TASKS = 12  # more columns than these do not fit 80 characters
_LISTED_TASKS = 40  # of more tasks than these, only those that lost most are listed
_WORST_TASKS = 20
_NARROWEST_FIGURES = 66  # columns

_METRICS = (  # figure, and its words
    ("average_accuracy", "average accuracy"),
    ("micro_average_accuracy", "the same by rows"),
    ("average_incremental_accuracy", "average over steps"),
    ("plasticity", "plasticity"),
    ("stability", "stability"),
    ("worst_score", "worst task"),
)
_TRANSFERS = (("bwt", "BWT"), ("forgetting", "forgetting"), ("fwt", "FWT"))
_INTERVALS = ("bwt", "forgetting")  # those that have one


def print_report(report: Report, console: Console, texts: Texts = NO_TEXTS) -> None:
    """Write the report to `console`; 80 columns are enough, and nothing is said by colour alone.

    Args:
        texts: of test rows that were lost, by task and row, to be written with them.
    """
    for sentence in summary(report):
        console.print(Text(plain(sentence, console)))
    if not report.tasks:
        return
    shown = listed(report, _LISTED_TASKS, _WORST_TASKS)
    _print_legend(report, len(shown), console)
    if len(report.tasks) <= _MATRIX_TASKS:
        for how, results in (("With the task given", report.oracle), ("Routed", report.routed)):
            title = f"{how}: score on a task (column) after each step (row)"
            print_section(title, _matrix(report.tasks, results, console), console)
    else:
        print_section("Each task when it was added, and now", _added_and_now(report, shown, console), console)
    print_findings(report, shown, texts, console)
    print_section("Each task now", _now(report, shown, console), console)
    print_section("Figures", _figures(report, console), console)
    if report.router is not None:
        print_section("Router: settings and calibration", fields_table(in_words(report.router), console), console)
    print_section("Costs", _costs(report, shown, console), console)


def _print_legend(report: Report, listed: int, console: Console) -> None:
    base = f"Base {report.base.name}, fingerprint {report.base.fingerprint[:12]}. Scores in %, changes in points."
    console.print(Text(plain(base, console), style="dim"))
    if listed < len(report.tasks):
        lost = f"Listed are the {listed} of {count(len(report.tasks), 'task')} that lost most when routed."
        console.print(Text(f"{lost} For all, type: portfolio report --json", style="dim"))


def _matrix(tasks: Sequence[str], results: Results, console: Console) -> RenderableType:
    columns = range(len(tasks))
    added, changes = results.added(), results.changes()
    rows: list[list[str | Text]] = [
        [name, *(_cell(row[task], added[task], is_known=task <= step) for task in columns)]
        for step, (name, row) in enumerate(zip(numbered(tasks, columns), results.matrix, strict=True))
    ]
    if len(tasks) > 1:
        rows.append([_bold("change"), *(colored(points(change), change) for change in changes)])
    return figures_table(["after", *(str(task + 1) for task in columns)], rows, console, gap=1)


def _cell(score: float | None, added: float | None, *, is_known: bool) -> Text:
    if score is None:
        return Text(NOTHING if is_known else "")
    return colored(percent(score), None if added is None else score - added)


def _added_and_now(report: Report, listed: Sequence[int], console: Console) -> RenderableType:
    headers = ["\ntask", "oracle\nadded", "\nnow", "\nchange", "routed\nadded", "\nnow", "\nchange"]
    columns = [(results.added(), results.now(), results.changes()) for results in (report.oracle, report.routed)]
    rows: list[list[str | Text]] = []
    for name, task in zip(numbered(report.tasks, listed), listed, strict=True):
        row: list[str | Text] = [name]
        for added, now, changes in columns:
            row += [percent(added[task]), percent(now[task]), colored(points(changes[task]), changes[task])]
        rows.append(row)
    return figures_table(headers, rows, console)


def _now(report: Report, listed: Sequence[int], console: Console) -> RenderableType:
    rows: list[list[str | Text]] = []
    for name, task in zip(numbered(report.tasks, listed), listed, strict=True):
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
            whose = f"; routed: {report.routed.worst_task or NOTHING}" if figure == "worst_score" else ""
            table.add_row(words, written(oracle), written(routed), Text(FORMULAS[figure] + whose, style="dim"))
            if figure in _INTERVALS:
                _add_intervals(report, f"{figure}_interval", table)
    table.add_row("routing loss", "", points(report.routing_loss), Text(FORMULAS["routing_loss"], style="dim"))
    for figure, words in ROUTED_ONLY:
        table.add_row(words, "", percent(getattr(report, figure)), Text(FORMULAS[figure], style="dim"))
    return table


def _add_intervals(report: Report, figure: str, table: Table) -> None:
    """A line with both ends of both intervals, each on a line of its own, if one is known."""
    oracle, routed = getattr(report.oracle, figure), getattr(report.routed, figure)
    if oracle is not None or routed is not None:
        written = (ends(interval).replace(" .. ", " ..\n") for interval in (oracle, routed))
        table.add_row("  95 % interval", *written, Text(FORMULAS[figure], style="dim"))


def _costs(report: Report, listed: Sequence[int], console: Console) -> RenderableType:
    names = {report.tasks[task] for task in listed}
    rows: list[list[str | Text]] = []
    for cost in report.costs:
        if cost.task in names:
            measures = (count(cost.parameters), size(cost.bytes), duration(cost.seconds))
            rows.append([cost.adapter, cost.method, *measures, count(cost.epochs), _rows(cost.train_rows)])
    parameters = count(sum(cost.parameters for cost in report.costs))
    everything = size(sum(cost.bytes for cost in report.costs))
    training = duration(sum(cost.seconds for cost in report.costs))
    rows.append([_bold("all adapters"), "", parameters, everything, training, "", ""])
    headers = ["adapter", "method", "parameters", "size", "training", "epochs", "rows"]
    return figures_table(headers, rows, console, left=2)


def _rows(number: int | None) -> str:
    return NOTHING if number is None else count(number)


def _bold(text: str) -> Text:
    return Text(text, style="bold")
