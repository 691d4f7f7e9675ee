"""Commands that make a portfolio, and bring tasks into it and out."""

from __future__ import annotations

import os
import tempfile

import click

from portfolio.commands.adding import add, training_display
from portfolio.commands.options import (
    data_options,
    dry_run_option,
    given,
    json_option,
    learning_options,
    method_of,
    run_options,
    threads_option,
    training_of,
    use_threads,
)
from portfolio.commands.place import Place
from portfolio.commands.talk import is_terminal, say_next


@click.command()
@click.option("--base", default="minilm", show_default=True, help="minilm, a directory, or a name on the hub.")
@click.option("--revision", help="Of a name on the hub.")
@click.option("--trunk", type=int, help="Lowest blocks that no adapter touches; half of them by default.")
@click.option("--pooling", type=click.Choice(["mean", "last"]), help="By default as fits the base.")
@click.option("--max-tokens", type=int, help="Longer inputs are cut.")
@click.pass_obj
def init(
    place: Place, base: str, revision: str | None, trunk: int | None, pooling: str | None, max_tokens: int | None
) -> None:
    """Make a new, empty portfolio on a base.

    \b
    Example:
        portfolio -p support init --base minilm
    """
    from portfolio.portfolio import Portfolio
    from portfolio.records import DEFAULT_MAX_TOKENS

    made = Portfolio.init(
        place.given or ".",
        base,
        revision=revision,
        trunk=trunk,
        pooling=pooling,
        max_tokens=DEFAULT_MAX_TOKENS if max_tokens is None else max_tokens,
    )
    contract = made.contract
    click.echo(f"{made.path}: an empty portfolio")
    click.echo(f"base {contract.name}, fingerprint {contract.fingerprint}")
    click.echo(f"{contract.blocks} blocks, the lowest {contract.trunk} of them shared by all tasks (the trunk)")
    say_next(place.command("add-task NAME --train FILE"))


@click.command("add-task")
@click.argument("name")
@data_options
@click.option("--on", metavar="ADAPTER", help="Stand on top of this adapter, which stays as it is.")
@learning_options
@dry_run_option
@run_options
@json_option
@click.pass_context
def add_task(ctx: click.Context, name: str, on: str | None, dry_run: bool, as_json: bool) -> None:
    """Train an adapter for one task and take it in; with --again a new version of one that is here.

    No other task is touched. A new version answers nobody before it is promoted. Settings that are not given keep their
    defaults, which `portfolio show NAME` prints.

    \b
    Examples:
        portfolio -p support add-task banking --train train.jsonl --test test.jsonl
        portfolio -p support add-task banking --again --rank 16
    """
    from portfolio.made_of import StackOn

    method = method_of(ctx) if given(ctx, "method") else None
    if on is None:
        return add(ctx, name, method, dry_run, as_json)
    top = None if isinstance(method, str) else method
    add(ctx, name, StackOn(adapter=on, top=top), dry_run, as_json)


