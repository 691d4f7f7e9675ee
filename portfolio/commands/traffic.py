"""Commands that try a challenger while the champion answers, and say what both said."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from portfolio.commands.options import dry_run_option, json_option
from portfolio.commands.place import Place
from portfolio.commands.releases import why_option

_Command = TypeVar("_Command", bound=Callable[..., object])


def _by_option(command: _Command) -> _Command:
    split = click.Choice(["input", "session"])
    return click.option("--by", type=split, default="input", show_default=True, help="What the share is taken of.")(
        command
    )


@click.command()
@click.argument("ref", metavar="REF")
@click.option("--share", type=float, required=True, help="Of what its task is given, above 0 and up to 1.")
@_by_option
@click.option("--force", metavar="REASON", help="Try it without a PASS; the reason stays on record.")
@why_option
@dry_run_option
@click.pass_obj
def canary(place: Place, ref: str, share: float, by: str, force: str | None, why: str, dry_run: bool) -> None:
    """Let a version answer a share of what its task is given, instead of the champion.

    An input, or with --by session a conversation, always meets the same version; a larger share keeps those of a smaller
    one. A portfolio that serves sees it at its next batch; a promotion ends it.

    \b
    Example:
        portfolio -p support canary banking@2 --share 0.1 --by session
    """
    from portfolio.reports.show import show_traffic

    show_traffic(place.open().traffic.canary(ref, share, by=by, force=force, why=why, dry_run=dry_run), dry_run)


@click.command()
@click.argument("ref", metavar="REF")
@click.option("--share", type=float, default=1.0, show_default=True, help="Of what its task is given.")
@_by_option
@why_option
@dry_run_option
@click.pass_obj
def shadow(place: Place, ref: str, share: float, by: str, why: str, dry_run: bool) -> None:
    """Let a version answer silently beside the champion, and count where they disagree.

    \b
    Example:
        portfolio -p support shadow banking@2
    """
    from portfolio.reports.show import show_traffic

    show_traffic(place.open().traffic.shadow(ref, share, by=by, why=why, dry_run=dry_run), dry_run)


@click.command()
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--end", is_flag=True, help="Let the champion of NAME alone answer again.")
@why_option
@dry_run_option
@json_option
@click.pass_obj
def traffic(place: Place, name: str | None, end: bool, why: str, dry_run: bool, as_json: bool) -> None:
    """Say what challengers and champions said while they were tried side by side; or end that.

    \b
    Examples:
        portfolio -p support traffic banking
        portfolio -p support traffic banking --end --why "seen enough"
    """
    from portfolio.reports.show import show_trials

    if end and name is None:
        raise click.UsageError("expected NAME with --end, the task whose champion is to answer alone")
    control = place.open().traffic
    if end and name is not None:
        ended = control.end(name, why=why, dry_run=dry_run)
        was = f"the {ended.mode} of {name}@{ended.version}"
        click.echo(f"{was} {'would end' if dry_run else 'is ended'}", err=True)
    show_trials(control.observed(name), as_json)


COMMANDS = (canary, shadow, traffic)
