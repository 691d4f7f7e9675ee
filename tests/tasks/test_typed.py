"""Texts as typed: every text comes through as it was, every other line is named."""

from __future__ import annotations

import io
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.errors import DataError
from portfolio.tasks.typed import texts_of_arguments, texts_of_lines

ENDS = "\r\n"
A_LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=ENDS), min_size=1).filter(str.strip)


def texts(raw: bytes) -> list[str]:
    return [text for some in texts_of_lines(io.BytesIO(raw), most=3) for text, _ in some]


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


def test_all_lines_that_have_come_are_given_together_and_no_others_are_waited_for() -> None:
    hears, says = os.pipe()
    with os.fdopen(hears, "rb") as stream, os.fdopen(says, "wb", buffering=0) as asker:
        chunks = texts_of_lines(stream, most=2)
        asker.write(b"first\nsec")
        assert next(chunks) == [("first", None)]
        asker.write(b"ond\nthird\nfourth\n")
        assert [next(chunks), next(chunks)] == [[("second", None), ("third", None)], [("fourth", None)]]
        asker.write(b"\nlast")
        asker.close()
        with pytest.raises(DataError, match="standard input:5: the text is empty"):
            next(chunks)


def test_texts_before_a_line_that_cannot_be_used_come_first() -> None:
    chunks = texts_of_lines(io.BytesIO(b"first\nsecond\n\xff\nthird\n"), most=9)
    assert next(chunks) == [("first", None), ("second", None)]
    with pytest.raises(DataError, match="standard input:3: not UTF-8"):
        next(chunks)


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5 << 20])
def test_a_line_of_one_mebibyte_is_read_and_of_a_longer_one_no_more_than_shows_it(size: int) -> None:
    stream = io.BytesIO(b"x" * size + b"\nshort\n")
    chunks = texts_of_lines(stream, most=9)
    if size <= 1 << 20:
        assert [text for some in chunks for text, _ in some] == ["x" * size, "short"]
    else:
        with pytest.raises(DataError, match="standard input:1: expected at most 1048576 bytes a line"):
            next(chunks)
        assert stream.tell() <= 2 << 20


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
