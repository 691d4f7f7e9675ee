"""Parquet files and data sets of the `datasets` library as tables.

A `ClassLabel` column gives its names; its value -1, by which published test sets hide their labels, gives None.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portfolio.errors import DataError
from portfolio.tasks.readers import Row, Table

if TYPE_CHECKING:
    import datasets  # type: ignore[import-untyped]

_BATCH_ROWS = 1000


def read_parquet(path: Path, shown_path: str) -> Table:
    """The rows of a Parquet file."""
    import pyarrow.parquet  # type: ignore[import-untyped]

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"cannot read {shown_path} as Parquet: {_first_line(error)}") from error
    names = _label_names_of_schema(file.schema_arrow.metadata or {})

    def rows(wanted: Sequence[str]) -> Iterator[Row]:
        try:
            yield from _numbered(file.iter_batches(_BATCH_ROWS, columns=list(wanted)), names)
        except (OSError, ValueError, pyarrow.ArrowException) as error:  # ValueError: text that is not UTF-8
            raise DataError(f"cannot read {shown_path} to its end: {_first_line(error)}") from error

    columns = tuple(file.schema_arrow.names)
    return Table(columns=columns, rows=rows, place=lambda number: f"{shown_path} row {number}")


def load_saved(path: Path, shown_path: str) -> datasets.Dataset | datasets.DatasetDict:
    """What `save_to_disk` wrote into a directory."""
    import datasets

    if not any((path / name).is_file() for name in ("dataset_dict.json", "state.json")):
        raise DataError(
            f"expected a directory written by save_to_disk of the datasets library, got {shown_path}; "
            f"name a file in it, or, for a directory of train.csv, test.csv and so on: hub:{shown_path}"
        )
    try:
        return datasets.load_from_disk(str(path))
    except (OSError, ValueError, KeyError, TypeError) as error:  # what damaged state files lead to
        raise DataError(f"cannot read the data set saved in {shown_path}: {_first_line(error)}") from error


def load_hub(name: str, config: str | None, shown_name: str) -> datasets.DatasetDict:
    """All splits of a data set of the Hugging Face hub, or of a directory of data files."""
    import datasets

    try:
        return datasets.load_dataset(name, config)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"cannot load {shown_name}: {_first_line(error)}; expected hub:NAME or hub:NAME:CONFIG, "
            "with the hub in reach or the data set in its cache"
        ) from error


def dataset_table(dataset: datasets.Dataset, shown_name: str) -> Table:
    """The rows of one split."""
    import datasets

    features = dataset.features.items()
    names = {key: feature.names for key, feature in features if isinstance(feature, datasets.ClassLabel)}

    def rows(wanted: Sequence[str]) -> Iterator[Row]:
        tables = dataset.select_columns(list(wanted)).with_format("arrow").iter(_BATCH_ROWS)
        yield from _numbered(tables, names)

    return Table(columns=tuple(dataset.column_names), rows=rows, place=lambda number: f"{shown_name} row {number}")


def _numbered(batches: Iterator[Any], names: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    number = 0
    for batch in batches:
        for fields in batch.to_pylist():
            number += 1
            for column in names.keys() & fields.keys():
                fields[column] = _label_name(fields[column], names[column])
            yield number, fields


def _label_name(value: int | None, names: Sequence[str]) -> str | int | None:
    if value is None or value == -1:
        return None
    return names[value] if 0 <= value < len(names) else value


def _label_names_of_schema(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Names of the `ClassLabel` columns, which `datasets` notes in the schema of the Parquet files that it writes."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        return {key: feature["names"] for key, feature in features.items() if feature.get("_type") == "ClassLabel"}
    except (ValueError, AttributeError, KeyError):  # another program's key of the same name
        return {}


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
