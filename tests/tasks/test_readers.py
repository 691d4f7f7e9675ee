"""JSONL, CSV and TSV as tables."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portfolio.errors import DataError
from portfolio.tasks.faults import Faults
from portfolio.tasks.readers import read_csv, read_jsonl, read_tsv, stream_jsonl

modest = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
unicode_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def rows_of(table):
    return list(table.rows(table.columns))


def faults_of(read, path):
    faults = Faults(path.name)
    rows_of(read(path, faults))
    with pytest.raises(DataError) as caught:
        faults.raise_if_any()
    return str(caught.value)


@modest
@given(
    rows=st.lists(st.dictionaries(unicode_texts, unicode_texts, min_size=1), min_size=1, max_size=5),
    ascii=st.booleans(),
)
def test_what_json_wrote_is_read_back(tmp_path, rows, ascii):
    path = tmp_path / "a.jsonl"
    path.write_bytes("".join(json.dumps(row, ensure_ascii=ascii) + "\n" for row in rows).encode())
    faults = Faults("a.jsonl")
    assert rows_of(read_jsonl(path, faults)) == list(enumerate(rows, start=1))
    assert rows_of(stream_jsonl(path, faults)) == list(enumerate(rows, start=1))
    faults.raise_if_any()


def test_the_columns_of_jsonl_are_those_of_any_row_and_of_a_stream_those_of_the_first(write):
    path = write("a.jsonl", [{"text": "a"}, {"label": "b", "text": "c"}])
    assert read_jsonl(path, Faults("a.jsonl")).columns == ("text", "label")
    assert stream_jsonl(path, Faults("a.jsonl")).columns == ("text",)


def test_a_stream_reads_no_line_before_it_is_asked_for(write):
    path = write("a.jsonl", '{"text": "a"}\n{"text": "b"}\nnot json\n')
    faults = Faults("a.jsonl")
    rows = stream_jsonl(path, faults).rows(["text"])
    assert [next(rows), next(rows)] == [(1, {"text": "a"}), (2, {"text": "b"})]
    faults.raise_if_any()


def test_blank_lines_of_jsonl_are_skipped_and_still_counted(write):
    path = write("a.jsonl", '{"text": "a"}\r\n  \r\n{"text": "b"}\r\n\r\n')
    assert rows_of(read_jsonl(path, Faults("a.jsonl"))) == [(1, {"text": "a"}), (3, {"text": "b"})]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a"', "not JSON"),
        ("[1, 2]", r"expected a JSON object, one a line, got \[1, 2\]"),
        ('"text"', "expected a JSON object, one a line, got 'text'"),
        ("[" * 200_000, "not JSON that can be read: RecursionError"),
        ('{"text": ' + "1" * 10_000 + "}", "not JSON that can be read: ValueError"),
    ],
    ids=["cut", "array", "string", "nested without end", "number without end"],
)
def test_a_line_that_is_no_json_object_is_named(write, line, message):
    path = write("a.jsonl", '{"text": "good"}\n' + line + "\n")
    faults = Faults("a.jsonl")
    assert rows_of(read_jsonl(path, faults)) == [(1, {"text": "good"})]
    with pytest.raises(DataError, match=f"^a.jsonl:2: {message}"):
        faults.raise_if_any()


@modest
@given(rows=st.lists(st.tuples(unicode_texts, unicode_texts.filter(str.strip)), max_size=5))
def test_what_csv_wrote_is_read_back(tmp_path, rows):
    written = io.StringIO()
    csv.writer(written).writerows([("text", "label"), *rows])
    path = tmp_path / "a.csv"
    path.write_bytes(written.getvalue().encode())
    faults = Faults("a.csv")
    table = read_csv(path, faults)
    assert table.columns == ("text", "label")
    assert [tuple(fields.values()) for _, fields in rows_of(table)] == [
        tuple(field.replace("\r\n", "\n") for field in row) for row in rows
    ]
    faults.raise_if_any()


def test_a_record_over_several_lines_is_placed_where_it_begins(write):
    path = write("a.csv", 'text,label\n"one\n\ntwo",x\n\nthree,y\nfour\n')
    faults = Faults("a.csv")
    table = read_csv(path, faults)
    assert rows_of(table) == [(2, {"text": "one\n\ntwo", "label": "x"}), (6, {"text": "three", "label": "y"})]
    with pytest.raises(DataError, match="^a.csv:7: expected 2 fields, as in the first line, got 1$"):
        faults.raise_if_any()


def test_a_quote_that_is_never_closed_is_placed_where_it_opens(write):
    assert faults_of(read_csv, write("a.csv", 'text,label\ngood,x\n"bad,x\nmore,y\n')).startswith("a.csv:3: not CSV")


def test_a_column_named_twice_is_a_fault(write):
    assert "got 'text' twice" in faults_of(read_csv, write("a.csv", "text,label,text\na,b,c\n"))


@modest
@given(
    rows=st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r")), st.booleans()),
        min_size=1,
        max_size=5,
    )
)
def test_tsv_fields_are_read_back_whether_quoted_by_rule_or_not_at_all(tmp_path, rows):
    """A text that begins and ends with a quote is written quoted, as any program that knows of quotes does."""
    path = tmp_path / "a.tsv"
    lines = []
    for text, quoted in rows:
        wrap = quoted or (text[:1] == text[-1:] == '"')
        lines.append('"' + text.replace('"', '""') + '"\tx\n' if wrap else text + "\tx\n")
    path.write_bytes(("text\tlabel\n" + "".join(lines)).encode())
    faults = Faults("a.tsv")
    assert [fields["text"] for _, fields in rows_of(read_tsv(path, faults))] == [text for text, _ in rows]
    faults.raise_if_any()


def test_a_stray_quote_in_tsv_stays_and_does_not_swallow_the_next_line(write):
    path = write("a.tsv", 'text\tlabel\n"never closed\tx\nsay "hi" twice\ty\n')
    rows = rows_of(read_tsv(path, Faults("a.tsv")))
    assert [fields["text"] for _, fields in rows] == ['"never closed', 'say "hi" twice']


def test_a_tsv_line_with_a_field_too_many_is_named(write):
    assert faults_of(read_tsv, write("a.tsv", "text\tlabel\na\tb\tc\n")).startswith("a.tsv:2: expected 2 fields")


@pytest.mark.parametrize("read", [read_jsonl, stream_jsonl, read_csv, read_tsv])
@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_has_no_columns_and_no_rows(write, read, content):
    table = read(write("a", content), Faults("a"))
    assert table.columns == ()
    assert rows_of(table) == []
