"""Export and import: one adapter or the whole portfolio, as a folder or an archive."""

from __future__ import annotations

from pathlib import Path

import click

from portfolio.commands.options import dry_run_option
from portfolio.commands.place import Place


@click.command()
@click.argument("what", nargs=-1, metavar="[ADAPTER] DEST")
@click.option("--all", "whole", is_flag=True, help="The whole portfolio; no ADAPTER then.")
@click.option("--merged", is_flag=True, help="Fold a LoRA into the base: a plain Hugging Face model in a folder.")
@click.option("--key", metavar="PRIVATE.pem", help="Sign it with this Ed25519 key.")
@click.option("--license", metavar="L", help="For its card, as the hub writes it; that of a known base by default.")
@click.pass_obj
def export(
    place: Place, what: tuple[str, ...], whole: bool, merged: bool, key: str | None, license: str | None
) -> None:
    """Write an adapter, or the whole portfolio, as a bundle with a manifest and a card, for `portfolio import`.

    DEST is a new file if it ends in .tar.gz, .tgz or .zip, else a new or empty folder. docs/exchange.md says what is in it.

    \b
    Examples:
        portfolio -p support export cards cards.tar.gz
        portfolio -p support export --all support.zip
        portfolio -p support export cards cards-model --merged
    """
    if len(what) != (1 if whole else 2):
        raise click.UsageError("expected ADAPTER and DEST, or --all and DEST alone")
    if merged and (whole or key or license):
        raise click.UsageError("--merged goes with ADAPTER and DEST alone")
    portfolio, to = place.open(), what[-1]
    if whole:
        held = portfolio.export_all(to, key=key, license=license)
        click.echo(f"{len(held.tasks):,} tasks with {len(held.adapters):,} adapters are in {to}")
        return
    ref = portfolio.export_merged(what[0], to) if merged else portfolio.export(what[0], to, key=key, license=license)
    click.echo(f"{ref.ref} is in {to}; its README.md shows how to use it")


@click.command("import")
@click.argument("source")
@click.option("--name", help="Of the task; by default as it was called. Not for a whole portfolio.")
@click.option("--key", metavar="PUBLIC.pem", help="Refuse what this Ed25519 key did not sign.")
@dry_run_option
@click.pass_obj
def import_(place: Place, source: str, name: str | None, key: str | None, dry_run: bool) -> None:
    """Take in what `portfolio export` wrote, once everything in it was checked.

    An adapter becomes a new task, or the next version of a task of its name, which answers nobody before it is promoted. A
    whole portfolio is made at -p DIR, new or empty. A key is asked for also where PORTFOLIO_TRUSTED_KEY names one.

    \b
    Examples:
        portfolio -p support import cards.tar.gz --name cards-again
        portfolio -p copy import support.zip
    """
    from portfolio.exchange.manifest import PORTFOLIO
    from portfolio.exchange.opening import kind_of
    from portfolio.portfolio import Portfolio

    verb = "would be" if dry_run else "is"
    if kind_of(Path(source)) != PORTFOLIO:
        added = place.open().import_adapter(source, name, key=key, dry_run=dry_run)
        click.echo(f"{source} {verb} {added.ref} here")
        return
    if place.given is None or name is not None:
        raise click.UsageError(f"{source} holds a whole portfolio: name its new directory with -p DIR, and no --name")
    held = Portfolio.import_portfolio(source, place.given, key=key, dry_run=dry_run)
    click.echo(f"{source} {verb} a portfolio of {len(held.tasks):,} tasks in {place.given}")


COMMANDS = (export, import_)