@click.command("add-tasks")
@click.argument("sequence", metavar="SEQUENCE")
@click.option("--order", help="One of the orders that the sequence names, instead of as written.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that learn tasks side by side; --threads is of each, by default an equal share of the cores.",
)
@learning_options
@dry_run_option
@run_options
@click.pass_context
def add_tasks(ctx: click.Context, sequence: str, order: str | None, workers: int, dry_run: bool) -> None:
    """Add every task of a sequence that is not here yet: a TOML file, or the name of one that `sequences` lists.

    When this is interrupted, the same command goes on with the first task that is missing. With more workers tasks are
    learned at once and join in the order of the sequence: the same portfolio, to the bit where --threads is the same.

    \b
    Example:
        portfolio -p support add-tasks sequence.toml --workers 2
    """
    from portfolio.reports.show import show_outcomes, show_reading
    from portfolio.tasks.sequences import read_sequence
    from portfolio.tasks.shipped import find_sequence

    place: Place = ctx.obj
    portfolio, method, training = place.open(), method_of(ctx), training_of(ctx)
    missing = portfolio.missing_tasks(sequence, order)
    for task in read_sequence(find_sequence(sequence)).tasks:
        if task not in missing.tasks:
            click.echo(f"{task.name} is here already and is skipped", err=True)
    if dry_run:
        for task in missing.tasks:
            places = (task.train, task.validation, task.test)
            data = portfolio.read_task(
                task.name,
                *places,
                columns=task.columns,
                where=dict(task.where),
                labels=task.labels,
                seed=missing.seed,
            )
            show_reading(data, as_json=False)
        return
    try:
        with training_display(ctx) as display:
            if workers > (cores := os.cpu_count() or 1):
                display.say(f"{workers} workers share {cores} cores; as many as there are cores learn no slower")
            added = portfolio.add_tasks(
                sequence,
                order=order,
                method=method,
                training=training,
                progress=display.begin if workers == 1 else display.beside,
                workers=workers,
                threads=given(ctx, "run").get("threads"),
            )
    except KeyboardInterrupt:
        click.echo("\nStopped; the same command goes on with the first task that is missing.", err=True)
        raise
    show_outcomes(added, portfolio.report())
    say_next(place.command("report"))


@click.command("remove-task")
@click.argument("name")
@click.option("--cascade", is_flag=True, help="Take along the tasks whose adapters are made of its adapter.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@dry_run_option
@run_options
@click.pass_context
def remove_task(ctx: click.Context, name: str, cascade: bool, yes: bool, dry_run: bool) -> None:
    """Take a task out, with its adapter and results.

    The other tasks are measured again.

    \b
    Example:
        portfolio -p support remove-task banking --cascade --yes
    """
    from portfolio.reports.show import show_task

    portfolio = ctx.obj.open()
    going = portfolio.removed_with(name, cascade=cascade)
    if dry_run or not yes:
        if not dry_run and not is_terminal():
            raise click.UsageError(f"expected --yes, as there is no terminal to ask on whether to remove {name!r}")
        for one in going:
            show_task(portfolio.snapshot(), one)
    if dry_run:
        click.echo("All of this would be removed; nothing was changed.", err=True)
        return
    if not yes:
        click.confirm(f"Remove {', '.join(going)} for good?", abort=True, err=True)
    use_threads(ctx)
    for one in portfolio.remove_task(name, cascade=cascade):
        click.echo(f"{one} is removed")


@click.command()
@click.option("--into", metavar="DIR", help="Where to make the portfolio; a new temporary directory by default.")
@click.option("--base", default="minilm", show_default=True, help="minilm, a directory, or a name on the hub.")
@threads_option
@click.pass_context
def demo(ctx: click.Context, into: str | None, base: str) -> None:
    """Watch a portfolio grow by the departments of a help desk.

    \b
    Example:
        portfolio demo --into helpdesk --base minilm
    """
    from portfolio.portfolio import Portfolio
    from portfolio.reports.show import show_answers, show_outcomes, show_report
    from portfolio.tasks.demo import QUESTIONS, demo_sequence

    sequence = demo_sequence()
    use_threads(ctx)
    place = Place(into or tempfile.mkdtemp(prefix="portfolio-demo-"))
    click.echo(f"A new portfolio in {place.given}; its tasks come from {sequence}", err=True)
    portfolio = Portfolio.init(str(place.given), base)
    with training_display(ctx) as display:
        added = portfolio.add_tasks(sequence, progress=display.begin)
    show_outcomes(added, portfolio.report())
    click.echo()
    show_report(portfolio.report())
    click.echo("\nThree questions, the last of them about nothing that the help desk knows:\n")
    show_answers(portfolio.predict(QUESTIONS), explain=True)
    say_next(
        place.command('predict "where is my parcel?"'), place.command("show billing"), place.command("report --json")
    )


COMMANDS = (init, add_task, add_tasks, remove_task, demo)
