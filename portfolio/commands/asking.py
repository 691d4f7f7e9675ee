"""Commands that answer texts, or say where they would go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from portfolio.commands.options import (
    asking_of,
    asking_options,
    columns_of,
    given,
    json_option,
    judging_options,
    members_of,
    number_options,
    run_options,
    setting,
    text_options,
    use_threads,
    weighed,
)
from portfolio.commands.place import Place
from portfolio.commands.texts import work_on

if TYPE_CHECKING:
    from portfolio.reports.judgement import RouteReport

TASK_COLUMN = "task"  # of a file to evaluate routes on


@click.command()
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
    with work_on(ctx, texts, pairs, file, output, resume) as (chunks, stream):
        for said, seconds in chunks:
            answers = portfolio.predict(said, task, pairs=seconds, abstain=not always, **asking)
            if as_json or output is not None:
                write_answers(answers, stream)
            elif explain:
                show_explained_answers(answers)
            else:
                show_answers(answers, explain=bool(texts))


@click.command()
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
        raise click.UsageError(f"expected --evaluate FILE, got {flags(given(ctx, 'judging'))} without it")
    portfolio = ctx.obj.open()
    with work_on(ctx, texts, pairs, file) as (chunks, _):
        for said, seconds in chunks:
            routes = portfolio.route(said, pairs=seconds, abstain=not always, **asking)
            show_routes(said, routes, explain, as_json)


def flags(settings: Iterable[str]) -> str:
    """`--task-column, --oos`"""
    names = {"tags": "--tag", "pairs": "--pair", "TEXT": "TEXT"}
    return ", ".join(names.get(key, f"--{key.replace('_', '-')}") for key in settings)


def _refuse_beside_evaluate(ctx: click.Context, **others: object) -> None:
    beside = [*(key for key, value in others.items() if value), *given(ctx, "asking"), *given(ctx, "request")]
    if beside:
        raise click.UsageError(f"expected --evaluate without {flags(beside)}, got both")


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


COMMANDS = (predict, route)
