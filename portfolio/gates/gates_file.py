"""`gates.toml` of a portfolio, as it is now.

The file is read at every call, so that a rule takes effect at the next one. A file that cannot be read is an error and
never the same as no rules.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from portfolio.errors import ConfigError
from portfolio.gates.defaults import DEFAULT_GATES

if TYPE_CHECKING:  # imported where rules are read: a promotion only asks for their digest
    from portfolio.gates.rules import Gates

GATES = "gates.toml"
DEFAULT_SOURCE = "the rules that hold without a gates.toml"


class GatesFile:
    """The gates of one portfolio."""

    def __init__(self, portfolio: Path) -> None:
        self._path = portfolio / GATES
        self._last: tuple[bytes, Gates] | None = None  # what was read, and what it means; one value, for threads

    def current(self) -> Gates:
        """The rules of the file; where there is none, those of `defaults.py`.

        Raises:
            ConfigError: the file cannot be read, or something in it cannot be; every fault with its line.
        """
        data = self._data()
        if data is None:
            return default_gates()
        last = self._last
        if last is None or last[0] != data:
            last = data, _parsed(data, str(self._path))
            self._last = last
        return last[1]

    def digest(self) -> str:
        """That of the rules, without looking at what they say.

        Raises:
            ConfigError: the file cannot be read.
        """
        data = self._data()
        return _digest(DEFAULT_GATES.encode() if data is None else data)

    def _data(self) -> bytes | None:
        """What is in the file; None where there is none."""
        if not os.path.lexists(self._path):  # a link that leads nowhere is there, and cannot be read
            return None
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise ConfigError(f"expected rules in {self._path}, got a file that cannot be read: {error}") from error


def default_gates() -> Gates:
    """The rules that hold without a file."""
    return _parsed(DEFAULT_GATES.encode(), DEFAULT_SOURCE)


def _parsed(data: bytes, source: str) -> Gates:
    from portfolio.gates.gates_text import parse_gates
    from portfolio.gates.rules import Gates

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{source}:{line}: expected text in UTF-8, got bytes that are none: {error}") from error
    return Gates(rules=parse_gates(text, source), digest=_digest(data), source=source)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
