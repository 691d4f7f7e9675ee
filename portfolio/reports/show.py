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
from portfolio.reports.wording import count, plain, size

if TYPE_CHECKING:
    from portfolio.gates.verdict import Verdict
    from portfolio.records import AdapterRecord, Answer, Attention, Lineage, Route, RouterState, Snapshot, Traffic
    from portfolio.reports.at import Serving
    from portfolio.reports.difference import Difference
    from portfolio.reports.history import HistoryLine
    from portfolio.reports.judgement import OverlapReport, RouteReport
    from portfolio.reports.permits import PermitReport
    from portfolio.reports.report import Report
    from portfolio.reports.runs import Contest
    from portfolio.reports.suites import Suite, SuiteReport
    from portfolio.reports.traffic_figures import TrialFigures
    from portfolio.tasks.shipped import Shipped
    from portfolio.tasks.suite_file import SuiteText
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


class Move(Protocol):
    """That an alias goes from one version to another; as `releases.promote` gives it."""

    @property
    def alias(self) -> str: ...
    @property
    def before(self) -> str | None: ...
    @property
    def after(self) -> str | None: ...
    @property
    def verdict(self) -> Verdict | None: ...
    @property
    def forced(self) -> str | None: ...
    @property
    def measured(self) -> bool: ...


class Garbage(Protocol):
    """A file that nothing needs."""

    @property
    def what(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def bytes(self) -> int: ...
    @property
    def why(self) -> str: ...


def show_reading(data: TaskData, as_json: bool) -> None:
    """What was read of a task, before it is learned."""
    from portfolio.reports.reading import print_reading, reading_to_dict

    if as_json:
        _write_json(reading_to_dict(data))
    else:
        print_reading(data, _screen())


def show_tasks(snapshot: Snapshot, as_json: bool, tags: Mapping[str, str] | None = None) -> None:
    """All tasks, or those that have these tags."""
    from portfolio.reports.listing import print_tasks, tasks_to_dict

    if as_json:
        _write_json(tasks_to_dict(snapshot, tags or {}))
    else:
        print_tasks(snapshot, _screen(), tags or {})


def show_task(
    snapshot: Snapshot,
    name: str,
    as_json: bool = False,
    attention: Attention | None = None,
    lineages: Sequence[Lineage] = (),
    verdicts: Sequence[Verdict] = (),
) -> None:
    """One task in full, or one version of it.

    Args:
        name: of a task, or `name@version`, or `name@alias`.
        attention: of the version that answers, or that one, where it is a fusion.
        lineages: of its versions.
        verdicts: on its versions, oldest first.

    Raises:
        NotFound: there is no task or version of this name.
    """
    from portfolio.reports.listing import print_task, task_to_dict

    if as_json:
        _write_json(task_to_dict(snapshot, name, attention, lineages, verdicts))
    else:
        print_task(snapshot, name, _screen(), attention, lineages, verdicts)


def show_gate(verdict: Verdict, as_json: bool) -> None:
    """What the gates found of a version."""
    from portfolio.reports.gate_verdict import gate_to_dict, print_gate

    if as_json:
        _write_json(gate_to_dict(verdict))
    else:
        print_gate(verdict, _screen())


def show_move(move: Move, is_dry_run: bool, as_json: bool) -> None:
    """That an alias went, or would go, to another version."""
    if as_json:
        fields = {field: getattr(move, field) for field in ("alias", "before", "after", "forced", "measured")}
        outcome = None if move.verdict is None else move.verdict.outcome
        _write_json({**fields, "outcome": outcome, "dry_run": is_dry_run})
        return
    before = "" if move.before in (None, move.after) else f" in the place of {move.before}"
    verdict = "" if move.verdict is None else f"; its verdict is {move.verdict.outcome}"
    forced = "" if move.forced is None else f"; forced: {move.forced}"
    screen = _screen()
    said = f"{move.after} {'would be' if is_dry_run else 'is'} the {move.alias}{before}{verdict}{forced}"
    screen.print(Text(plain(said, screen)), soft_wrap=True)


def show_history(lines: Sequence[HistoryLine], as_json: bool) -> None:
    """What was done to a portfolio, or to one of its tasks."""
    from portfolio.reports.history import history_to_dict, print_history

    if as_json:
        _write_json(history_to_dict(lines))
    else:
        print_history(lines, _screen())


def show_at(serving: Sequence[Serving], as_json: bool) -> None:
    """What answered at some time."""
    from portfolio.reports.at import at_to_dict, print_at

    if as_json:
        _write_json(at_to_dict(serving))
    else:
        print_at(serving, _screen())


def show_difference(found: Difference, as_json: bool, texts: Mapping[int, str] | None = None) -> None:
    """How two versions differ.

    Args:
        texts: of test rows that flipped, by their numbers.
    """
    if as_json:
        from portfolio.reports.difference import difference_to_dict

        _write_json(difference_to_dict(found, texts))
    else:
        from portfolio.reports.difference_terminal import print_difference

        print_difference(found, _screen(), texts)


def show_garbage(found: Sequence[Garbage], is_dry_run: bool, as_json: bool) -> None:
    """What nothing referred to."""
    freed = sum(one.bytes for one in found)
    if as_json:
        files = [{"what": one.what, "path": one.path, "bytes": one.bytes, "why": one.why} for one in found]
        _write_json({"garbage": files, "bytes": freed, "dry_run": is_dry_run})
        return
    screen = _screen()
    for one in found:
        screen.print(Text(plain(f"{one.what}: {one.path}, {size(one.bytes)}: {one.why}", screen)), soft_wrap=True)
    would = "would be deleted" if is_dry_run else "deleted"
    screen.print(Text(f"{count(len(found), 'file')}, {size(freed)}, {would}" if found else "nothing to delete"))


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


def show_traffic(traffic: Traffic, dry_run: bool) -> None:
    """What a challenger is tried on, or would be."""
    from portfolio.reports.traffic import traffic_in_words

    screen, would = _screen(), "; nothing was changed, as this was a dry run" if dry_run else ""
    screen.print(Text(plain(traffic_in_words(traffic) + would, screen)), soft_wrap=True)


def show_trials(trials: tuple[TrialFigures, ...], as_json: bool) -> None:
    """What challengers and champions said."""
    from portfolio.reports.traffic import print_trials
    from portfolio.reports.traffic_figures import trials_to_dict

    if as_json:
        _write_json(trials_to_dict(trials))
    else:
        print_trials(trials, _screen())


def show_suites(suites: Sequence[Suite], as_json: bool) -> None:
    """The shared evaluation suites."""
    from portfolio.reports.suites_terminal import print_suites, suites_to_dict

    if as_json:
        _write_json(suites_to_dict(suites))
    else:
        print_suites(suites, _screen())


def show_suite(rows: Sequence[SuiteText], as_json: bool) -> None:
    """The rows of one suite."""
    from portfolio.reports.suites_terminal import print_suite

    if as_json:
        _write_json([{"row": number, **asdict(row)} for number, row in enumerate(rows, start=1)])
    else:
        print_suite(rows, _screen())


def show_suite_report(report: SuiteReport, as_json: bool) -> None:
    """What adapters make of suites."""
    from portfolio.reports.suites import suite_report_to_dict
    from portfolio.reports.suites_terminal import print_suite_report

    if as_json:
        _write_json(suite_report_to_dict(report))
    else:
        print_suite_report(report, _screen())


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
