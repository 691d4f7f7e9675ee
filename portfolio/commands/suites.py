"""Commands on shared evaluation suites: texts that every adapter is judged on, whatever its task."""

from __future__ import annotations

import click

from portfolio.commands.options import dry_run_option, json_option, run_options, use_threads
from portfolio.commands.place import Place


@click.group()
def suite() -> None:
    """Shared evaluation suites: texts that every adapter is judged on, whatever its task.

    A suite is a file of texts with columns that say what is expected: label, task, abstain, never, at_most. Its texts are
    kept in the portfolio.

    \b
    Examples:
        portfolio -p support suite add tone tone.jsonl
        portfolio -p support suite list
        portfolio -p support suite show tone
        portfolio -p support suite run tone
        portfolio -p support suite remove tone
    """


@suite.command()
@click.argument("name")
@click.argument("file")
@dry_run_option
@click.pass_obj
def add(place: Place, name: str, file: str, dry_run: bool) -> None:
    """Keep the texts of FILE with what they expect; in the place of a suite of that name.

    \b
    Example:
        portfolio -p support suite add tone tone.jsonl
    """
    added = place.open().suites.add(name, file, dry_run=dry_run)
    click.echo(f"suite {name}: {added.rows:,} rows from {added.source}")
    if dry_run:
        click.echo("Nothing was changed, as this was a dry run.", err=True)


@suite.command("list")
@json_option
@click.pass_obj
def list_suites(place: Place, as_json: bool) -> None:
    """The suites of the portfolio.

    \b
    Example:
        portfolio -p support suite list --json
    """
    from portfolio.reports.show import show_suites

    show_suites(place.open().suites.list(), as_json)


@suite.command()
@click.argument("name")
@json_option
@click.pass_obj
def show(place: Place, name: str, as_json: bool) -> None:
    """The rows of one suite, with what they expect.

    \b
    Example:
        portfolio -p support suite show tone
    """
    from portfolio.reports.show import show_suite

    show_suite(place.open().suites.rows(name), as_json)


@suite.command()
@click.argument("name", required=False)
@click.option(
    "--ref", "refs", multiple=True, metavar="REF", help="Only this adapter; repeatable. By default champions."
)
@run_options
@json_option
@click.pass_context
def run(ctx: click.Context, name: str | None, refs: tuple[str, ...], as_json: bool) -> None:
    """What adapters and the router make of a suite, or of all, and how far the adapters are from each other.

    \b
    Example:
        portfolio -p support suite run tone --ref banking@1 --ref travel
    """
    from portfolio.reports.show import show_suite_report

    place: Place = ctx.obj
    use_threads(ctx)
    show_suite_report(place.open().suites.run(name, refs or None), as_json)


@suite.command()
@click.argument("name")
@dry_run_option
@click.pass_obj
def remove(place: Place, name: str, dry_run: bool) -> None:
    """Forget a suite and its texts; verdicts that looked at it stay.

    \b
    Example:
        portfolio -p support suite remove tone --dry-run
    """
    gone = place.open().suites.remove(name, dry_run=dry_run)
    click.echo(f"suite {name} of {gone.rows:,} rows {'would go' if dry_run else 'is gone'}")


COMMANDS = (suite,)
