"""The report as one HTML page that needs nothing else: no script, no font, no picture from elsewhere.

Whatever comes from a user (names of tasks, texts of rows) is escaped by the template engine; only the pictures of
charts.py are markup already, and they escape what they are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from portfolio.reports import page_parts as parts
from portfolio.reports.findings import NO_TEXTS, Texts
from portfolio.reports.output import write_output
from portfolio.reports.page_losses import ChangeRow, change_rows, reasons
from portfolio.reports.report import Report
from portfolio.reports.router import in_words
from portfolio.reports.shades import COLOURS, INK
from portfolio.reports.summary import summary
from portfolio.reports.typeset import scored, signed, typeset
from portfolio.reports.wording import chance, count, digits, duration, moment, size
from portfolio.reports.worst import listed

_TEMPLATE = "page.html.j2"
_LISTED_TASKS, _WORST_TASKS = 40, 20  # of more tasks than the first, so many that lost most are listed


def write_page(report: Report, file: Path, made_at: str, texts: Texts = NO_TEXTS) -> None:
    """Write the page as UTF-8.

    Raises:
        Unwritable: the file cannot be written; what was there is as it was.
    """
    write_output(file, page_of(report, made_at, texts).encode("utf-8", "backslashreplace"))


def page_of(report: Report, made_at: str, texts: Texts = NO_TEXTS) -> str:
    """The whole page.

    Args:
        made_at: ISO 8601, UTC.
        texts: of test rows, by task and by number of row; shown beside the rows that were lost.
    """
    verdict, *sentences = map(typeset, summary(report))
    figures = parts.figure_rows(report)
    shown = listed(report, _LISTED_TASKS, _WORST_TASKS)
    names = {report.tasks[task] for task in shown}
    return _template().render(
        report=report,
        made_at=moment(made_at),
        verdict=verdict,
        sentences=sentences,
        shown=shown,
        shown_costs=[cost for cost in report.costs if cost.task in names],
        key_figures=parts.key_figures(report),
        heat_maps=_heat_maps(report),
        panels=parts.panels(report),
        changes=change_rows(report.changes, report.routed, shown),
        oracle_changes=_oracle_changes(report, shown),
        has_intervals=any(one.interval is not None for one in (*report.changes, *report.oracle_changes)),
        oracle_is_measured=any(one.change is not None for one in report.oracle_changes),
        reasons=reasons(report.losses, texts),
        confusion=_confusion(report),
        exchanges=[] if report.confusion is None else parts.exchanges(report.confusion),
        figures=figures,
        definitions=parts.definitions(figures),
        router=[] if report.router is None else in_words(report.router),
        colours=COLOURS,
        ink=INK,
        is_dense=len(report.tasks) > parts.DENSE_TASKS,
        most_panels=parts.PANELS,
    )


def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "scored": scored,
        "signed": signed,
        "count": count,
        "size": size,
        "duration": duration,
        "digits": digits,
        "chance": chance,
    }
    return environment.from_string(files("portfolio.reports").joinpath(_TEMPLATE).read_text("utf-8"))


def _heat_maps(report: Report) -> Mapping[str, list[list[parts.Shaded]]]:
    """Both matrices by their titles; none where they would not be readable."""
    if len(report.tasks) > parts.HEAT_TASKS:
        return {}
    return {
        "Routed: the router chooses": parts.heat_map(report.routed),
        "Oracle: the true task is given": parts.heat_map(report.oracle),
    }


def _oracle_changes(report: Report, shown: list[int]) -> list[ChangeRow]:
    """None where no task changed at all with the task given."""
    if not any(one.change for one in report.oracle_changes):
        return []
    return change_rows(report.oracle_changes, report.oracle, shown)


def _confusion(report: Report) -> list[list[parts.Shaded]]:
    """The whole table, if it is readable."""
    if report.confusion is None or len(report.confusion.tasks) > parts.CONFUSION_TASKS:
        return []
    return parts.confusion_map(report.confusion)
