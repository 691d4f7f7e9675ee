"""A whole task: splits given, found, or held out, and checked against each other."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import datasets
import pytest

from portfolio.errors import ConfigError, DataError, InvalidName
from portfolio.records import Source
from portfolio.tasks.columns import Columns
from portfolio.tasks.files import read_split
from portfolio.tasks.task import read_task

STRING = datasets.Value("string")


def rows(labels, prefix="text"):
    return [{"text": f"{prefix} {number}", "label": label} for number, label in enumerate(labels)]


@pytest.fixture
def train(write) -> Path:
    """A hundred rows of two classes."""
    return write("train.jsonl", rows("AB" * 50))


def test_given_splits_are_read_as_they_are(write, train):
    validation = write("validation.csv", "text,label\nv,A\n")
    test = write("test.tsv", "text\tlabel\nt\tB\n")
    task = read_task("letters", train, validation, test)
    assert (len(task.train), task.validation.texts, task.test.texts) == (100, ("v",), ("t",))
    assert task.labels == ("A", "B")
    assert task.columns == ("text", None, "label")
    assert task.notes == ("columns guessed: text 'text', label 'label'",)


def test_missing_splits_are_a_tenth_each_of_train_and_share_nothing(train):
    task = read_task("letters", train)
    assert [len(task.train), len(task.validation), len(task.test)] == [80, 10, 10]
    texts = [set(split.texts) for split in (task.train, task.validation, task.test)]
    assert len(set.union(*texts)) == sum(map(len, texts)) == 100
    assert task.notes[1:] == (
        "test: 10 of 100 rows held out of train, stratified, seed 0",
        "validation: 10 of 100 rows held out of train, stratified, seed 0",
    )


def test_at_most_two_thousand_rows_are_held_out(write):
    path = write("train.csv", "text,label\n" + "".join(f"t{row},{row % 2}\n" for row in range(21_000)))
    task = read_task("big", path)
    assert [len(task.train), len(task.validation), len(task.test)] == [17_000, 2000, 2000]


def test_the_test_rows_do_not_change_when_a_validation_file_is_given(write, train):
    validation = write("validation.jsonl", rows("AB", "other"))
    assert read_task("letters", train, validation).test == read_task("letters", train).test


def test_reading_again_gives_the_same_and_another_seed_does_not(train):
    assert read_task("letters", train, seed=5) == read_task("letters", train, seed=5)
    assert read_task("letters", train, seed=5).test != read_task("letters", train, seed=6).test


def test_sources_tell_where_each_split_came_from_and_what_it_held(write, train, monkeypatch):
    write("test.jsonl", rows("AB", "other"))
    monkeypatch.chdir(train.parent)
    task = read_task("letters", "train.jsonl", test="test.jsonl")
    assert task.sources == (
        Source(split="train", path=str(train), sha256=task.train.digest(), rows=90),
        Source(split="validation", path=str(train), sha256=task.validation.digest(), rows=10, held_out_of="train"),
        Source(split="test", path=str(train.parent / "test.jsonl"), sha256=task.test.digest(), rows=2),
    )
    assert read_split(task.sources[2].path, "test").digest() == task.sources[2].sha256


def test_a_set_of_several_splits_gives_all_of_them(tmp_path):
    splits = {
        "train": datasets.Dataset.from_list(rows("AB" * 5)),
        "valid": datasets.Dataset.from_list(rows("AB", "valid")),
        "test": datasets.Dataset.from_list(rows("BA", "test")),
    }
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    task = read_task("letters", tmp_path / "saved")
    assert (len(task.train), task.validation.texts, task.test.labels) == (10, ("valid 0", "valid 1"), ("B", "A"))
    assert {(source.path, source.held_out_of) for source in task.sources} == {(str(tmp_path / "saved"), None)}


def test_a_given_file_goes_before_the_split_of_the_set(tmp_path, write):
    splits = {name: datasets.Dataset.from_list(rows("AB" * 20, name)) for name in ("train", "test")}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    task = read_task("letters", tmp_path / "saved", test=write("test.jsonl", rows("AB", "mine")))
    assert task.test.texts == ("mine 0", "mine 1")


def test_a_test_split_that_hides_its_labels_is_replaced_by_rows_of_train(tmp_path):
    features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=["A", "B"]))

    def split(labels):
        texts = [f"t{row}" for row in range(len(labels))]
        return datasets.Dataset.from_dict({"text": texts, "label": labels}, features=features)

    datasets.DatasetDict({"train": split([0, 1] * 20), "test": split([-1, -1])}).save_to_disk(tmp_path / "saved")
    task = read_task("letters", tmp_path / "saved")
    assert task.sources[2].held_out_of == "train"
    assert any("hides its labels" in note for note in task.notes)
    with pytest.raises(DataError, match="no row of the test split has a label"):
        read_task("letters", tmp_path / "saved", test=tmp_path / "saved")


def test_the_columns_of_train_are_read_from_every_file(write):
    train = write("train.csv", "text,answer,label\n" + "".join(f"a{n},yes,1\nb{n},no,2\n" for n in range(10)))
    test = write("test.csv", "label,text,answer,text_pair\n3,c,yes,d\n")
    task = read_task("letters", train, test=test, columns=Columns(label="answer"))
    assert task.columns == ("text", None, "answer")
    assert (task.test.pairs, task.test.labels) == (None, ("yes",))
    with pytest.raises(DataError, match=r"test2\.csv: no column 'answer'"):
        read_task("letters", train, test=write("test2.csv", "text,label\na,1\n"), columns=Columns(label="answer"))


def test_columns_that_nobody_reads_are_said(write):
    task = read_task(
        "letters", write("train.csv", "text,label,passage\n" + "".join(f"t{n},{n % 2},p\n" for n in range(10)))
    )
    assert task.notes[0] == "columns guessed: text 'text', label 'label'; not used: 'passage'"


def test_named_columns_need_no_note(train):
    notes = read_task("letters", train, columns=Columns(text="text", label="label")).notes
    assert not any("guessed" in note for note in notes)


def test_where_holds_for_every_split(write):
    table = [{**row, "domain": "xy"[number % 3 == 0]} for number, row in enumerate(rows("ABCD" * 15))]
    path = write("train.jsonl", table)
    task = read_task("letters", path, test=path, where={"domain": "y"})
    expected = {row["text"] for row in table if row["domain"] == "y"}
    assert set(task.test.texts) == expected
    assert set(task.train.texts) | set(task.validation.texts) == expected
    assert task.where == (("domain", "y"),)
    assert "only rows with domain = 'y'" in task.notes
    assert not any("not used" in note for note in task.notes)


def test_labels_keep_only_their_rows_in_every_split(write):
    train = write("train.jsonl", rows("ABCD" * 15))
    test = write("test.jsonl", rows("DXAB", "other"))
    task = read_task("letters", train, test=test, labels=["D", "A"])
    assert task.labels == ("A", "D")
    assert [set(split.labels) for split in (task.train, task.validation)] == [{"A", "D"}] * 2
    assert len(task.train) + len(task.validation) == 30
    assert task.test.texts == ("other 0", "other 2")
    assert "only rows with 2 labels: 'D', 'A'" in task.notes


def test_no_labels_named_keep_all(train):
    assert read_task("letters", train, labels=()) == read_task("letters", train)


def test_labels_are_compared_as_text(write):
    train = write("train.jsonl", [{"text": f"t{n}", "label": n % 3} for n in range(60)])
    assert read_task("letters", train, labels=["0", "2"]).labels == ("0", "2")


def test_faults_of_rows_that_labels_leave_out_do_not_count(write, train):
    test = write("test.jsonl", [*rows("AB", "other"), {"text": "", "label": "C"}, {"text": "x", "label": None}])
    assert read_task("letters", train, test=test, labels=["A", "B"]).test.labels == ("A", "B")


def test_labels_that_train_lacks_are_named_with_those_it_has(write):
    train = write("train.jsonl", rows("ABC" * 10))
    with pytest.raises(
        DataError, match=r"train\.jsonl: no row of train has the label 'X', 'Y'; its labels are 'A', 'B'"
    ):
        read_task("letters", train, labels=["Y", "A", "X"])


def test_a_split_with_none_of_the_labels_is_refused(write, train):
    test = write("test.jsonl", rows("CD", "other"))
    with pytest.raises(DataError, match=r"test\.jsonl: no row of test has the label 'A', 'B'; its labels are 'C', 'D'"):
        read_task("letters", train, test=test, labels=["A", "B"])


def test_a_split_that_hides_its_labels_is_seen_to_whatever_labels_are_kept(tmp_path):
    splits = {"train": rows("ABC" * 20), "test": [{"text": "t", "label": None}] * 2}
    for name, table in splits.items():
        splits[name] = datasets.Dataset.from_list(table, datasets.Features(text=STRING, label=STRING))
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    assert read_task("letters", tmp_path / "saved", labels=["A", "B"]).sources[2].held_out_of == "train"


def test_repeats_between_given_files_are_counted_and_kept(write, train):
    test = write("test.jsonl", [{"text": "text 0", "label": "A"}, {"text": "new", "label": "B"}])
    task = read_task("letters", train, test=test)
    assert len(task.test) == 2
    assert "test: 1 of 2 rows repeat a text of train; kept" in task.notes


@pytest.mark.parametrize(("most", "said"), [(9, False), (10, True)])
def test_classes_are_called_uneven_from_ten_to_one(write, most, said):
    train = write("train.jsonl", rows("A" * most + "B"))
    other = write("other.jsonl", rows("AB", "other"))
    notes = read_task("letters", train, other, other).notes
    assert (f"classes are uneven in train: 'A' has {most} rows, 'B' has 1" in notes) is said


@pytest.fixture
def strange(write) -> Path:
    """Three of five test rows have labels that train lacks."""
    return write("test.jsonl", rows("AXYXB", "other"))


def test_labels_that_train_lacks_are_an_error_that_counts_them_and_names_the_option(train, strange):
    message = r"test\.jsonl: 3 of 5 rows have labels that train lacks: 'X' \(2\), 'Y' \(1\).*--unknown-labels drop"
    with pytest.raises(DataError, match=message):
        read_task("letters", train, test=strange)
    with pytest.raises(DataError, match=message):
        read_task("letters", train, validation=strange)


def test_rows_with_labels_that_train_lacks_can_be_dropped(train, strange):
    task = read_task("letters", train, test=strange, unknown_labels="drop")
    assert task.test.labels == ("A", "B")
    assert task.sources[2].rows == 2
    assert "test: 3 of 5 rows have labels that train lacks: 'X' (2), 'Y' (1); dropped" in task.notes


def test_rows_with_labels_that_train_lacks_can_be_kept_as_wrong(train, strange):
    task = read_task("letters", train, test=strange, unknown_labels="keep")
    assert task.test.labels == tuple("AXYXB")
    assert task.labels == ("A", "B")
    assert any(note.endswith("kept, and always counted as wrong") for note in task.notes)


def test_dropping_every_row_is_an_error(write, train):
    with pytest.raises(DataError, match="without them no row is left"):
        read_task("letters", train, test=write("test.jsonl", rows("XY")), unknown_labels="drop")


def test_many_unknown_labels_are_counted_not_listed(write, train):
    test = write("test.jsonl", [{"text": "t", "label": f"label {number}"} for number in range(500)])
    with pytest.raises(DataError, match="and 492 more labels") as caught:
        read_task("letters", train, test=test)
    assert len(str(caught.value)) < 600


def test_one_class_only_is_refused(write):
    with pytest.raises(DataError, match=r"train\.jsonl: expected two classes or more, got one: all 5 rows are 'A'"):
        read_task("letters", write("train.jsonl", rows("AAAAA")))


@pytest.mark.parametrize(("labels", "short_of"), [("ABCDE", "test"), ("AAB", "validation")])
def test_too_few_rows_to_hold_out_are_refused_with_the_option_to_use(write, labels, short_of):
    with pytest.raises(DataError, match=f"no {short_of} split can be held out of .*--{short_of}"):
        read_task("letters", write("train.jsonl", rows(labels)))


@pytest.mark.parametrize("name", ["../up", "", "a b", ".hidden"])
def test_a_name_that_is_not_safe_is_refused_before_anything_is_read(tmp_path, name):
    with pytest.raises(InvalidName):
        read_task(name, tmp_path / "gone.jsonl")


def test_an_unknown_way_with_unknown_labels_is_refused(train):
    with pytest.raises(ConfigError, match="one of error, drop, keep, got 'ignore'"):
        read_task("letters", train, unknown_labels="ignore")


def test_a_task_cannot_be_changed(train):
    task = read_task("letters", train)
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.name = "other"
