"""Commands that make the adapter of a new task of adapters that are here."""

from __future__ import annotations

import click

from portfolio.commands.adding import add, names_only
from portfolio.commands.options import (
    data_options,
    dry_run_option,
    given,
    json_option,
    learning_options,
    method_of,
    run_options,
    setting,
    weighed,
    with_weights,
)


@click.command()
@click.argument("name")
@click.option(
    "--adapters", type=weighed, required=True, help="Members, such as a,b@1,c; or auto:K, the K most promising."
)
@data_options
@setting("fuse", "--gate", click.Choice(["attention", "light"]), "As in the paper (by default), or a light one.")
@setting("fuse", "--width", int, "Of a light gate's queries and keys.")
@setting("fuse", "--gate-dropout", float, "Of scores before the softmax, while training.", key="dropout")
@setting("fuse", "--regulariser", float, "Pulls values towards the members' own outputs.")
@click.option("--with-own", is_flag=True, help="An adapter of its own, trained first, is a member too.")
@setting("fuse", "--keep", click.Choice(["best", "fusion"]), "What did best on validation (by default), or the fusion.")
@learning_options
@dry_run_option
@run_options
@json_option
@click.pass_context
def fuse(
    ctx: click.Context,
    name: str,
    adapters: tuple[tuple[str, float | None], ...],
    with_own: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Learn to blend adapters that are here for a new task; they stay as they are.

    Beside the fusion are measured, on the same validation rows: the best single member, all members in equal shares, and an
    adapter of its own (whose settings --method, --rank, … are). What does best is kept.

    \b
    Example:
        portfolio -p support fuse fraud --adapters banking,cards --train train.jsonl
    """
    from portfolio.made_of import Fuse

    own = method_of(ctx)
    names = names_only(adapters)
    wish = Fuse(adapters=names, with_own=with_own, own=None if isinstance(own, str) else own, **given(ctx, "fuse"))
    add(ctx, name, wish, dry_run, as_json)


@click.command()
@click.argument("name")
@click.option("--adapters", type=weighed, required=True, help="With weights, such as a:0.7,b:0.3.")
@click.option(
    "--how",
    type=click.Choice(["linear", "task-arithmetic", "ties", "dare", "svd"]),
    default="linear",
    show_default=True,
    help="The way of merging.",
)
@setting("merge", "--rank", int, "Cut the merged update to this rank.")
@setting("merge", "--density", float, "Of ties and dare: the share of each update that is kept.")
@data_options
@dry_run_option
@run_options
@json_option
@click.pass_context
def merge(
    ctx: click.Context,
    name: str,
    adapters: tuple[tuple[str, float | None], ...],
    how: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Merge adapters in weight space into one of a new task; nothing but its head is learned.

    \b
    Example:
        portfolio -p support merge credit --adapters cards:0.7,loans:0.3 --train train.jsonl
    """
    from portfolio.made_of import Merge

    names, weights = with_weights(adapters)
    settings = tuple(sorted(given(ctx, "merge").items()))
    add(ctx, name, Merge(adapters=names, weights=weights, how=how, settings=settings), dry_run, as_json)


@click.command()
@click.argument("name")
@click.option("--adapters", type=weighed, required=True, help="Such as a,b or a:0.7,b:0.3.")
@data_options
@dry_run_option
@run_options
@json_option
@click.pass_context
def ensemble(
    ctx: click.Context, name: str, adapters: tuple[tuple[str, float | None], ...], dry_run: bool, as_json: bool
) -> None:
    """Average what several adapters say to a new task, each under a head of its own.

    \b
    Example:
        portfolio -p support ensemble advice --adapters banking,cards --train train.jsonl
    """
    from portfolio.made_of import EnsembleOf

    if all(weight is None for _, weight in adapters):
        return add(ctx, name, EnsembleOf(adapters=names_only(adapters)), dry_run, as_json)
    names, weights = with_weights(adapters)
    add(ctx, name, EnsembleOf(adapters=names, weights=weights), dry_run, as_json)


COMMANDS = (fuse, merge, ensemble)
