"""Names, the checks on them, and the references made of them: `banking`, `banking@2`, `banking@champion`."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from portfolio.errors import Conflict, InvalidName, NotFound

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def check_name(name: str, what: str = "name") -> str:
    """`name` itself, if it is safe as a file name and on a command line.

    Raises:
        InvalidName: it is empty, longer than 128 characters, or holds anything but letters, digits, `.`, `_`, `-`.
    """
    if _NAME.fullmatch(name) is None:
        raise InvalidName(
            f"{what} {name!r} is not allowed: expected 1 to 128 letters, digits, '.', '_' or '-', "
            "beginning with a letter or a digit (such as 'support-banking')"
        )
    return name


def require_free(name: str, taken: Collection[str]) -> None:
    """Raise Conflict if there is a task of that name."""
    if name in taken:
        raise Conflict(
            f"there is a task {name!r} already; choose another name, or remove it first with: "
            f"portfolio remove-task {name}"
        )


def require_known(name: str, known: Collection[str]) -> None:
    """Raise NotFound, naming the tasks there are, unless one has that name."""
    if name not in known:
        there = ", ".join(known) or "none yet; add one with: portfolio add-task NAME --train FILE"
        raise NotFound(f"there is no task {name!r}; the tasks here: {there}")


@dataclass(frozen=True, slots=True)
class Ref:
    """One version of an adapter. Written `name@version`."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"
