"""Answering many texts: where the lines go, how far it is, what is left when it ends early, and how it goes on then."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from rich.console import Console
from rich.text import Text

from portfolio.reports.answers import Answered, answers_in
from portfolio.reports.counting import CountBar, CountLines, counting_display
from portfolio.reports.output import opened_lines
from portfolio.reports.wording import count, plain
from portfolio.tasks.typed import Row
from portfolio.tasks.windows import after

_NOTHING = Answered(count=0, last_text=None, is_cut_short=False)


@dataclass(slots=True, kw_only=True)
class LongWork:
    """Work over texts that goes on."""

    stream: IO[str]  # where its lines go
    done: int  # texts that are answered, those of an earlier run among them
    _before: Answered
    _place: str
    _display: CountBar | CountLines

    def over(self, chunks: Iterator[list[Row]]) -> Iterator[list[Row]]:
        """The texts that are still to be answered, each chunk counted as done when the next one is asked for."""
        for chunk in after(chunks, self._before.count, self._before.last_text, self._place):
            yield chunk
            self.done += len(chunk)
            self._display.advance(len(chunk))


@contextlib.contextmanager
def long_work(path: str | None, console: Console, *, resume: bool, total: int | None) -> Iterator[LongWork]:
    """Work whose lines go to a file, or to standard output; if it ends early, the console says what is there.

    Args:
        console: for talk.
        resume: go on after the answers that the file holds.
        total: of the texts, where it is known.

    Raises:
        DataError: what is to be gone on with is no file of answers, or one to other texts.
        Unwritable: the file cannot be written.
    """
    before = answers_in(path) if resume and path is not None else _NOTHING
    if before.is_cut_short:
        _say(console, f"{path}: the last line was cut short; its text is answered again")
    work: LongWork | None = None
    try:
        with (
            opened_lines(path, resume=resume) as stream,
            counting_display(console, total, done=before.count) as display,
        ):
            work = LongWork(
                stream=stream, done=before.count, _before=before, _place=path or "standard output", _display=display
            )
            yield work
    except BaseException:  # Ctrl-C too
        if work is not None and work.done > before.count:
            _say(console, _left(path, work.done))
        raise


def _left(path: str | None, done: int) -> str:
    answered = f"the first {count(done, 'text')} {'is' if done == 1 else 'are'} answered"
    if path is None:
        return answered
    return f"{answered}, in {path}; to go on there, run the same command with --resume"


def _say(console: Console, message: str) -> None:
    console.print(Text(plain(message, console)), soft_wrap=True)
