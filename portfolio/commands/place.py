"""Which portfolio the commands are about."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from portfolio.commands.options import execution_of
from portfolio.errors import NotFound

if TYPE_CHECKING:
    from portfolio.portfolio import Portfolio


@dataclass(frozen=True, slots=True)
class Place:
    """Which portfolio the commands are about."""

    given: str | None  # by -p or PORTFOLIO_DIR

    def open(self) -> Portfolio:
        """The portfolio there; that of the current directory if none was named."""
        from portfolio.portfolio import Portfolio
        from portfolio.store.creation import DATABASE

        if self.given is None and not Path(DATABASE).is_file():
            raise NotFound(
                "expected a portfolio in the current directory, found none; "
                "name one with -p DIR or PORTFOLIO_DIR, or make one with: portfolio -p DIR init"
            )
        return Portfolio.open(self.given or ".", execution=execution_of(click.get_current_context()))

    def command(self, rest: str) -> str:
        """What to type for a command on this portfolio."""
        return f"portfolio {rest}" if self.given is None else f"portfolio -p {shlex.quote(self.given)} {rest}"
