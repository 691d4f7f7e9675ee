"""Making the adapter of a task from the options of the data: what the commands that do so share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from portfolio.commands.looking import print_task
from portfolio.commands.options import columns_of, given, tags_of, training_of, use_threads
from portfolio.commands.place import Place
from portfolio.commands.talk import say_next

if TYPE_CHECKING:
    from portfolio.made_of import MadeOf
    from portfolio.methods.config import AdapterConfig
    from portfolio.portfolio import Portfolio
    from portfolio.reports.progress import BarDisplay, LineDisplay

MOST_COMPARED = 50  # tasks up to which it is said what the new one takes from the others


def add(
    ctx: click.Context, name: str, method: str | AdapterConfig | MadeOf | None, dry_run: bool, as_json: bool
) -> None:
    """Make the adapter of a task from the data options, and print how it does."""
    from portfolio.refs import check_tags
    from portfolio.reports.show import show_outcomes, show_reading

    place: Place = ctx.obj
    data = dict(given(ctx, "data"))
    tags, where = tags_of(data.pop("tags", ())), dict(data.pop("where", ()))
    portfolio, columns, training = place.open(), columns_of(ctx), training_of(ctx)
    again = bool(data.pop("again", False))
    check_tags(tags)
    if dry_run:
        return show_reading(portfolio.read_task(name, again=again, columns=columns, where=where, **data), as_json)
    with training_display(ctx) as display:
        adapter = portfolio.add_task(
            name,
            again=again,
            method=method,
            training=training,
            columns=columns,
            where=where,
            tags=tags,
            progress=display.begin(name),
            **data,
        )
    if as_json:
        return print_task(portfolio, name, as_json, portfolio.attention(name))
    if again:
        click.echo(f"{adapter.ref}: {adapter.validation_score:.1%} on validation; it answers once it is promoted")
        return say_next(place.command(f"gate {adapter.ref}"), place.command(f"promote {adapter.ref}"))
    show_outcomes([adapter], portfolio.report())
    _tell_taken(place, portfolio, name)
    say_next(place.command("predict TEXT"))


def names_only(adapters: Sequence[tuple[str, float | None]]) -> tuple[str, ...]:
    """The names; `auto:K` is one."""
    names = tuple(f"auto:{weight:g}" if name == "auto" and weight is not None else name for name, weight in adapters)
    weighed = [name for name, weight in adapters if weight is not None and name != "auto"]
    if weighed:
        raise click.UsageError(
            f"expected names without weights, as these are learned; got one for {', '.join(weighed)}"
        )
    return names


def training_display(ctx: click.Context) -> BarDisplay | LineDisplay:
    from rich.console import Console

    from portfolio.reports.progress import training_display

    use_threads(ctx)
    return training_display(Console(stderr=True, highlight=False))


def _tell_taken(place: Place, portfolio: Portfolio, name: str) -> None:
    """What a new task takes from the others, if it takes anything."""
    if not 1 < len(portfolio.tasks()) <= MOST_COMPARED:
        return
    from portfolio.reports.judgement_terminal import taken_in_words

    report = portfolio.overlap(without=name)
    if report.stolen:
        click.echo(taken_in_words(report), err=True)
        click.echo(f"Look closer with: {place.command(f'overlap --without {name}')}", err=True)
