"""Commands of sequences of tasks, and of other methods beside a portfolio on them."""

from __future__ import annotations

from pathlib import Path

import click

from portfolio.commands.options import execution_of, given, json_option, run_options, setting, use_threads


@click.command()
@click.argument("name", required=False, metavar="[NAME]")
@json_option
def sequences(name: str | None, as_json: bool) -> None:
    """List the sequences of tasks that ship with this package, or print the file of one.

    \b
    Examples:
        portfolio sequences
        portfolio sequences clinc150-domains
    """
    from portfolio.reports.show import show_sequences
    from portfolio.tasks.shipped import find_sequence, shipped_sequences

    if name is None:
        return show_sequences(shipped_sequences(), as_json)
    click.echo(find_sequence(name).read_text(encoding="utf-8"), nl=False)


@click.command()
@click.argument("sequence", required=False, metavar="[SEQUENCE]")
@click.option("--into", required=True, metavar="DIR", help="Where every run is kept; the same command goes on there.")
@click.option("--methods", help="Such as portfolio,ewc,joint-full; by default those that its page lists.")
@click.option("--orders", type=int, default=3, show_default=True, help="How many orders of the tasks.")
@click.option("--seeds", type=int, default=3, show_default=True, help="How many seeds of rows and training.")
@click.option("--budget", default="small", show_default=True, help="quick, small or full.")
@setting("budget", "--per-class", int, "Training rows drawn of each class, instead of the budget's.")
@setting("budget", "--epochs", int, "Over each task, likewise.")
@setting("budget", "--trials", int, "Learning rates that each method may try, likewise.")
@setting("budget", "--test-rows", int, "Test rows of each task that judge every method; all by default.")
@click.option("--base", default="minilm", show_default=True, help="minilm, a directory, or a name on the hub.")
@click.option("--png", metavar="FILE", help="Draw accuracy along the way.")
@click.option("--markdown", is_flag=True, help="Print the tables as Markdown.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, one number a line.")
@json_option
@run_options
@click.pass_context
def compare(
    ctx: click.Context,
    sequence: str | None,
    into: str,
    methods: str | None,
    orders: int,
    seeds: int,
    budget: str,
    base: str,
    png: str | None,
    markdown: bool,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Put a portfolio beside other ways to learn tasks one after the other, on the same base, rows, splits and budget.

    SEQUENCE is a TOML file, or a name that `sequences` lists; without one, what DIR holds is printed. Every method gets the
    same trials of its learning rate. docs/compare.md lists the methods. It can be interrupted and goes on where it was.

    \b
    Examples:
        portfolio compare helpdesk --into compared --budget quick --methods frozen-whitened --base minilm
        portfolio compare --into compared --markdown
    """
    from portfolio.compare.results import load_contest
    from portfolio.reports.show import show_standings

    if sequence is not None:
        _compare(ctx, sequence, Path(into), methods, orders, seeds, budget, base)
    for path in show_standings(load_contest(Path(into)), png, markdown=markdown, as_csv=as_csv, as_json=as_json):
        click.echo(f"written: {path}", err=True)


def _compare(
    ctx: click.Context,
    sequence: str,
    into: Path,
    methods: str | None,
    orders: int,
    seeds: int,
    budget: str,
    base: str,
) -> None:
    """Run what is missing of a comparison."""
    from portfolio.compare.budget import budget_named
    from portfolio.compare.contest import compare
    from portfolio.compare.table import METHODS, SAME_RUN, USUAL
    from portfolio.hosting.base import load_base
    from portfolio.hosting.numbers import ready_base
    from portfolio.tasks.sequences import read_sequence
    from portfolio.tasks.shipped import find_sequence

    use_threads(ctx)
    compare(
        read_sequence(find_sequence(sequence)),
        base=ready_base(load_base(base), execution_of(ctx), trunk=0),
        names=USUAL if methods is None else [name.strip() for name in methods.split(",")],
        table=METHODS,
        same_run=SAME_RUN,
        orders=orders,
        seeds=seeds,
        budget=budget_named(budget, **given(ctx, "budget")),
        directory=into,
        say=lambda line: click.echo(line, err=True),
    )


COMMANDS = (sequences, compare)
