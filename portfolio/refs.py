"""Names, the checks on them, and the references made of them: `banking`, `banking@2`, `banking@champion`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from portfolio.errors import Conflict, InvalidName, NotFound

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_LONGEST_VALUE = 128  # characters of a tag's value
_LISTED = 20  # unknown names that an error spells out
_RESERVED_KEYS = ("task", "name")  # a task has these already


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


def check_tag(key: str, value: str) -> None:
    """Nothing, if a task may have the tag `key` = `value`.

    Raises:
        InvalidName: the key is no name, or is `task` or `name`; or the value is not 1 to 128 printable characters.
    """
    check_name(key, "tag")
    if key in _RESERVED_KEYS:
        raise InvalidName(f"tag {key!r} is reserved, as every task has it already; choose another word, such as 'kind'")
    if not (1 <= len(value) <= _LONGEST_VALUE and value.isprintable()):
        more = f" and more, {len(value):,} in all" if len(value) > _LONGEST_VALUE else ""
        raise InvalidName(
            f"the value of tag {key!r} is not allowed: expected 1 to {_LONGEST_VALUE} printable characters "
            f"without a line break, got {value[:_LONGEST_VALUE]!r}{more}"
        )


def check_tags(tags: Mapping[str, str]) -> None:
    """`check_tag` for each of these."""
    for key, value in tags.items():
        check_tag(key, value)


def require_free(name: str, taken: Collection[str]) -> None:
    """Raise Conflict if there is a task of that name."""
    if name in taken:
        raise Conflict(
            f"there is a task {name!r} already; train a new version of it with --again, choose another name, or remove it "
            f"first with: portfolio remove-task {name}"
        )


def require_known(name: str, known: Collection[str]) -> None:
    """Raise NotFound, naming the tasks there are, unless one has that name."""
    require_all_known([name], known)


def require_all_known(names: Iterable[str], known: Collection[str]) -> None:
    """Raise one NotFound that names all of these that are no task, and the tasks there are, unless each is one."""
    unknown = [repr(name) for name in dict.fromkeys(names) if name not in known]
    if unknown:
        there = ", ".join(known) or "none yet; add one with: portfolio add-task NAME --train FILE"
        more = f" and {len(unknown) - _LISTED:,} more" if len(unknown) > _LISTED else ""
        raise NotFound(f"there is no task {', '.join(unknown[:_LISTED])}{more}; the tasks here: {there}")


@dataclass(frozen=True, slots=True)
class Ref:
    """One version of an adapter. Written `name@version`."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"
