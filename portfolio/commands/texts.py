"""Texts that commands are given, from arguments, files or standard input, worked on a window at a time."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import click

from portfolio.commands.options import columns_of, use_threads
from portfolio.commands.talk import is_terminal
from portfolio.tasks.windows import WINDOW, apart, windows

if TYPE_CHECKING:
    from io import BufferedIOBase

    from portfolio.tasks.columns import Columns

ONE_A_LINE = (".txt", ".jsonl", ".json")  # kinds of files of which as many lines are texts


@contextlib.contextmanager
def work_on(
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
    if is_terminal():
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
