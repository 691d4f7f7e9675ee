"""Parquet files, saved data sets, and sets of the hub (a local directory stands for it)."""

from __future__ import annotations

import json
import subprocess
import sys

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from portfolio.errors import DataError
from portfolio.tasks.files import read_split, read_texts
from portfolio.tasks.locations import locate
from portfolio.tasks.splits import Split

EXPECTED = Split(texts=("one", "two", "three"), pairs=None, labels=("no", "yes", "no"))


@pytest.fixture
def dataset():
    """Three rows whose labels are numbers with names."""
    features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=["no", "yes"]))
    return datasets.Dataset.from_dict({"text": list(EXPECTED.texts), "label": [0, 1, 0]}, features=features)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A directory that the `datasets` library takes for a data set; nothing is cached outside of the test."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    directory = tmp_path / "set"
    directory.mkdir()
    for split in ("train", "test"):
        (directory / f"{split}.csv").write_text(f"text,label\n{split} one,no\n{split} two,yes\n")
    yield directory
    datasets.enable_progress_bars()


def test_parquet_that_datasets_wrote_keeps_the_names_of_its_labels(tmp_path, dataset):
    dataset.to_parquet(tmp_path / "a.parquet")
    assert read_split(tmp_path / "a.parquet", "train") == EXPECTED


def test_parquet_of_any_program_is_read(tmp_path):
    table = pyarrow.table({"id": [1, 2, 3], "sentence": list(EXPECTED.texts), "class": ["no", "yes", "no"]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert read_split(tmp_path / "a.parquet", "train") == EXPECTED
    assert [text for text, _ in read_texts(tmp_path / "a.parquet")] == list(EXPECTED.texts)


def test_a_key_of_another_program_in_the_schema_of_parquet_does_no_harm(tmp_path):
    for value in ("not json", "[]", '{"info": {"features": {"label": {"_type": "ClassLabel"}}}}'):
        table = pyarrow.table({"text": ["a"], "label": [7]}).replace_schema_metadata({"huggingface": value})
        pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
        assert read_split(tmp_path / "a.parquet", "train").labels == ("7",)


def test_a_row_of_parquet_is_named_by_its_number_across_batches(tmp_path):
    texts = ["fine"] * 1500 + [None, "fine", b"\xff".decode("latin-1")]
    pyarrow.parquet.write_table(pyarrow.table({"text": texts, "label": ["x"] * len(texts)}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet row 1501: the row has no 'text'$"):
        read_split(tmp_path / "a.parquet", "train")


def test_text_in_parquet_that_is_not_utf8_is_a_data_error(tmp_path):
    wrong = pyarrow.array([b"\xff\xfe"], pyarrow.binary()).view(pyarrow.string())
    pyarrow.parquet.write_table(pyarrow.table({"text": wrong, "label": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"cannot read .*a\.parquet to its end"):
        read_split(tmp_path / "a.parquet", "train")


def test_what_is_no_parquet_is_a_data_error(write, tmp_path, dataset):
    with pytest.raises(DataError, match="as Parquet"):
        read_split(write("a.parquet", b"PAR1 not really PAR1"), "train")
    dataset.to_parquet(tmp_path / "b.parquet")
    cut = (tmp_path / "b.parquet").read_bytes()[:-20]
    with pytest.raises(DataError, match="as Parquet"):
        read_split(write("c.parquet", cut), "train")


def test_a_saved_data_set_is_read(tmp_path, dataset):
    dataset.save_to_disk(tmp_path / "saved")
    assert read_split(tmp_path / "saved", "train") == EXPECTED
    assert locate(tmp_path / "saved").splits == ()


def test_each_split_of_a_saved_set_is_found_by_its_usual_names(tmp_path, dataset):
    named = {"train": dataset, "dev": dataset.select([1]), "test": dataset.select([2])}
    datasets.DatasetDict(named).save_to_disk(tmp_path / "saved")
    assert read_split(tmp_path / "saved", "train") == EXPECTED
    assert read_split(tmp_path / "saved", "validation").texts == ("two",)
    assert read_split(tmp_path / "saved", "test").texts == ("three",)
    location = locate(tmp_path / "saved")
    assert location.has("validation")
    assert location.recorded == str(tmp_path / "saved")


def test_a_split_that_a_set_lacks_is_named_with_those_it_has(tmp_path, dataset):
    datasets.DatasetDict({"train": dataset, "unsupervised": dataset}).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match="has no test split; its splits are 'train', 'unsupervised'"):
        read_split(tmp_path / "saved", "test")


def test_a_row_of_a_saved_set_is_named_by_split_and_number(tmp_path, dataset):
    bad = datasets.Dataset.from_dict({"text": ["", "b"], "label": ["x", "y"]})
    datasets.DatasetDict({"train": bad}).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=r"saved \[train\] row 1: the text in 'text' is empty"):
        read_split(tmp_path / "saved", "train")


def test_a_directory_that_is_no_saved_data_set_is_refused_with_advice(tmp_path):
    with pytest.raises(DataError, match=f"written by save_to_disk.*hub:{tmp_path}"):
        read_split(tmp_path, "train")


def test_a_damaged_saved_data_set_is_a_data_error(tmp_path, dataset):
    dataset.save_to_disk(tmp_path / "saved")
    for damage in ("{", "{}", json.dumps({"_data_files": [{"filename": "gone.arrow"}]})):
        (tmp_path / "saved" / "state.json").write_text(damage)
        with pytest.raises(DataError, match="cannot read the data set saved in"):
            read_split(tmp_path / "saved", "train")


def test_a_set_of_the_hub_is_read_by_name(hub):
    assert read_split(f"hub:{hub}", "test") == Split(texts=("test one", "test two"), pairs=None, labels=("no", "yes"))
    assert locate(f"hub:{hub}").recorded == f"hub:{hub}"


def test_a_configuration_of_a_set_is_named_after_a_colon(hub):
    assert read_split(f"hub:{hub}:default", "train").texts == ("train one", "train two")
    with pytest.raises(DataError, match=f"cannot load hub:{hub}:other"):
        read_split(f"hub:{hub}:other", "train")


@pytest.mark.parametrize("name", ["", ":config", "no-such-set-here", "/no/such/directory"])
def test_a_set_that_cannot_be_loaded_is_a_data_error(hub, name):
    with pytest.raises(DataError, match="hub:NAME"):
        read_split(f"hub:{name}", "train")


def test_reading_plain_files_loads_neither_torch_nor_arrow():
    """A command that only lists or checks tasks must answer at once."""
    code = (
        "import sys; import portfolio.tasks.task, portfolio.tasks.sequences; "
        "print(sorted({'torch', 'datasets', 'pyarrow', 'sklearn', 'numpy', 'transformers'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
