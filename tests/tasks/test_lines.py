"""Lines of a file: numbered, decoded, never too long to hold."""

from __future__ import annotations

import os
import tracemalloc

import pytest

from portfolio.errors import DataError
from portfolio.tasks.faults import Faults
from portfolio.tasks.lines import MAX_LINE_BYTES, count_lines, numbered_lines


def test_lines_are_numbered_and_lose_their_ends(write):
    path = write("a.txt", b"one\r\n\ntwo\nlast")
    assert list(numbered_lines(path, Faults("a.txt"))) == [(1, "one"), (2, ""), (3, "two"), (4, "last")]


def test_a_byte_order_mark_is_dropped_only_at_the_start(write):
    path = write("a.txt", b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n")
    assert list(numbered_lines(path, Faults("a.txt"))) == [(1, "one"), (2, "\ufefftwo")]


def test_bytes_that_are_not_utf8_are_found_by_line_and_offset(write):
    path = write("a.txt", b"\xef\xbb\xbfgood\nb\xe4d\n")  # 3 + 5 bytes, then the second of the next line
    faults = Faults("a.txt")
    assert [number for number, _ in numbered_lines(path, faults)] == [1, 2]
    with pytest.raises(DataError, match=r"^a\.txt:2: not UTF-8: byte 0xe4 at offset 9 of the file$"):
        faults.raise_if_any()


def test_utf16_is_named_as_what_it_is(write):
    path = write("a.txt", "hello\n".encode("utf-16"))
    faults = Faults("a.txt")
    assert list(numbered_lines(path, faults)) == []
    with pytest.raises(DataError, match="UTF-16"):
        faults.raise_if_any()


@pytest.mark.parametrize(("length", "fits"), [(MAX_LINE_BYTES - 1, True), (MAX_LINE_BYTES, False)])
def test_the_limit_counts_the_end_of_the_line(write, length, fits):
    path = write("a.txt", b"x" * length + b"\nnext\n")
    faults = Faults("a.txt")
    lines = list(numbered_lines(path, faults))
    assert [number for number, _ in lines] == [1, 2]
    assert lines[1][1] == "next"
    assert (len(lines[0][1]) == length) is fits


def test_a_line_of_ten_megabytes_is_counted_but_never_held(write):
    size = 10_000_000
    path = write("a.txt", b"x" * size + b"\nnext")
    faults = Faults("a.txt")
    tracemalloc.start()
    try:
        assert list(numbered_lines(path, faults)) == [(1, ""), (2, "next")]
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 5 * MAX_LINE_BYTES
    with pytest.raises(DataError, match=f"^a.txt:1: a line of {size + 1} bytes; at most {MAX_LINE_BYTES}") as caught:
        faults.raise_if_any()
    assert len(str(caught.value)) < 100


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.txt"):
        list(numbered_lines(tmp_path / "gone.txt", Faults("gone.txt")))


@pytest.mark.parametrize(
    ("raw", "count"), [(b"", 0), (b"one", 1), (b"one\n", 1), (b"one\n\ntwo", 3), (b"x\n" * 700_000, 700_000)]
)
def test_lines_are_counted_with_or_without_a_last_end(write, raw, count):
    assert count_lines(write("a.txt", raw)) == count


def test_of_a_pipe_and_of_nothing_no_lines_are_counted(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert count_lines(tmp_path / "pipe.jsonl") is None
    assert count_lines(tmp_path / "nothing.txt") is None
