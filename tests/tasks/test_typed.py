"""Texts as typed: every text comes through as it was, every other line is named."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.errors import DataError
from portfolio.tasks.typed import in_chunks, texts_of_arguments, texts_of_lines

ENDS = "\r\n"
A_LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=ENDS), min_size=1).filter(str.strip)


def texts(raw: bytes) -> list[str]:
    return [text for text, _ in texts_of_lines(io.BytesIO(raw))]


@settings(max_examples=50)
@given(st.lists(A_LINE.filter(lambda line: not line.startswith("\ufeff")), min_size=1), st.sampled_from(["\n", "\r\n"]))
def test_lines_come_through_as_they_were(lines: list[str], end: str) -> None:
    assert texts(end.join(lines).encode()) == lines
    assert texts("".join(line + end for line in [*lines, "", " "]).encode()) == lines


def test_a_byte_order_mark_is_no_text() -> None:
    assert texts("\ufeffhello\nthere".encode()) == ["hello", "there"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "got none"),
        (b"\n \n", "got none"),
        (b"\nhello\n", "standard input:1: the text is empty"),
        (b"hello\n\n\nthere\n", "standard input:2: the text is empty"),
        (b"hello\nca\xe9\n", "standard input:2: not UTF-8: byte 0xe9 at offset 2 of the line"),
        (b"hello\n" + b"x" * (1 << 21), "standard input:2: expected at most 1048576 bytes a line"),
    ],
)
def test_what_cannot_be_answered_is_named_by_its_line(raw: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        texts(raw)


def test_lines_are_read_as_they_are_asked_for() -> None:
    rows = texts_of_lines(io.BytesIO(b"first\nsecond\n\xff\n"))
    assert [next(rows), next(rows)] == [("first", None), ("second", None)]


def test_arguments_come_with_their_pairs() -> None:
    assert list(texts_of_arguments(["a", "b"], [])) == [("a", None), ("b", None)]
    assert list(texts_of_arguments(["a", "b"], ["c", "d"])) == [("a", "c"), ("b", "d")]


@pytest.mark.parametrize(
    ("said", "pairs", "message"),
    [
        (["a", " "], [], "text 2 is empty"),
        (["a"], [""], "pair 1 is empty"),
        (["ab\udcff"], [], "text 1 is not UTF-8, from character 3 on"),
        (["a", "b"], ["c"], "expected one --pair for each of 2 texts, got 1"),
    ],
)
def test_an_argument_that_is_no_text_is_named(said: list[str], pairs: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        texts_of_arguments(said, pairs)


@given(st.integers(0, 20), st.integers(1, 7))
def test_chunks_hold_every_row_once_and_in_order(count: int, size: int) -> None:
    rows = [(str(number), None) for number in range(count)]
    chunks = list(in_chunks(iter(rows), size))
    assert [row for chunk in chunks for row in chunk] == rows
    assert all(len(chunk) == size for chunk in chunks[:-1]) and all(chunks)
