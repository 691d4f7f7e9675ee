"""Faults of a sequence file, each with its line, reported in one error.

TOML's reader gives values without their places, so a key's line is looked for in the text.
"""

from __future__ import annotations

import re
from pathlib import Path

from portfolio.errors import ConfigError

ORDERS = "orders"  # the table of orders; a task's table is named by its number, the top of the file by None
Place = int | str | None
_HEADER = re.compile(r"\s*\[+\s*(task|orders)\s*\]+")  # a table within one of these belongs to it


class SequenceFaults:
    """Everything wrong with one sequence file."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = text.splitlines()
        self._faults: list[str] = []

    def add(self, key: str, table: Place, fault: str) -> None:
        """Note a fault at a key of a table."""
        line = self._line_of(key, table)
        if line is None and table == ORDERS:  # written as orders = { … } or orders.name = …
            line = self._line_of(ORDERS, None)
        self._faults.append(f"{self._path}:{line}: {fault}" if line else f"{self._path}: {fault}")

    def raise_if_any(self) -> None:
        """Raise one `ConfigError` for all faults noted so far."""
        if self._faults:
            raise ConfigError("\n".join(self._faults))

    def _line_of(self, key: str, table: Place) -> int | None:
        """The line of that key; that of its table's header failing that."""
        assignment = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*[=.]""")
        here: Place = None
        tasks, header = 0, None
        for number, line in enumerate(self._lines, start=1):
            if opened := _HEADER.match(line):
                here, tasks = (tasks, tasks + 1) if opened[1] == "task" else (ORDERS, tasks)
                header = number if here == table else header
            elif here == table and assignment.match(line):
                return number
        return header
