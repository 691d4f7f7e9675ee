"""A training as it goes: a bar on a terminal, a line now and then anywhere else; and how it went."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from portfolio.records import AdapterRecord
from portfolio.reports.report import Report
from portfolio.reports.wording import count, duration, percent, plain

_LINES = 10  # for a training of full length, where there is no bar
_BAR_WIDTH = 20


class BarDisplay(contextlib.AbstractContextManager["BarDisplay"]):
    """One bar a task, with loss, best validation score and time left. `with` closes it, also after an error."""

    def __init__(self, console: Console, bars: Progress | None = None) -> None:
        """Args: bars: of another display, among which this one's stands."""
        self._console = console
        self._bars = bars or Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=_BAR_WIDTH),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeRemainingColumn(),
            console=console,
        )
        self._bar: TaskID | None = None
        self._rows = self._done = 0

    def begin(self, name: str) -> BarDisplay:
        """Itself, turned to the next task."""
        self._bars.start()
        self._finish()
        self._bar = self._bars.add_task(name, total=None, figures="preparing")
        self._rows = self._done = 0
        return self

    def beside(self, name: str) -> BarDisplay:
        """One for a task that is learned at the same time as others, its bar below theirs."""
        return BarDisplay(self._console, self._bars).begin(name)

    def prepared(self, rows: int) -> None:
        self._rows += rows
        if self._bar is not None and not self._done:
            self._bars.update(self._bar, figures=f"{count(self._rows, 'row')} read by the base")

    def step(self, *, done: int, total: int, loss: float, score: float | None) -> None:
        self._done = done
        if self._bar is not None:
            self._bars.update(self._bar, completed=done, total=total, figures=_figures(loss, score))

    def say(self, message: str) -> None:
        self._bars.console.print(Text(plain(message, self._console)))

    def _finish(self) -> None:
        if self._bar is not None and self._done:  # training may stop early: then this was all of it
            self._bars.update(self._bar, completed=self._done, total=self._done)
        self._bar = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._finish()
        self._bars.stop()


class LineDisplay(contextlib.AbstractContextManager["LineDisplay"]):
    """A line after each tenth of the steps, for logs and pipes."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._name = ""
        self._rows = self._tenths = 0
        self._began = 0.0

    def begin(self, name: str) -> LineDisplay:
        """Itself, turned to the next task."""
        self._name, self._rows, self._tenths = name, 0, 0
        return self

    def beside(self, name: str) -> LineDisplay:
        """One for a task that is learned at the same time as others; it says so at once."""
        self.say(f"{name}: begins")
        return LineDisplay(self._console, self._clock).begin(name)

    def prepared(self, rows: int) -> None:
        self._rows += rows

    def step(self, *, done: int, total: int, loss: float, score: float | None) -> None:
        if done == 1:  # the first, also of a training that begins again
            self._tenths, self._began = 0, self._clock()
            self.say(f"{self._name}: {count(self._rows, 'row')} read by the base, now training")
        tenths = _LINES * done // total
        if tenths > self._tenths:
            self._tenths = tenths
            left = (self._clock() - self._began) * (total - done) / done
            share = f"{100 * done // total} % of at most {count(total, 'step')}"
            self.say(f"{self._name}: {share}, {_figures(loss, score)}, {duration(left)} left")

    def say(self, message: str) -> None:
        self._console.print(Text(plain(message, self._console)), soft_wrap=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""


def training_display(console: Console) -> BarDisplay | LineDisplay:
    """The display that fits the console."""
    return BarDisplay(console) if console.is_terminal else LineDisplay(console)


def outcome(adapter: AdapterRecord, report: Report) -> str:
    """How well a new adapter does, in one line; of one that does not answer yet, how it did in training."""
    learned = f"{duration(adapter.seconds)}, {count(adapter.epochs, 'epoch')}, {count(adapter.parameters, 'parameter')}"
    if not any(cost.answers for cost in report.costs if cost.adapter == str(adapter.ref)):
        return f"{adapter.ref}: validation {percent(adapter.validation_score)} %; {learned}; it does not answer yet"
    now = next(figures for figures in report.per_task if figures.task == adapter.task)
    return (
        f"{adapter.ref}: validation {percent(adapter.validation_score)} %, test {percent(now.oracle)} % "
        f"with the task given, {percent(now.routed)} % routed; {learned}"
    )


def _figures(loss: float, score: float | None) -> str:
    return f"loss {loss:.3f}, validation {percent(score)} %"
