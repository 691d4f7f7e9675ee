"""One split out of one file: what is read, and what is refused."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portfolio.errors import DataError
from portfolio.tasks.columns import Columns
from portfolio.tasks.files import HiddenLabels, read_split, read_texts
from portfolio.tasks.splits import Split

TWO = Split(texts=("hello", "good bye"), pairs=None, labels=("greet", "leave"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"text": "hello", "label": "greet"}\n{"text": "good bye", "label": "leave"}\n'),
        ("a.json", '{"text": "hello", "label": "greet"}\r\n{"text": "good bye", "label": "leave"}'),
        ("a.csv", '\ufefftext,label\r\nhello,greet\r\n"good bye",leave\r\n\r\n'),
        ("A.CSV", "label,text\ngreet,hello\nleave,good bye\n"),
        ("a.tsv", "text\tlabel\nhello\tgreet\ngood bye\tleave\n"),
    ],
)
def test_the_same_rows_come_out_of_every_format(write, name, content):
    assert read_split(write(name, content), "train") == TWO


def test_pairs_are_read_beside_the_texts(write):
    path = write("a.csv", "premise,hypothesis,label\nit rains,it is wet,yes\nit rains,it is dry,no\n")
    assert read_split(str(path), "test") == Split(
        texts=("it rains", "it rains"), pairs=("it is wet", "it is dry"), labels=("yes", "no")
    )


@pytest.mark.parametrize("nul", ["a.jsonl", "a.csv", "a.tsv"])
def test_a_nul_character_is_a_character_like_any_other(write, nul):
    separator = {"a.csv": ",", "a.tsv": "\t"}.get(nul)
    content = f"text{separator}label\nx\0y{separator}z\n" if separator else [{"text": "x\0y", "label": "z"}]
    assert read_split(write(nul, content), "train").texts == ("x\0y",)


def test_labels_that_are_numbers_or_truths_become_text(write):
    labels = [3, -1, 2.0, True, "3"]
    path = write("a.jsonl", [{"text": "a", "label": label} for label in labels])
    assert read_split(path, "train").labels == ("3", "-1", "2", "true", "3")


def test_where_keeps_only_the_rows_with_that_value(write):
    rows = [{"text": f"t{n}", "label": "x", "domain": domain, "n": n} for n, domain in enumerate("aabba")]
    path = write("a.jsonl", rows)
    assert read_split(path, "train", where={"domain": "b"}).texts == ("t2", "t3")
    assert read_split(path, "train", where={"domain": "a", "n": "4"}).texts == ("t4",)


def test_faults_of_rows_that_where_leaves_out_do_not_count(write):
    path = write("a.jsonl", [{"text": "", "label": "x", "domain": "a"}, {"text": "t", "label": "x", "domain": "b"}])
    assert read_split(path, "train", where={"domain": "b"}).texts == ("t",)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"domain": "c"}, "no row has domain = c; what came is 'domain = a', 'domain = b'"),
        ({"topic": "a"}, "no column 'topic' to filter by; its columns are 'text', 'label', 'domain'"),
    ],
)
def test_a_filter_that_keeps_nothing_says_what_there_is(write, where, message):
    path = write("a.jsonl", [{"text": "t", "label": "x", "domain": domain} for domain in "aba"])
    with pytest.raises(DataError, match=message):
        read_split(path, "train", where=where)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"label": "x"}, "the row has no 'text'"),
        ({"text": None, "label": "x"}, "the row has no 'text'"),
        ({"text": "", "label": "x"}, "the text in 'text' is empty"),
        ({"text": " \t\n\u00a0", "label": "x"}, "the text in 'text' is empty"),
        ({"text": 5, "label": "x"}, "expected text in 'text', got 5"),
        ({"text": ["a"], "label": "x"}, r"expected text in 'text', got \['a'\]"),
        ({"text": "a\ud800", "label": "x"}, "half of a surrogate pair"),
        ({"text": "a"}, "the row has no label in 'label'"),
        ({"text": "a", "label": " "}, "expected a label in 'label', got ' '"),
        ({"text": "a", "label": 1.5}, "expected a label that is text or a whole number in 'label', got 1.5"),
        ({"text": "a", "label": ["x"]}, r"expected a label that is text or a whole number in 'label', got \['x'\]"),
        ({"text": "a", "label": "\udfff"}, "expected a label in 'label'"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_by_its_line(write, row, message):
    path = write("a.jsonl", [{"text": "good", "label": "x"}, row])
    with pytest.raises(DataError, match=rf"a\.jsonl:2: .*{message}"):
        read_split(path, "train")


def test_a_pair_may_not_be_missing_from_a_row(write):
    path = write("a.jsonl", [{"text": "a", "text_pair": "b", "label": "x"}, {"text": "a", "label": "x"}])
    with pytest.raises(DataError, match=r"a\.jsonl:2: the row has no 'text_pair'"):
        read_split(path, "train")


def test_faults_of_all_kinds_are_told_together_and_counted(write):
    bad = [b'{"text": "", "label": "x"}', b"not json", b'{"text": "\xff", "label": "x"}', b'{"label": "x"}']
    path = write("a.jsonl", b'{"text": "good", "label": "x"}\n' + b"\n".join(bad * 2))
    with pytest.raises(DataError) as caught:
        read_split(path, "train")
    first, *shown, last = str(caught.value).splitlines()
    assert first == f"{path}: 8 faults"
    assert len(shown) == 5
    assert last == "  … and 3 more"


def test_a_long_text_in_a_wrong_place_does_not_flood_the_message(write):
    path = write("a.csv", "x" * 50_000 + "\n" + "y" * 50_000 + "\n")
    with pytest.raises(DataError) as caught:
        read_split(path, "train")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", "", "expected examples, got an empty file"),
        ("a.csv", "text,label\n", "expected examples, got none"),
        ("a.xlsx", "", r"expected a file that ends in \.jsonl, \.json, \.csv, \.tsv or \.parquet.*got .*a\.xlsx"),
        ("a.csv", "text\nhello\n", "no label column"),
    ],
)
def test_a_file_without_examples_is_refused(write, name, content, message):
    with pytest.raises(DataError, match=message):
        read_split(write(name, content), "train")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.jsonl, which is not there"):
        read_split(tmp_path / "gone.jsonl", "train")


@pytest.mark.parametrize("name", ["a\0b.jsonl", "x" * 5000 + ".csv", "a.csv/b.csv"])
def test_a_path_that_cannot_be_is_a_data_error(write, tmp_path, name):
    write("a.csv", "text,label\na,b\n")
    with pytest.raises(DataError, match="which is not there"):
        read_split(tmp_path / name, "train")


def test_a_split_without_any_label_is_told_apart(write):
    with pytest.raises(HiddenLabels, match="no row of the test split has a label"):
        read_split(write("a.jsonl", [{"text": "a", "label": None}] * 2), "test")


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["a.jsonl", "a.csv", "a.tsv"]),
    content=st.binary(max_size=60)
    | st.lists(
        st.sampled_from([b"text", b"label", b",", b"\t", b"\n", b'"', b"a", b"\0", b"{", b"}", b":", b"\xff"])
    ).map(b"".join),
)
def test_any_bytes_give_a_split_or_a_data_error(tmp_path, name, content):
    path = tmp_path / name
    for head in (b"", b"text,label\n", b"text\tlabel\n", b'{"text": "a", "label": "b"}\n'):
        path.write_bytes(head + content)
        try:
            split = read_split(path, "train")
        except DataError as error:
            assert 0 < len(str(error)) < 2000
        else:
            assert all(text.strip() for text in split.texts)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "one\r\n\r\n  two\n", [("one", None), ("  two", None)]),
        ("a.jsonl", '{"query": "one", "id": 1}\n{"query": "two"}\n', [("one", None), ("two", None)]),
        ("a.csv", "sentence1,sentence2\none,two\n", [("one", "two")]),
        ("a.tsv", "text\tlabel\none\tx\n", [("one", None)]),
    ],
)
def test_texts_need_no_labels(write, name, content, expected):
    assert list(read_texts(write(name, content))) == expected


def test_texts_come_from_the_named_column(write):
    path = write("a.csv", "subject,body\none,two\n")
    assert list(read_texts(path, Columns(text="body", pair="subject"))) == [("two", "one")]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("a.txt", b"one\n", b"\xff\n"),
        ("a.jsonl", b'{"text": "one"}\n', b"not json\n"),
        ("b.jsonl", b'{"text": "one"}\n', b"{}\n"),
    ],
)
def test_texts_before_a_fault_are_given_before_it_is_raised(write, name, good, bad):
    texts = read_texts(write(name, good + bad + good))
    assert next(texts) == ("one", None)
    with pytest.raises(DataError, match=f"{name}:2: "):
        next(texts)


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
def test_texts_of_a_missing_file_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="which is not there"):
        list(read_texts(tmp_path / name))


def test_a_split_reads_back_with_the_same_digest(write):
    rows = [{"text": f"é{n}", "label": str(n % 2)} for n in range(5)]
    first = read_split(write("a.jsonl", rows), "test")
    second = read_split(write("b.json", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)), "test")
    assert first.digest() == second.digest()


def test_lines_of_a_pipe_are_given_as_they_come(tmp_path):
    path = tmp_path / "pipe.jsonl"
    os.mkfifo(path)
    opening = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # so that nobody waits for the other end
    with path.open("w") as writer:
        writer.write('{"text": "one"}\n{"text": "two"}\n')
        writer.flush()
        rows = read_texts(path)
        assert [next(rows), next(rows)] == [("one", None), ("two", None)]
    os.close(opening)
