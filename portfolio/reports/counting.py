"""Texts as they are answered: how many, how fast; a bar on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from portfolio.reports.wording import count, duration

EVERY_S = 30.0  # where there is no bar
_BAR_WIDTH = 20


class CountBar(contextlib.AbstractContextManager["CountBar"]):
    """A bar with the texts done and their rate; with the time left where it is known how many there are."""

    def __init__(self, console: Console, total: int | None, done: int, clock: Callable[[], float]) -> None:
        self._bars = Progress(
            BarColumn(bar_width=_BAR_WIDTH),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeRemainingColumn(),
            console=console,
        )
        self._bar = self._bars.add_task("", total=total, completed=done, figures=count(done, "text"))
        self._pace = _Pace(total, done, clock)

    def __enter__(self) -> CountBar:
        self._bars.start()
        return self

    def advance(self, texts: int) -> None:
        """So many more are done."""
        self._pace.advance(texts)
        self._bars.update(self._bar, completed=self._pace.done, figures=self._pace.figures())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._bars.update(self._bar, total=self._pace.done, completed=self._pace.done)
        self._bars.stop()


class CountLines(contextlib.AbstractContextManager["CountLines"]):
    """A line every half a minute, so that short work says nothing."""

    def __init__(self, console: Console, total: int | None, done: int, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._said_at = clock()
        self._pace = _Pace(total, done, clock)

    def advance(self, texts: int) -> None:
        """So many more are done."""
        self._pace.advance(texts)
        if self._clock() - self._said_at >= EVERY_S:
            self._said_at = self._clock()
            left = self._pace.seconds_left()
            rest = "" if left is None else f", {duration(left)} left"
            self._console.print(Text(self._pace.figures() + rest), soft_wrap=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""


class _Pace:
    """How many are done, of how many, how fast."""

    def __init__(self, total: int | None, done: int, clock: Callable[[], float]) -> None:
        self.done = done
        self._total = total
        self._before = done
        self._clock = clock
        self._began = clock()

    def advance(self, texts: int) -> None:
        self.done += texts

    def figures(self) -> str:
        rate, done = self._rate(), count(self.done, "text")
        done = done if self._total is None else f"{count(self.done)} of {count(self._total, 'text')}"
        return f"{done}, {count(round(rate)) if rate >= 10 else f'{rate:.1f}'} a second"

    def seconds_left(self) -> float | None:
        if self._total is None or self._rate() == 0:
            return None
        return max(0, self._total - self.done) / self._rate()

    def _rate(self) -> float:
        return (self.done - self._before) / max(self._clock() - self._began, 1e-9)


def counting_display(
    console: Console, total: int | None = None, *, done: int = 0, clock: Callable[[], float] = time.monotonic
) -> CountBar | CountLines:
    """The display that fits the console.

    Args:
        total: how many texts there are, where that is known.
        done: how many of them were answered before.
    """
    return CountBar(console, total, done, clock) if console.is_terminal else CountLines(console, total, done, clock)
