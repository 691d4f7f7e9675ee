"""How well the router does, on a terminal: routes of texts whose task is known, and tasks that lie close to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console, RenderableType
from rich.text import Text

from portfolio.reports.judgement import OverlapReport, RouteReport, WrongRoute, known
from portfolio.reports.routes import explanation
from portfolio.reports.tables import fields_table, figures_table, print_table
from portfolio.reports.wording import count, cut, percent, plain

if TYPE_CHECKING:
    from routing.overlap import Pair, Theft

_LISTED_TASKS = 40  # of more tasks than these, only those with the lowest accuracy are listed
_WORST_TASKS = 20
_LISTED_CONFUSIONS = 15
_LISTED_PAIRS = 20
_LISTED_LOSERS = 3
_ROOM_FOR_NAMES = 12  # columns that a matrix leaves for the names of its rows


def print_route_report(report: RouteReport, console: Console, *, wrong: int) -> None:
    """Write accuracy, tasks, confusions, the coverage-risk curve, and the first texts that went wrong; 80 columns do.

    Args:
        wrong: so many of them.
    """
    console.print(fields_table(_summary(report), console))
    _print_section("Each task: share of its texts in % that found it", _by_task(report, console), console)
    if len(report.wrong):
        _print_confusions(report, console)
    _print_section("Error in % among the surest share of texts", _curve(report, console), console)
    _print_wrong(report, wrong, console)


def print_overlap(report: OverlapReport, console: Console) -> None:
    """Write each pair of tasks that there is something to say of, and what was taken from older tasks."""
    pairs = report.now.pairs
    if not pairs:
        tasks = count(len(report.now.tasks), "task")
        console.print(f"{tasks}: no validation row went to another task, and no two classes lie near each other.")
    for pair in pairs[:_LISTED_PAIRS]:
        console.print(Text(f"{pair.first} and {pair.second}: {pair.verdict}", style="bold"))
        for line in _pair_lines(report, pair):
            console.print(Text("  " + plain(line, console)), soft_wrap=True)
    if len(pairs) > _LISTED_PAIRS:
        more = count(len(pairs) - _LISTED_PAIRS, "more pair")
        console.print(Text(f"{more}; for all, type: portfolio overlap --json", style="dim"))
    if report.without is not None:
        console.print()
        console.print(Text(taken_in_words(report), style="bold"), soft_wrap=True)
        for theft in report.stolen:
            rows = count(len(theft.rows), "validation row")
            console.print(f"  {theft.task}: {rows} that found it before, {percent(theft.share)} % of all")


def taken_in_words(report: OverlapReport) -> str:
    """What the task that the report compares with took from the others when it came, in a sentence."""
    if not report.stolen:
        return f"{report.without} takes no validation row from a task that had it before."
    losers = [_loss(theft) for theft in report.stolen[:_LISTED_LOSERS]]
    more = len(report.stolen) - _LISTED_LOSERS
    others = f", and less from {count(more, 'other task')}" if more > 0 else ""
    return f"{report.without} takes {', '.join(losers)}{others}."


def _loss(theft: Theft) -> str:
    return f"{percent(theft.share)} % of {theft.task}'s validation rows"


def _summary(report: RouteReport) -> list[tuple[str, str]]:
    fields = [
        ("texts", count(report.rows)),
        ("found their task", f"{percent(report.accuracy)} %, each text sent to some task"),
        ("coverage", f"{percent(report.coverage)} % not abstained on"),
        ("ECE", f"{percent(report.ece)} % of P(task | x)"),
        ("base asked", f"for {percent(report.asked)} % of texts, the trunk alone not being sure"),
        ("cost", f"{report.block_evaluations:.2f} block evaluations a text, {report.base_passes:.2f} base passes"),
    ]
    if (outside := report.out_of_scope) is not None:
        fields += [
            ("out of scope", f"{count(outside.rows, 'text')}, {percent(outside.recall)} % of them refused (recall)"),
            ("AUROC", f"{outside.auroc:.4f}"),
            ("FPR95", f"{percent(outside.fpr95)} % of them kept, where 95 % of the others are"),
        ]
    return fields


def _by_task(report: RouteReport, console: Console) -> RenderableType:
    rows = report.confusion.sum(axis=1).tolist()
    shares = [1.0 if share is None else share for share in report.by_task]
    listed = list(range(len(report.tasks)))
    if len(listed) > _LISTED_TASKS:
        listed = sorted(sorted(listed, key=lambda task: shares[task])[:_WORST_TASKS])
    cells: list[list[str | Text]] = [
        [_numbered(report, task), count(rows[task]), percent(report.by_task[task])] for task in listed
    ]
    return figures_table(["task", "texts", "found"], cells, console)


def _print_confusions(report: RouteReport, console: Console) -> None:
    """The matrix if it fits the width, otherwise the largest numbers beside its diagonal."""
    tasks = range(len(report.tasks))
    widths = [max(len(str(task + 1)), *(len(count(int(line[task]))) for line in report.confusion)) for task in tasks]
    if sum(widths) + len(widths) + _ROOM_FOR_NAMES <= console.width:
        rows: list[list[str | Text]] = [
            [_numbered(report, task), *(count(number) if number else "." for number in report.confusion[task].tolist())]
            for task in tasks
        ]
        table = figures_table(["", *(str(task + 1) for task in tasks)], rows, console, gap=1)
        _print_section("Texts of a task (row) that went to a task (column)", table, console)
        return
    astray = report.confusion * (1 - np.eye(len(report.tasks), dtype=np.int64))
    largest = np.argsort(-astray, axis=None, kind="stable")[:_LISTED_CONFUSIONS]
    cells: list[list[str | Text]] = [
        [f"{report.tasks[i]} -> {report.tasks[j]}", count(int(astray[i, j]))]
        for i, j in zip(*np.unravel_index(largest, astray.shape), strict=True)
        if astray[i, j]
    ]
    _print_section("The most frequent confusions", figures_table(["from -> to", "texts"], cells, console), console)


def _curve(report: RouteReport, console: Console) -> RenderableType:
    headers = ["answered", *(percent(coverage).removesuffix(".0") for coverage in report.curve.coverages), "AURC"]
    risks = [percent(risk) for risk in report.curve.risks]
    return figures_table(headers, [["error", *risks, f"{report.curve.area:.4f}"]], console)


def _print_wrong(report: RouteReport, most: int, console: Console) -> None:
    for one in report.wrong[:most]:
        console.print()
        console.print(Text(f"text {one.row + 1}: of {one.task}, went to {_went(one)}", style="bold"))
        console.print(Text("  " + cut(plain(one.text, console), 2, console)), soft_wrap=True)
        said = dict(explanation(one.route))
        told = "; ".join(f"{field} {said[field]}" for field in ("margin", "nearest classes") if field in said)
        console.print(Text(f"  {plain(told, console)}", style="dim"), soft_wrap=True)
    left = len(report.wrong) - most
    if left > 0 and most > 0:
        console.print(
            Text(f"\n{count(left, 'more text')} went wrong; for more: --wrong N, for all: --json", style="dim")
        )


def _went(one: WrongRoute) -> str:
    return f"{one.route.tasks[0]}, {percent(one.route.scores[0])} %"


def _pair_lines(report: OverlapReport, pair: Pair) -> list[str]:
    first, second = report.nearest_labels(pair)
    return [
        f"{pair.second} takes {percent(known(pair.taken_by_second))} % of {pair.first}'s validation rows, "
        f"{pair.first} takes {percent(known(pair.taken_by_first))} % of {pair.second}'s",
        f"nearest classes: {first} of {pair.first} and {second} of {pair.second}, at distance {pair.distance:.3g}; "
        f"{percent(pair.shared_classes)} % of the classes have a near one in the other task",
    ]


def _numbered(report: RouteReport, task: int) -> str:
    return f"{task + 1:>{len(str(len(report.tasks)))}} {report.tasks[task]}"


def _print_section(title: str, table: RenderableType, console: Console) -> None:
    console.print()
    console.print(Text(title, style="bold"))
    print_table(table, console)
