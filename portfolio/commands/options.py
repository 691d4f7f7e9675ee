"""Options that several commands share, and what becomes of them: settings that were given, by kind.

A setting that is not given keeps the default of the class that it is for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from portfolio.execution import DTYPES, Execution

if TYPE_CHECKING:
    from portfolio.methods.config import AdapterConfig
    from portfolio.tasks.columns import Columns
    from portfolio.training import TrainingConfig

Command = TypeVar("Command", bound=Callable[..., Any])


def setting(
    kind: str,
    flag: str,
    value_type: Any,
    text: str,
    *,
    key: str | None = None,
    multiple: bool = False,
    required: bool = False,
    metavar: str | None = None,
) -> Callable[[Command], Command]:
    """An option that is kept, if it is given, among the settings of that kind; see `given`."""
    key = key or flag.lstrip("-").replace("-", "_")

    def keep(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value is not None and value != ():
            given(ctx, kind)[key] = value

    return click.option(
        flag,
        type=value_type,
        help=text,
        multiple=multiple,
        required=required,
        metavar=metavar,
        callback=keep,
        expose_value=False,
    )


def switch(kind: str, flag: str, text: str) -> Callable[[Command], Command]:
    """A flag that is kept likewise."""

    def keep(ctx: click.Context, _: click.Parameter, is_set: bool) -> None:
        if is_set:
            given(ctx, kind)[flag.lstrip("-")] = True

    return click.option(flag, is_flag=True, help=text, callback=keep, expose_value=False)


def given(ctx: click.Context, kind: str) -> dict[str, Any]:
    """The settings of one kind that were given; the others keep the defaults of the class that they are for."""
    settings: dict[str, Any] = ctx.meta.setdefault(f"cli.{kind}", {})
    return settings


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def byte_count(text: str) -> int:
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    units = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    if not (number.isdigit() and unit in units):
        raise click.BadParameter(f"expected a number of bytes, such as 500M or 2G; got {text!r}")
    return int(number) * units[unit]


def column_value(text: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not (column and equals):
        raise click.BadParameter(f"expected COLUMN=VALUE, got {text!r}")
    return column, value


def key_value(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise click.BadParameter(f"expected KEY=VALUE, got {text!r}")
    return key, value


def weighed(text: str) -> tuple[tuple[str, float | None], ...]:
    """Adapters with or without weights: `a,b@1` or `a:0.7,b:0.3`."""
    found: list[tuple[str, float | None]] = []
    for part in text.split(","):
        name, colon, weight = part.strip().partition(":")
        try:
            found.append((name, float(weight) if colon else None))
        except ValueError:
            raise click.BadParameter(f"expected NAME or NAME:WEIGHT, got {part!r}") from None
    return tuple(found)


numbers.__name__ = "numbers"  # how --help calls it
byte_count.__name__ = "bytes"
column_value.__name__ = "COLUMN=VALUE"
weighed.__name__ = "NAMES"
key_value.__name__ = "KEY=VALUE"

column_options = together(
    setting("columns", "--text-column", str, "Column of the text; guessed if not given.", key="text"),
    setting("columns", "--pair-column", str, "Column of the second text of a pair; '' for none.", key="pair"),
)
data_options = together(
    switch(
        "data", "--again", "The task is here: make a new version; what is not given is as for the one that answers."
    ),
    setting("data", "--train", str, "A file, a saved data set, or hub:NAME[:CONFIG].", metavar="PLACE"),
    setting("data", "--validation", str, "Likewise; held out of train if not given.", metavar="PLACE"),
    setting("data", "--test", str, "Likewise.", metavar="PLACE"),
    column_options,
    setting("columns", "--label-column", str, "Column of the label; guessed if not given.", key="label"),
    setting("data", "--filter", column_value, "Only such rows; repeatable.", key="where", multiple=True),
    setting(
        "data",
        "--unknown-labels",
        click.Choice(["error", "drop", "keep"]),
        "What to do with rows whose label train lacks: an error (by default), drop, or keep them as wrong.",
    ),
    setting("data", "--tag", key_value, "What routes.toml decides by; repeatable.", key="tags", multiple=True),
    setting("data", "--seed", int, "Of held-out rows and of training; 0 by default."),
)
method_options = together(
    setting("method", "--method", str, "bottleneck (default) or lora.", key="method"),
    setting("method", "--placement", str, "Of a bottleneck: pfeiffer, houlsby or parallel."),
    setting("method", "--rank", int, "Width of the adapter."),
    setting("method", "--activation", str, "Of a bottleneck: relu, gelu, silu, tanh or identity."),
    setting("method", "--dropout", float, "Inside the adapter, while training."),
    setting("method", "--scale", float, "Of a bottleneck's output."),
    setting("method", "--alpha", float, "Of LoRA: its update is scaled by alpha / rank."),
    setting("method", "--target", str, "Of LoRA: a linear layer, or all; repeatable.", key="targets", multiple=True),
    setting("method", "--blocks", numbers, "Blocks of the base that are adapted, such as 3,4,5."),
)
training_options = together(
    setting("training", "--epochs", int, "At most so many."),
    setting("training", "--patience", int, "Stop after so many epochs without a better validation score."),
    setting("training", "--batch-size", int, "Rows a step."),
    setting("training", "--learning-rate", float, "Of the adapter, at its highest."),
)
learning_options = together(method_options, training_options)
text_options = together(
    click.option("--pair", "pairs", multiple=True, help="The second text; one for each TEXT, for tasks on pairs."),
    click.option("--file", help="Texts from a file, of any kind that add-task reads, or .txt with one text a line."),
    column_options,
)
request_options = together(
    setting("request", "--tenant", str, "Who asks; routes.toml decides by it."),
    setting(
        "request", "--tag", key_value, "What is known of the question; likewise; repeatable.", key="tags", multiple=True
    ),
)
asking_options = together(
    setting("asking", "--top-k", int, "Mix the answers of so many tasks; 1 by default."),
    setting("asking", "--band", float, "Mix only where the margin is below this, from 0 to 1; by default always."),
    request_options,
    setting("asking", "--session", str, "The texts are turns of a conversation of this name, in order."),
    click.option("--always", is_flag=True, help="Answer even what no task knows."),
    click.option("--explain", is_flag=True, help="Say all that there is to say of each route."),
)
judging_options = together(
    click.option("--evaluate", metavar="FILE", help="Compare the routes of the texts there with their true tasks."),
    setting("judging", "--task-column", str, "Column of the true task; 'task' by default."),
    setting("judging", "--task", str, "The true task of all texts, instead of a column."),
    setting("judging", "--oos", str, "A file of texts that no task should take."),
    setting("judging", "--wrong", click.IntRange(min=0), "Print so many texts that went wrong; 10 by default."),
)
wish_options = together(
    setting("wishes", "--coverage", float, "Share of inputs that a task knows to keep; 0.95 at first."),
    setting("wishes", "--oos", str, "A file of texts that no task should take; 'none' forgets the earlier ones."),
    setting("wishes", "--recall", float, "Share of such texts to refuse; decides instead of the coverage."),
    setting("wishes", "--fallback", str, "Who answers what the router refuses: a task, base, or none."),
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Check everything; change nothing.")


threads_option = setting("run", "--threads", click.IntRange(min=1), "Threads of torch; by default one a core.")
run_options = together(
    threads_option,
    setting("execution", "--device", str, "cpu (by default), cuda, cuda:N or mps; auto for the best that is there."),
)
number_options = together(
    setting("execution", "--dtype", click.Choice(DTYPES), "Of the base and of what adapters compute."),
    switch("execution", "--int8", "The base's linear layers hold 8-bit weights; adapters do not."),
    switch("execution", "--compile", "Compile the base as it first runs: slow to begin, faster then."),
    setting("execution", "--bank-bytes", byte_count, "Most that adapters may take in memory, such as 500M or 2G."),
)


def execution_of(ctx: click.Context) -> Execution:
    """How the base is to be run, as far as it was given."""
    return Execution(**given(ctx, "execution"))


def columns_of(ctx: click.Context) -> Columns:
    from portfolio.tasks.columns import Columns

    return Columns(**given(ctx, "columns"))


def tags_of(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for key, value in pairs:
        if key in tags:
            raise click.UsageError(f"expected one value for tag {key!r}, got {tags[key]!r} and {value!r}")
        tags[key] = value
    return tags


def request_of(ctx: click.Context) -> dict[str, Any]:
    """The tenant and tags that were given, as `predict` takes them."""
    settings = dict(given(ctx, "request"))
    return {**settings, "tags": tags_of(settings.get("tags", ()))}


def asking_of(ctx: click.Context) -> dict[str, Any]:
    """What `predict` and `route` take alike, as far as it was given."""
    return {**given(ctx, "asking"), **request_of(ctx)}


def members_of(ctx: click.Context) -> dict[str, Any]:
    """How members of fusions are to count, as `predict` takes it."""
    members = given(ctx, "members")
    weights = (
        {"member_weights": dict(zip(*with_weights(members["weights"]), strict=True))} if "weights" in members else {}
    )
    return {"drop": members.get("drop", ()), **weights}


def method_of(ctx: click.Context) -> str | AdapterConfig:
    from portfolio.portfolio import DEFAULT_METHOD

    settings = dict(given(ctx, "method"))
    if not settings:
        return DEFAULT_METHOD
    from portfolio.methods.table import method_config

    return method_config(settings.pop("method", DEFAULT_METHOD), settings)


def training_of(ctx: click.Context) -> TrainingConfig | None:
    settings = given(ctx, "training")
    if not settings:
        return None
    from portfolio.training import TrainingConfig

    return TrainingConfig(**settings)


def with_weights(adapters: Sequence[tuple[str, float | None]]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    missing = [name for name, weight in adapters if weight is None]
    if missing:
        raise click.UsageError(
            f"expected a weight for each adapter, such as {missing[0]}:0.5; got none for {missing[0]}"
        )
    return tuple(name for name, _ in adapters), tuple(weight for _, weight in adapters if weight is not None)


def use_threads(ctx: click.Context) -> None:
    """Let torch use as many threads as was asked for."""
    threads = given(ctx, "run").get("threads")
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
