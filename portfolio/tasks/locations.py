"""What a user may name as the place of examples: a file, a saved data set, a data set of the hub."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from portfolio.errors import DataError
from portfolio.tasks.arrow import dataset_table, load_hub, load_saved, read_parquet
from portfolio.tasks.faults import Faults, listed
from portfolio.tasks.readers import Table, read_csv, read_jsonl, read_tsv

if TYPE_CHECKING:
    import datasets  # type: ignore[import-untyped]

HUB = "hub:"
_SPLIT_NAMES = {"train": ("train",), "validation": ("validation", "valid", "dev", "val"), "test": ("test",)}
_LINE_READERS = {".jsonl": read_jsonl, ".json": read_jsonl, ".csv": read_csv, ".tsv": read_tsv}


@dataclass(frozen=True, kw_only=True)
class Location:
    """A place of examples that is known to be there."""

    shown: str  # as the caller wrote it, for messages
    recorded: str  # absolute path, or `hub:NAME[:CONFIG]`
    splits: tuple[str, ...]  # of a set of several; none for a single table
    open_table: Callable[[str, Faults], Table]  # of `train`, `validation` or `test`; a single table ignores which

    def has(self, split: str) -> bool:
        """Whether it is a set of several splits, this one among them (`valid` and `dev` mean `validation`)."""
        return any(name in self.splits for name in _SPLIT_NAMES[split])


def locate(location: str | Path) -> Location:
    """The place that `location` names.

    Raises:
        DataError: nothing is there, or nothing that can be read.
    """
    written = str(location)
    if written.startswith(HUB):
        name, _, config = written[len(HUB) :].partition(":")
        if not name:
            raise DataError(f"expected hub:NAME or hub:NAME:CONFIG, got {written}")
        return _of_dataset(load_hub(name, config or None, written), written, written)
    path = Path(location)
    recorded = os.path.abspath(path)  # not resolved: a link may be moved on purpose
    if os.path.isdir(path):
        return _of_dataset(load_saved(path, written), written, recorded)
    require_file(path)
    return Location(shown=written, recorded=recorded, splits=(), open_table=_file_opener(path, written))


def require_file(path: Path) -> None:
    """Raise `DataError` unless there is a file."""
    if not os.path.exists(path):  # unlike Path.exists, never raises
        raise DataError(f"expected a file, got {path}, which is not there")


def _file_opener(path: Path, written: str) -> Callable[[str, Faults], Table]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return lambda split, faults: read_parquet(path, written)
    if suffix in _LINE_READERS:
        return lambda split, faults: _LINE_READERS[suffix](path, faults)
    raise DataError(
        f"expected a file that ends in {', '.join(_LINE_READERS)} or .parquet, a directory written by "
        f"save_to_disk, or hub:NAME[:CONFIG], got {written}"
    )


def _of_dataset(dataset: datasets.Dataset | datasets.DatasetDict, written: str, recorded: str) -> Location:
    splits: Sequence[str] = tuple(dataset) if isinstance(dataset, dict) else ()

    def open_table(split: str, faults: Faults) -> Table:
        if not splits:
            return dataset_table(dataset, written)
        name = next((name for name in _SPLIT_NAMES[split] if name in splits), None)
        if name is None:
            raise DataError(f"{written} has no {split} split; its splits are {listed(list(splits))}")
        return dataset_table(dataset[name], f"{written} [{name}]")

    return Location(shown=written, recorded=recorded, splits=tuple(splits), open_table=open_table)
