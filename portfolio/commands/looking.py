"""Commands that say what is in a portfolio, and how well it does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from portfolio.commands.options import json_option, key_value, run_options, tags_of, use_threads
from portfolio.commands.place import Place

if TYPE_CHECKING:
    from portfolio.portfolio import Portfolio
    from portfolio.records import Attention


@click.command()
@click.option("--tag", "tags", type=key_value, multiple=True, help="Only tasks with this tag; repeatable.")
@json_option
@click.pass_obj
def tasks(place: Place, tags: tuple[tuple[str, str], ...], as_json: bool) -> None:
    """List the tasks, in the order they were added, with the version that answers.

    \b
    Example:
        portfolio -p support tasks
    """
    from portfolio.reports.show import show_tasks

    show_tasks(place.open().snapshot(history=False), as_json, tags_of(tags))


@click.command()
@click.argument("name")
@click.option("--png", metavar="FILE", help="Also draw what a fusion attends to, as a heat map.")
@json_option
@click.pass_obj
def show(place: Place, name: str, png: str | None, as_json: bool) -> None:
    """Print all that is known of one task; of a fusion also which members it attends to.

    NAME is a task, or a version of its adapter: NAME@VERSION or NAME@ALIAS.

    \b
    Example:
        portfolio -p support show banking
    """

    portfolio = place.open()
    attention = portfolio.attention(name)
    if png is not None:
        if attention is None:
            raise click.UsageError(f"expected a fusion to draw, but {name!r} attends to no members")
        from portfolio.reports.heat_map import draw_attention

        draw_attention(attention, Path(png))
    print_task(portfolio, name, as_json, attention)


@click.command()
@click.option(
    "--since",
    metavar="WHEN",
    help="Compare with the moment before a task came or NAME@VERSION began to answer, or a date.",
)
@click.option("--until", metavar="WHEN", help="Beside --since: up to then, instead of up to now.")
@click.option("--with-texts", is_flag=True, help="Also the texts of lost rows, read again from their files.")
@click.option("--html", metavar="FILE", help="Write it as one page that any browser opens.")
@click.option("--png", metavar="DIR", help="Write its pictures there.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, one number a line.")
@json_option
@click.pass_obj
def report(
    place: Place,
    since: str | None,
    until: str | None,
    with_texts: bool,
    html: str | None,
    png: str | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Say what was forgotten, how much, why, and what to do, with all that was measured.

    All of it was measured as each task came, or by `evaluate`.

    \b
    Examples:
        portfolio -p support report
        portfolio -p support report --html report.html
        portfolio -p support report --since cards
    """
    from portfolio.reports.show import show_report, show_since, write_report
    from portfolio.store.changes import iso_now

    portfolio = place.open()
    if since is not None:
        if html or png or as_csv:
            raise click.UsageError("expected --since alone or with --json, as it is no whole report")
        found = portfolio.since(since, until or "now")
        return show_since(found, as_json, portfolio.lost_texts(found.losses, found.after) if with_texts else {})
    if until is not None:
        raise click.UsageError("expected --since beside --until, got --until alone")
    made = portfolio.report()
    texts = portfolio.lost_texts(made.losses) if with_texts else {}
    for path in write_report(made, html, png, iso_now(), texts):
        click.echo(f"written: {path}", err=True)
    if as_json or as_csv or not (html or png):
        show_report(made, as_json, as_csv, texts)


@click.command()
@run_options
@json_option
@click.pass_context
def evaluate(ctx: click.Context, as_json: bool) -> None:
    """Run every test split again and report what comes.

    \b
    Example:
        portfolio -p support evaluate
    """
    from portfolio.reports.show import show_report

    portfolio = ctx.obj.open()
    use_threads(ctx)
    show_report(portfolio.evaluate(), as_json)


@click.command()
@json_option
@click.pass_context
def verify(ctx: click.Context, as_json: bool) -> None:
    """Read everything again and list what is damaged.

    The exit code is 1 if anything is.

    \b
    Example:
        portfolio -p support verify
    """
    from portfolio.reports.show import show_findings

    findings = ctx.obj.open().verify()
    show_findings(findings, as_json)
    ctx.exit(int(any(finding.is_damage for finding in findings)))


def print_task(portfolio: Portfolio, name: str, as_json: bool, attention: Attention | None) -> None:
    """A task or a version in full, with what each version was learned from and what was judged of it."""
    from portfolio.reports.show import show_task

    task = name.partition("@")[0]
    lineages, verdicts = portfolio.store.releases.lineages(task), portfolio.releases.verdicts(task)
    show_task(portfolio.snapshot(), name, as_json, attention, lineages, verdicts)


COMMANDS = (tasks, show, report, evaluate, verify)
