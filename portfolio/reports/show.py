"""What the commands print on standard output: for people, or as one JSON object.

Each function imports what it shows and nothing else, so that every command starts as soon as it can.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.text import Text

from portfolio.reports.findings import NO_TEXTS, Since, Texts
from portfolio.reports.output import to_line
from portfolio.reports.wording import count, plain

if TYPE_CHECKING:
    from portfolio.records import AdapterRecord, Answer, Attention, Route, RouterState, Snapshot
    from portfolio.reports.judgement import OverlapReport, RouteReport
    from portfolio.reports.permits import PermitReport
    from portfolio.reports.report import Report
    from portfolio.reports.runs import Contest
    from portfolio.tasks.shipped import Shipped
    from portfolio.tasks.task import TaskData


class Finding(Protocol):
    """What `verify` found; damage, or something left over that does no harm."""

    @property
    def kind(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def is_damage(self) -> bool: ...


def show_reading(data: TaskData, as_json: bool) -> None:
    """What was read of a task, before it is learned."""
    from portfolio.reports.reading import print_reading, reading_to_dict

    if as_json:
        _write_json(reading_to_dict(data))
    else:
        print_reading(data, _screen())


def show_tasks(snapshot: Snapshot, as_json: bool) -> None:
    """All tasks."""
    from portfolio.reports.listing import print_tasks, tasks_to_dict

    if as_json:
        _write_json(tasks_to_dict(snapshot))
    else:
        print_tasks(snapshot, _screen())


def show_task(snapshot: Snapshot, name: str, as_json: bool = False, attention: Attention | None = None) -> None:
    """One task in full.

    Args:
        attention: of the version that answers, where that is a fusion.

    Raises:
        NotFound: there is no task of this name.
    """
    from portfolio.reports.listing import print_task, task_to_dict

    if as_json:
        _write_json(task_to_dict(snapshot, name, attention))
    else:
        print_task(snapshot, name, _screen(), attention)


def show_report(report: Report, as_json: bool = False, as_csv: bool = False, texts: Texts = NO_TEXTS) -> None:
    """All figures.

    Args:
        texts: of rows that were lost, by task and row.
    """
    if as_csv:
        from portfolio.reports.report_csv import write_csv

        write_csv(report, sys.stdout)
    elif as_json:
        _write_json(report.to_dict())
    else:
        from portfolio.reports.terminal import print_report

        print_report(report, _screen(), texts)


def write_report(
    report: Report, page: str | None, pictures: str | None, made_at: str, texts: Texts = NO_TEXTS
) -> list[Path]:
    """The report as a page and as pictures, where a file and a directory are named; what was written.

    Args:
        made_at: ISO 8601, UTC.

    Raises:
        ConfigError: matplotlib is not installed, for pictures.
        Unwritable: a file cannot be written.
    """
    written = []
    if page is not None:
        from portfolio.reports.page import write_page

        write_page(report, Path(page), made_at, texts)
        written.append(Path(page))
    if pictures is not None:
        from portfolio.reports.pictures import draw_pictures

        written += draw_pictures(report, Path(pictures))
    return written


def show_since(found: Since, as_json: bool = False, texts: Texts = NO_TEXTS) -> None:
    """What changed between two moments."""
    from portfolio.reports.since import since_to_dict
    from portfolio.reports.since_terminal import print_since

    if as_json:
        _write_json(since_to_dict(found))
    else:
        print_since(found, _screen(), texts)


def show_standings(
    contest: Contest, picture: str | None = None, *, markdown: bool = False, as_csv: bool = False, as_json: bool = False
) -> list[Path]:
    """What the methods of a comparison reach, in one form; the files that were written beside it."""
    from portfolio.reports.standings import standings_of
    from portfolio.reports.standings_curves import draw_curves
    from portfolio.reports.standings_files import standings_to_csv, standings_to_dict, standings_to_markdown
    from portfolio.reports.standings_terminal import print_standings

    standings = standings_of(contest)
    if markdown:
        sys.stdout.write(standings_to_markdown(standings))
    elif as_csv:
        sys.stdout.write(standings_to_csv(standings))
    elif as_json:
        _write_json(standings_to_dict(standings))
    else:
        print_standings(standings, _screen())
    if picture is None:
        return []
    draw_curves(standings, Path(picture))
    return [Path(picture)]


def show_sequences(sequences: Sequence[Shipped], as_json: bool = False) -> None:
    """The sequences that ship with the package."""
    from portfolio.reports.tables import print_table, texts_table

    if as_json:
        _write_json([{**asdict(one), "path": str(one.path), "orders": list(one.orders)} for one in sequences])
        return
    screen = _screen()
    rows = [[one.name, one.about, ", ".join(one.orders), count(one.tasks)] for one in sequences]
    print_table(texts_table(["name", "about", "orders", "tasks"], rows, screen, texts=3), screen)


def show_findings(findings: Sequence[Finding], as_json: bool) -> None:
    """Damage, and what was merely left over."""
    is_damaged = any(finding.is_damage for finding in findings)
    if as_json:
        _write_json({"damaged": is_damaged, "findings": [_finding_fields(finding) for finding in findings]})
        return
    screen = _screen()
    for finding in findings:
        line = f"{'damage' if finding.is_damage else 'note'}: {finding.message}"
        screen.print(Text(plain(line, screen)), soft_wrap=True)
    screen.print("this portfolio is damaged" if is_damaged else "nothing is damaged")


def show_outcomes(adapters: Sequence[AdapterRecord], report: Report) -> None:
    """How well each of these new adapters does."""
    from portfolio.reports.progress import outcome

    screen = _screen()
    for adapter in adapters:
        screen.print(Text(outcome(adapter, report)), soft_wrap=True)


def show_answers(answers: Sequence[Answer], explain: bool) -> None:
    """Answers, a line each or explained."""
    from portfolio.reports.answers import print_answers, print_explained

    if explain:
        print_explained(answers, _screen())
    else:
        print_answers(answers, _screen())


def show_explained_answers(answers: Sequence[Answer]) -> None:
    """Answers, each with everything that its route says."""
    from portfolio.reports.answers import print_explained

    print_explained(answers, _screen(), in_full=True)


def show_routes(texts: Sequence[str], routes: Sequence[Route], explain: bool, as_json: bool) -> None:
    """Routes, a line each or explained."""
    from portfolio.reports.routes import print_explained_routes, print_routes, write_routes

    if as_json:
        write_routes(texts, routes, sys.stdout)
    elif explain:
        print_explained_routes(texts, routes, _screen())
    else:
        print_routes(texts, routes, _screen())


def show_route_report(report: RouteReport, wrong: int, as_json: bool) -> None:
    """How well texts find their tasks, with so many of those that do not; as JSON with all of them."""
    from portfolio.reports.judgement import route_report_to_dict
    from portfolio.reports.judgement_terminal import print_route_report

    if as_json:
        _write_json(route_report_to_dict(report))
    else:
        print_route_report(report, _screen(), wrong=wrong)


def show_overlap(report: OverlapReport, as_json: bool) -> None:
    """How tasks lie to each other."""
    from portfolio.reports.judgement import overlap_to_dict
    from portfolio.reports.judgement_terminal import print_overlap

    if as_json:
        _write_json(overlap_to_dict(report))
    else:
        print_overlap(report, _screen())


def show_calibration(state: RouterState, coverage: float | None, recall: float | None) -> None:
    """What a calibration chose, and the coverage and recall that it reached."""
    from portfolio.reports import router
    from portfolio.reports.tables import fields_table

    screen, chosen = _screen(), router.in_words(router.figures_of_router(state))
    screen.print(fields_table([*router.reached(coverage, recall), *chosen], screen))


def show_permit(report: PermitReport, as_json: bool) -> None:
    """What the rules say to a request, and which of them name tasks that are not there."""
    from portfolio.reports.permits import in_words, permit_to_dict
    from portfolio.reports.tables import fields_table

    if as_json:
        _write_json(permit_to_dict(report))
        return
    screen = _screen()
    screen.print(fields_table(in_words(report), screen))
    for warning in report.warnings:
        screen.print(Text(plain(f"warning: {warning}", screen), style="yellow"), soft_wrap=True)


def show_tags(name: str, tags: Mapping[str, str]) -> None:
    """All tags of a task."""
    screen = _screen()
    said = ", ".join(f"{key} = {value}" for key, value in tags.items()) or "no tags"
    screen.print(Text(plain(f"{name}: {said}", screen)), soft_wrap=True)


def _finding_fields(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "subject": finding.subject,
        "message": finding.message,
        "is_damage": finding.is_damage,
    }


def _screen() -> Console:
    return Console(highlight=False)


def _write_json(value: Any) -> None:
    sys.stdout.write(to_line(value, sys.stdout, indent=2) + "\n")
