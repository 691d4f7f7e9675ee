"""Commands on versions: judge, promote, roll back, disable, deprecate; what was done, what answered then, what differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from portfolio.commands.options import dry_run_option, json_option, run_options, use_threads
from portfolio.commands.place import Place
from portfolio.errors import Blocked

if TYPE_CHECKING:
    from portfolio.releases import Move

# The exit code says what the printed verdict says; 1 and 2 are faults of ours and of the request.
EXIT_CODES = {"PASS": 0, "BLOCK": 3, "INCONCLUSIVE": 4}

why_option = click.option("--why", default="", metavar="REASON", help="Kept in the history.")


@click.command()
@click.argument("ref", metavar="REF")
@why_option
@dry_run_option
@run_options
@json_option
@click.pass_context
def gate(ctx: click.Context, ref: str, why: str, dry_run: bool, as_json: bool) -> None:
    """Judge a version by gates.toml; the verdict is stored, and the version becomes the challenger.

    REF is name@version or name@alias; a bare name is its newest version. The exit code is 0 for PASS, 3 for BLOCK, 4 for
    INCONCLUSIVE (too few examples to tell).

    \b
    Example:
        portfolio -p support gate banking@2
    """
    from portfolio.reports.show import show_gate

    place: Place = ctx.obj
    portfolio = place.open()
    use_threads(ctx)
    verdict = portfolio.releases.gate(ref, why=why, dry_run=dry_run)
    show_gate(verdict, as_json)
    ctx.exit(EXIT_CODES[verdict.outcome])


@click.command()
@click.argument("ref", metavar="REF")
@click.option("--to", default="champion", show_default=True, metavar="ALIAS", help="champion, or an alias of your own.")
@click.option("--expected", metavar="REF", help="Fail unless the alias names this version now.")
@click.option("--force", metavar="REASON", help="Promote it without a PASS; the reason stays on record.")
@why_option
@dry_run_option
@run_options
@json_option
@click.pass_context
def promote(
    ctx: click.Context,
    ref: str,
    to: str,
    expected: str | None,
    force: str | None,
    why: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Let a version answer for its task, if its verdict is PASS; it is judged first where no verdict holds.

    A portfolio that serves sees it at its next batch. The exit code is that of `gate` where the verdict is not PASS.

    \b
    Example:
        portfolio -p support promote banking@2 --why "more questions of new customers"
    """
    from portfolio.reports.show import show_gate

    place: Place = ctx.obj
    portfolio = place.open()
    use_threads(ctx)
    try:
        move = portfolio.releases.promote(ref, to=to, expected=expected, force=force, why=why, dry_run=dry_run)
    except Blocked as error:
        show_gate(error.verdict, as_json)
        click.echo(f"Error: {error}", err=True)
        ctx.exit(EXIT_CODES[error.verdict.outcome])
    _tell_move(move, dry_run, as_json, place)


@click.command()
@click.argument("name", metavar="NAME")
@why_option
@dry_run_option
@json_option
@click.pass_obj
def rollback(place: Place, name: str, why: str, dry_run: bool, as_json: bool) -> None:
    """Let the version answer again that answered before; its bytes are checked first. No model is loaded.

    NAME@VERSION goes back to any earlier champion.

    \b
    Example:
        portfolio -p support rollback banking --why "refused card numbers"
    """
    move = place.open().releases.rollback(name, why=why, dry_run=dry_run)
    _tell_move(move, dry_run, as_json, place)


@click.command()
@click.argument("name", metavar="NAME")
@click.option("--instead", metavar="WHO", help="Another task, base or none; by default the fallback, or base.")
@why_option
@dry_run_option
@click.pass_obj
def disable(place: Place, name: str, instead: str | None, why: str, dry_run: bool) -> None:
    """Let the router give nothing to a task any more, at once; something else answers instead.

    `base` answers with the nearest class and no adapter, `none` not at all.

    \b
    Example:
        portfolio -p support disable banking --why "wrong limits since noon"
    """
    who = place.open().releases.disable(name, instead=instead, why=why, dry_run=dry_run)
    says = {"base": "the bare base answers", "none": "nobody answers"}.get(who, f"{who} answers")
    click.echo(f"{name} {'would be' if dry_run else 'is'} disabled; {says} instead")


