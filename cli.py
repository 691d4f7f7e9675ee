"""The command line: each command parses, calls one method of `Portfolio`, and prints: data to stdout, talk to stderr.

Exit codes: 0 done; 1 damage found by `verify`, or a fault of ours; 2 something the user can put right; 3 and 4 verdicts of
BLOCK and INCONCLUSIVE; 130 interrupted.
Torch and all that needs it is imported by the commands that run the base, so that the others answer at once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

import click

from portfolio.commands import exchange, releases, suites, traffic
from portfolio.commands.options import (
    asking_of,
    asking_options,
    columns_of,
    data_options,
    dry_run_option,
    execution_of,
    given,
    json_option,
    judging_options,
    key_value,
    learning_options,
    members_of,
    method_of,
    number_options,
    request_of,
    request_options,
    run_options,
    setting,
    tags_of,
    text_options,
    threads_option,
    training_of,
    use_threads,
    weighed,
    wish_options,
    with_weights,
)
from portfolio.commands.place import Place
from portfolio.errors import PortfolioError
from portfolio.tasks.windows import WINDOW, apart, windows

if TYPE_CHECKING:
    from io import BufferedIOBase

    from portfolio.made_of import MadeOf
    from portfolio.methods.config import AdapterConfig
    from portfolio.portfolio import Portfolio
    from portfolio.records import Attention
    from portfolio.reports.judgement import RouteReport
    from portfolio.reports.progress import BarDisplay, LineDisplay
    from portfolio.tasks.columns import Columns

DEBUG = "PORTFOLIO_DEBUG"  # environment variable: show tracebacks
MOST_COMPARED = 50  # tasks up to which add-task says what the new one takes from the others
TASK_COLUMN = "task"  # of a file to evaluate routes on
ONE_A_LINE = (".txt", ".jsonl", ".json")  # kinds of files of which as many lines are texts

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _version(ctx: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        from importlib import metadata

        try:
            click.echo(f"portfolio {metadata.version('adapter-portfolio')}")
        except metadata.PackageNotFoundError:
            click.echo("portfolio, run from a checkout that is not installed")
        ctx.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("-p", "--portfolio", "directory", metavar="DIR", envvar="PORTFOLIO_DIR", help="The portfolio.")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print it.")
@click.pass_context
def commands(ctx: click.Context, directory: str | None) -> None:
    """Grow a portfolio of adapters on one frozen transformer, task by task; each input is answered by the right one.

    Without -p DIR the environment variable PORTFOLIO_DIR names the portfolio, else it is the current directory.

    \b
    Example:
        portfolio -p support tasks
    """
    ctx.obj = Place(directory)


# Commands


@commands.command()
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
    _next(place.command("add-task NAME --train FILE"))


@commands.command("add-task")
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
        return _add(ctx, name, method, dry_run, as_json)
    top = None if isinstance(method, str) else method
    _add(ctx, name, StackOn(adapter=on, top=top), dry_run, as_json)


@commands.command()
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
    names = _names_only(adapters)
    wish = Fuse(adapters=names, with_own=with_own, own=None if isinstance(own, str) else own, **given(ctx, "fuse"))
    _add(ctx, name, wish, dry_run, as_json)


@commands.command()
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
    _add(ctx, name, Merge(adapters=names, weights=weights, how=how, settings=settings), dry_run, as_json)


@commands.command()
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
        return _add(ctx, name, EnsembleOf(adapters=_names_only(adapters)), dry_run, as_json)
    names, weights = with_weights(adapters)
    _add(ctx, name, EnsembleOf(adapters=names, weights=weights), dry_run, as_json)


@commands.command("add-tasks")
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
        with _training_display(ctx) as display:
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
    _next(place.command("report"))


@commands.command()
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


@commands.command()
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
    _show_task(portfolio, name, as_json, attention)


@commands.command()
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


@commands.command()
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


@commands.command()
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


@commands.command()
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


@commands.command()
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@text_options
@click.option("--task", help="Answer for this task, without the router.")
@asking_options
@setting("members", "--drop", str, "A member that fusions do without; repeatable.", multiple=True)
@setting("members", "--weights", weighed, "Constant weights of members instead of learned ones: a:0.7,b:0.3.")
@json_option
@click.option("--out", "--output", "output", metavar="FILE", help="Write the JSON lines to a file.")
@click.option("--resume", is_flag=True, help="Go on after the answers that the file of --out holds already.")
@run_options
@number_options
@click.pass_context
def predict(
    ctx: click.Context,
    texts: tuple[str, ...],
    pairs: tuple[str, ...],
    file: str | None,
    task: str | None,
    always: bool,
    explain: bool,
    as_json: bool,
    output: str | None,
    resume: bool,
) -> None:
    """Answer texts, each by the task that knows it.

    Texts are arguments, a file, or lines of standard input. Arguments are answered with a short explanation, others
    with a line each; --explain says more of each; --json prints all of it, one object a line.

    Files of any size are answered in little memory, and lines of a pipe as they come. FILE of --out takes its name at
    the end; if Ctrl-C or a bad line ends the work early, it holds the answers until then, whole lines in order, and the
    same command with --resume adds the others to it.

    \b
    Examples:
        portfolio -p support predict "my card was stolen"
        portfolio -p support predict --file questions.txt --out answers.jsonl
    """
    from portfolio.reports.answers import write_answers
    from portfolio.reports.show import show_answers, show_explained_answers

    asking = {**asking_of(ctx), **members_of(ctx), "explain": explain}
    _check_resume(resume, output, asking)
    portfolio = ctx.obj.open()
    ctx.call_on_close(portfolio.close)  # writes what it counted, where challengers are tried
    with _work(ctx, texts, pairs, file, output, resume) as (chunks, stream):
        for said, seconds in chunks:
            answers = portfolio.predict(said, task, pairs=seconds, abstain=not always, **asking)
            if as_json or output is not None:
                write_answers(answers, stream)
            elif explain:
                show_explained_answers(answers)
            else:
                show_answers(answers, explain=bool(texts))


@commands.command()
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@text_options
@asking_options
@judging_options
@run_options
@number_options
@json_option
@click.pass_context
def route(
    ctx: click.Context,
    texts: tuple[str, ...],
    pairs: tuple[str, ...],
    file: str | None,
    always: bool,
    explain: bool,
    evaluate: str | None,
    as_json: bool,
) -> None:
    """Say which task each text would go to, and why; no adapter is run.

    A line holds P(task) in %, the margin over the runner-up in points, task and text; --json prints one object a line.
    --evaluate FILE compares instead with true tasks, among all tasks, without rules and sessions.

    \b
    Examples:
        portfolio -p support route "my card was stolen" --explain
        portfolio -p support route --evaluate test.jsonl --task banking --oos questions.txt
    """
    from portfolio.reports.show import show_route_report, show_routes

    asking = asking_of(ctx)
    if evaluate is not None:
        _refuse_beside_evaluate(ctx, TEXT=texts, pair=pairs, file=file, always=always, explain=explain)
        return show_route_report(_judged(ctx, evaluate), given(ctx, "judging").get("wrong", 10), as_json)
    if given(ctx, "judging"):
        raise click.UsageError(f"expected --evaluate FILE, got {_flags(given(ctx, 'judging'))} without it")
    portfolio = ctx.obj.open()
    with _work(ctx, texts, pairs, file) as (chunks, _):
        for said, seconds in chunks:
            routes = portfolio.route(said, pairs=seconds, abstain=not always, **asking)
            show_routes(said, routes, explain, as_json)


@commands.command()
@click.option("--without", metavar="NAME", help="Also say what this task took from the others when it came.")
@run_options
@json_option
@click.pass_context
def overlap(ctx: click.Context, without: str | None, as_json: bool) -> None:
    """Say which tasks are near-duplicates, or take each other's inputs.

    Judged by what is kept of the validation rows of each task, and by the distances between its classes and others.

    \b
    Example:
        portfolio -p support overlap --without banking
    """
    from portfolio.reports.show import show_overlap

    portfolio = ctx.obj.open()
    use_threads(ctx)
    show_overlap(portfolio.overlap(without), as_json)


@commands.command()
@wish_options
@click.option("--shared-labels/--own-labels", default=None, help="Whether equal labels of tasks mean the same.")
@dry_run_option
@run_options
@click.pass_context
def calibrate(ctx: click.Context, shared_labels: bool | None, dry_run: bool) -> None:
    """Choose anew when the router abstains and how sure it calls itself.

    What is not given stays as it was wanted before. The tasks are measured again under the new settings.

    \b
    Example:
        portfolio -p support calibrate --coverage 0.9 --oos questions.txt
    """
    from portfolio.reports.show import show_calibration

    portfolio = ctx.obj.open()
    use_threads(ctx)
    made = portfolio.calibrate(**given(ctx, "wishes"), shared_labels=shared_labels, dry_run=dry_run)
    show_calibration(made.state, made.quality.coverage, made.quality.recall)
    if dry_run:
        click.echo("This would hold from now on; nothing was changed.", err=True)


@commands.command()
@click.argument("name")
@click.argument("tags", nargs=-1, type=key_value, metavar="[KEY=VALUE]...")
@click.option("--remove", multiple=True, metavar="KEY", help="Take this tag away; repeatable.")
@dry_run_option
@click.pass_obj
def tag(place: Place, name: str, tags: tuple[tuple[str, str], ...], remove: tuple[str, ...], dry_run: bool) -> None:
    """Set tags of a task, which routes.toml decides by, and print all that it has then.

    \b
    Example:
        portfolio -p support tag banking tenant=acme risk=high
    """
    from portfolio.reports.show import show_tags

    if not (tags or remove):
        raise click.UsageError("expected KEY=VALUE or --remove KEY, got neither")
    changes: dict[str, str | None] = {**tags_of(tags)}
    both = [key for key in remove if key in changes]
    if both:
        raise click.UsageError(f"expected a value for tag {both[0]!r} or its removal, got both")
    changes.update(dict.fromkeys(remove))
    show_tags(name, place.open().tag(name, changes, dry_run=dry_run))
    if dry_run:
        click.echo("These would be its tags; nothing was changed.", err=True)


@commands.command()
@click.option("--effect", is_flag=True, help="Say what they change for every task, on its test rows.")
@request_options
@json_option
@click.pass_context
def rules(ctx: click.Context, effect: bool, as_json: bool) -> None:
    """Check routes.toml, and list the tasks that a request may reach.

    \b
    Examples:
        portfolio -p support rules --tenant acme --tag risk=high
        portfolio -p support rules --effect --tenant acme
    """
    from portfolio.reports.show import show_permit, show_since

    portfolio = ctx.obj.open()
    if effect:
        return show_since(portfolio.rules_effect(**request_of(ctx)), as_json)
    show_permit(portfolio.permit(**request_of(ctx)), as_json)


@commands.command("remove-task")
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
        if not dry_run and not _is_terminal():
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


@commands.command()
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


@commands.command()
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
    with _training_display(ctx) as display:
        added = portfolio.add_tasks(sequence, progress=display.begin)
    show_outcomes(added, portfolio.report())
    click.echo()
    show_report(portfolio.report())
    click.echo("\nThree questions, the last of them about nothing that the help desk knows:\n")
    show_answers(portfolio.predict(QUESTIONS), explain=True)
    _next(place.command('predict "where is my parcel?"'), place.command("show billing"), place.command("report --json"))


for _command in (*releases.COMMANDS, *traffic.COMMANDS, *suites.COMMANDS, *exchange.COMMANDS):
    commands.add_command(_command)


# What commands share


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


def _add(
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
    with _training_display(ctx) as display:
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
        return _show_task(portfolio, name, as_json, portfolio.attention(name))
    if again:
        click.echo(f"{adapter.ref}: {adapter.validation_score:.1%} on validation; it answers once it is promoted")
        return _next(place.command(f"gate {adapter.ref}"), place.command(f"promote {adapter.ref}"))
    show_outcomes([adapter], portfolio.report())
    _tell_taken(place, portfolio, name)
    _next(place.command("predict TEXT"))


def _show_task(portfolio: Portfolio, name: str, as_json: bool, attention: Attention | None) -> None:
    """A task or a version in full, with what each version was learned from and what was judged of it."""
    from portfolio.reports.show import show_task

    task = name.partition("@")[0]
    lineages, verdicts = portfolio.store.releases.lineages(task), portfolio.releases.verdicts(task)
    show_task(portfolio.snapshot(), name, as_json, attention, lineages, verdicts)


def _names_only(adapters: Sequence[tuple[str, float | None]]) -> tuple[str, ...]:
    """The names; `auto:K` is one."""
    names = tuple(f"auto:{weight:g}" if name == "auto" and weight is not None else name for name, weight in adapters)
    weighed = [name for name, weight in adapters if weight is not None and name != "auto"]
    if weighed:
        raise click.UsageError(
            f"expected names without weights, as these are learned; got one for {', '.join(weighed)}"
        )
    return names


def _training_display(ctx: click.Context) -> BarDisplay | LineDisplay:
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


def _flags(settings: Iterable[str]) -> str:
    """`--task-column, --oos`"""
    names = {"tags": "--tag", "pairs": "--pair", "TEXT": "TEXT"}
    return ", ".join(names.get(key, f"--{key.replace('_', '-')}") for key in settings)


def _refuse_beside_evaluate(ctx: click.Context, **others: object) -> None:
    beside = [*(key for key, value in others.items() if value), *given(ctx, "asking"), *given(ctx, "request")]
    if beside:
        raise click.UsageError(f"expected --evaluate without {_flags(beside)}, got both")


def _judged(ctx: click.Context, file: str) -> RouteReport:
    """How the texts of a file find their tasks."""
    from portfolio.tasks.files import read_all_texts, read_routed

    place: Place = ctx.obj
    settings, columns, portfolio = given(ctx, "judging"), columns_of(ctx), place.open()
    if "task" in settings and "task_column" in settings:
        raise click.UsageError("expected --task or --task-column, got both")
    if "task" in settings:
        inside = read_all_texts(file, columns, label=settings["task"])
    else:
        inside = read_routed(file, settings.get("task_column", TASK_COLUMN), columns)
    outside = read_all_texts(settings["oos"], columns, label="") if "oos" in settings else None
    use_threads(ctx)
    return portfolio.judge_routes(
        inside.texts,
        inside.labels,
        pairs=inside.pairs,
        out_of_scope=() if outside is None else outside.texts,
        out_of_scope_pairs=None if outside is None else outside.pairs,
    )


def _check_resume(resume: bool, output: str | None, asking: Mapping[str, Any]) -> None:
    if resume and output is None:
        raise click.UsageError("expected --out FILE with --resume")
    if resume and "session" in asking:
        raise click.UsageError("expected --resume without --session, whose earlier turns are forgotten; got both")


@contextlib.contextmanager
def _work(
    ctx: click.Context,
    texts: Sequence[str],
    pairs: Sequence[str],
    file: str | None,
    output: str | None = None,
    resume: bool = False,
) -> Iterator[tuple[Iterator[tuple[list[str], list[str] | None]], IO[str]]]:
    """Texts with their pairs or None, a window at a time, and where answers go. Shows how far it is; ends on Ctrl-C."""
    from rich.console import Console

    from portfolio.reports.long_work import long_work
    from portfolio.tasks.lines import count_lines

    if file is not None and (texts or pairs):
        raise click.UsageError("expected TEXT or --file, got both")
    chunks = _chunks(texts, pairs, file, columns_of(ctx))
    use_threads(ctx)
    is_watched = sys.stdout.isatty() and output is None  # a bar would stand among the answers
    console = Console(stderr=True, highlight=False, quiet=is_watched)
    total = count_lines(Path(file)) if file is not None and Path(file).suffix.lower() in ONE_A_LINE else None
    try:
        with _ended_like_ctrl_c(), long_work(output, console, resume=resume, total=total) as work:
            yield (apart(chunk) for chunk in work.over(chunks)), work.stream
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        ctx.exit(130)


def _chunks(
    texts: Sequence[str], pairs: Sequence[str], file: str | None, columns: Columns
) -> Iterator[list[tuple[str, str | None]]]:
    """Each text with its pair or None, a window at a time."""
    from portfolio.tasks.files import read_texts
    from portfolio.tasks.typed import texts_of_arguments, texts_of_lines

    if file is not None:
        return windows(read_texts(file, columns), WINDOW)
    if texts or pairs:
        return windows(texts_of_arguments(texts, pairs), WINDOW)
    if sys.stdin is None:
        raise click.UsageError("expected TEXT, --file, or texts on standard input, which is closed")
    if _is_terminal():
        click.echo("Type one text a line; Ctrl-D ends.", err=True)
    return texts_of_lines(cast("BufferedIOBase", sys.stdin.buffer), WINDOW)


@contextlib.contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """A request to end is taken as Ctrl-C is."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only there signals come
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_terminal() -> bool:
    """Whether somebody types; standard input is None where it was closed from the start."""
    return sys.stdin is not None and sys.stdin.isatty()


def _next(*lines: str) -> None:
    click.echo("\n".join(["What to type next:", *(f"  {line}" for line in lines)]), err=True)


# The edge


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    for name in ("torchao", "torch.utils._pytree", "torch._inductor.codecache"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they tell of kernels for other machines, and of their cache
    warnings.filterwarnings("ignore", message="Int8Tensor does not implement _stable_hash")
    try:
        code = commands.main(arguments, prog_name="portfolio", standalone_mode=False)
    except click.Abort:
        click.echo("Interrupted. Tasks that were added are whole; nothing half done was kept.", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except PortfolioError as error:
        return _complain(str(error), 2)
    except Exception as error:
        hint = f"to see where, set {DEBUG}=1 and run it again"
        return _complain(f"unexpected {type(error).__name__}: {error}; {hint}", 1)
    return code if isinstance(code, int) else 0


def _complain(message: str, code: int) -> int:
    if os.environ.get(DEBUG):
        traceback.print_exc()
    click.echo(f"Error: {message}", err=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
