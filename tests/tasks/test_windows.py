"""Texts without end: every one once, in order, and none read before it is needed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio.errors import ConfigError, DataError
from portfolio.tasks.windows import after, apart, windows


@given(st.integers(0, 20), st.integers(1, 7))
def test_windows_hold_every_item_once_and_in_order(count: int, size: int) -> None:
    found = list(windows(range(count), size))
    assert [item for window in found for item in window] == list(range(count))
    assert all(len(window) == size for window in found[:-1]) and all(found)


def test_a_window_is_read_when_it_is_asked_for() -> None:
    source = iter(range(100))
    found = windows(source, 3)
    assert next(source) == 0  # nothing was read yet
    assert next(found) == [1, 2, 3]
    assert next(source) == 4


@pytest.mark.parametrize(("before", "expected"), [(0, []), (3, [[0, 1], [2]]), (4, [[0, 1], [2, 3]])])
def test_what_was_read_before_an_error_comes_before_it(before: int, expected: list[list[int]]) -> None:
    def source() -> Iterator[int]:
        yield from range(before)
        raise DataError("line 5 is bad")

    found, seen = windows(source(), 2), []
    with pytest.raises(DataError, match="line 5 is bad"):
        for window in found:
            seen.append(window)
    assert seen == expected


def test_an_interrupt_while_reading_is_not_put_off() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next(windows(source(), 5))


def test_pairs_come_with_every_text_or_with_none() -> None:
    assert apart([]) == ([], None)
    assert apart([("a", None), ("b", None)]) == (["a", "b"], None)
    assert apart([("a", "c"), ("b", "")]) == (["a", "b"], ["c", ""])
    with pytest.raises(ConfigError, match="a pair with every text or with none, got 1 for 2 texts"):
        apart([("a", "c"), ("b", None)])


ROWS: list[tuple[str, str | None]] = [(text, None) for text in "abcdefg"]


@given(st.integers(0, 7), st.integers(1, 9))
def test_after_the_first_rows_come_the_others_in_the_same_windows(count: int, size: int) -> None:
    last = ROWS[count - 1][0] if count else None
    found = list(after(windows(ROWS, size), count, last, "answers"))
    assert [row for window in found for row in window] == ROWS[count:]
    assert all(window in list(windows(ROWS, size)) for window in found[1:])


def test_other_texts_than_those_that_were_answered_are_refused() -> None:
    with pytest.raises(DataError, match="answers:3: expected the answer to text 3, 'c', got that to 'x'"):
        list(after(windows(ROWS, 2), 3, "x", "answers"))
    with pytest.raises(DataError, match="answers holds answers to 9 texts, but there are only 7"):
        list(after(windows(ROWS, 2), 9, "g", "answers"))