@click.command()
@click.argument("name", metavar="NAME")
@why_option
@dry_run_option
@click.pass_obj
def enable(place: Place, name: str, why: str, dry_run: bool) -> None:
    """Let a disabled task answer again.

    \b
    Example:
        portfolio -p support enable banking
    """
    place.open().releases.enable(name, why=why, dry_run=dry_run)
    click.echo(f"{name} {'would answer' if dry_run else 'answers'} again")


@click.command()
@click.argument("ref", metavar="REF")
@click.option("--why", metavar="REASON", help="Why it should not be used any more.")
@click.option("--undo", is_flag=True, help="Take it back.")
@dry_run_option
@click.pass_obj
def deprecate(place: Place, ref: str, why: str | None, undo: bool, dry_run: bool) -> None:
    """Say of a version that it should not be used any more: it cannot be promoted. A champion goes on answering.

    \b
    Example:
        portfolio -p support deprecate banking@1 --why "trained on old limits"
    """
    if undo == (why is not None):
        raise click.UsageError("expected --why REASON, or --undo to take it back")
    record = place.open().releases.deprecate(ref, why=why, dry_run=dry_run)
    would = "would be " if dry_run else "is "
    click.echo(f"{record.ref} {would}{'no longer deprecated' if undo else 'deprecated'}")


@click.command()
@click.argument("name", required=False, metavar="[NAME]")
@json_option
@click.pass_obj
def history(place: Place, name: str | None, as_json: bool) -> None:
    """Say what was done to a portfolio or one of its tasks: when, by whom, why, from what to what.

    \b
    Example:
        portfolio -p support history banking
    """
    from portfolio.reports.show import show_history

    show_history(place.open().releases.history(name), as_json)


@click.command()
@click.argument("when", metavar="DATE")
@json_option
@click.pass_obj
def at(place: Place, when: str, as_json: bool) -> None:
    """Say which version of each task answered at a date or time (ISO 8601; UTC where it names no zone).

    \b
    Example:
        portfolio -p support at 2100-01-01
    """
    from portfolio.reports.show import show_at

    show_at(place.open().releases.at(when), as_json)


@click.command()
@click.argument("one", metavar="REF")
@click.argument("other", metavar="REF")
@click.option(
    "--with-texts", is_flag=True, help="Also the texts of examples that flipped, read again from their files."
)
@json_option
@click.pass_obj
def diff(place: Place, one: str, other: str, with_texts: bool, as_json: bool) -> None:
    """Say how two versions differ: settings, data, figures, and the test examples that flipped.

    \b
    Example:
        portfolio -p support diff banking@1 banking@2
    """
    from portfolio.reports.show import show_difference

    releases = place.open().releases
    found = releases.diff(one, other)
    show_difference(found, as_json, releases.flipped_texts(found) if with_texts else None)


@click.command()
@dry_run_option
@json_option
@click.pass_obj
def gc(place: Place, dry_run: bool, as_json: bool) -> None:
    """Delete what nothing refers to: blobs, temporary files, unfinished directories.

    \b
    Example:
        portfolio -p support gc --dry-run
    """
    from portfolio.reports.show import show_garbage

    show_garbage(place.open().releases.gc(dry_run=dry_run), dry_run, as_json)


COMMANDS = (gate, promote, rollback, disable, enable, deprecate, history, at, diff, gc)


def _tell_move(move: Move, dry_run: bool, as_json: bool, place: Place) -> None:
    from portfolio.reports.show import show_move

    show_move(move, dry_run, as_json)
    if not (move.measured or dry_run):
        click.echo("Routed scores were not measured with it yet; measure them with:", err=True)
        click.echo(f"  {place.command('evaluate')}", err=True)
