"""Names, and the references made of them: `banking`, `banking@2`, `banking@champion`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from portfolio.errors import InvalidName

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


@dataclass(frozen=True, slots=True)
class Ref:
    """One version of an adapter. Written `name@version`."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"
