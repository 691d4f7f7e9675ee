"""Texts without end, a bounded window at a time: never more is read than what is about to be answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from portfolio.errors import ConfigError, DataError
from portfolio.tasks.faults import shown

WINDOW = 2048  # texts that are sorted by length and answered together: docs/decisions/0014-streaming.md

_Item = TypeVar("_Item")
_Row = TypeVar("_Row", bound=tuple[str, str | None])


def windows(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """The items in order, so many at a time, each window read when it is asked for.

    Where reading them fails, the items before come first and the error after them.
    """
    window: list[_Item] = []
    try:
        for item in items:
            window.append(item)
            if len(window) == size:
                yield window
                window = []
    except Exception:
        if window:
            yield window
        raise
    if window:
        yield window


def apart(rows: Sequence[tuple[str, str | None]]) -> tuple[list[str], list[str] | None]:
    """The texts, and their pairs where they have any.

    Raises:
        ConfigError: some have a pair and some have none.
    """
    pairs = [pair for _, pair in rows if pair is not None]
    if len(pairs) not in (0, len(rows)):
        raise ConfigError(f"expected a pair with every text or with none, got {len(pairs)} for {len(rows)} texts")
    return [text for text, _ in rows], pairs or None


def after(chunks: Iterable[list[_Row]], count: int, last_text: str | None, place: str) -> Iterator[list[_Row]]:
    """The chunks without their first texts, which were answered before.

    Args:
        count: how many those are.
        last_text: the last of them, as it was answered.
        place: where their answers are, for messages.

    Raises:
        DataError: the texts are not those that were answered.
    """
    left = count
    for chunk in chunks:
        if 0 < left <= len(chunk) and chunk[left - 1][0] != last_text:
            raise DataError(
                f"{place}:{count}: expected the answer to text {count}, {shown(chunk[left - 1][0])}, got that to "
                f"{shown(last_text)}; go on with the same texts as before, or leave out --resume to begin anew"
            )
        if left < len(chunk):
            yield chunk[left:]
        left = max(0, left - len(chunk))
    if left:
        raise DataError(f"{place} holds answers to {count} texts, but there are only {count - left}")
