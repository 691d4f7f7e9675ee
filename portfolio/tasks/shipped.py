"""The sequences that ship with the project, found by name in a checkout and in an installed package."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from portfolio.errors import NotFound
from portfolio.tasks.sequences import read_sequence

_PACKAGE = Path(__file__).resolve().parent.parent
FOLDERS = (_PACKAGE / "demo_data", _PACKAGE.parent / "data")  # in an installed package, in a checkout
_WITH_DATA = "sequence.toml"  # in a folder of the sequence's name, beside its examples
_WITHOUT_DATA = "sequences"  # the folder of NAME.toml, whose examples are elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """One sequence that ships with the project."""

    name: str
    path: Path
    tasks: int  # how many
    about: str  # the first comment of its file
    orders: tuple[str, ...]  # names of its orders


def shipped_sequences(folders: Iterable[Path] = FOLDERS) -> tuple[Shipped, ...]:
    """All of them, by name. They are read with no variable set, as each can do without any."""
    return tuple(_shipped(name, path) for name, path in sorted(_paths(folders).items()))


def shipped_path(name: str, folders: Iterable[Path] = FOLDERS) -> Path | None:
    """The file of the shipped sequence of that name; None if there is none."""
    return _paths(folders).get(name)


def find_sequence(name_or_path: str | Path, folders: Iterable[Path] = FOLDERS) -> Path:
    """A sequence's file: that file itself where there is one, else the shipped sequence of that name.

    Raises:
        NotFound: neither is there.
    """
    if os.path.isfile(name_or_path):  # unlike Path.is_file, never raises
        return Path(name_or_path)
    paths = _paths(folders)
    if str(name_or_path) not in paths:
        names = ", ".join(sorted(paths)) or "none, so install the package again"
        raise NotFound(
            f"expected a sequence file or the name of a shipped sequence, got {name_or_path}, which is not there; "
            f"shipped sequences: {names}"
        )
    return paths[str(name_or_path)]


def _paths(folders: Iterable[Path]) -> dict[str, Path]:
    """The file of each name; the first folder that has it counts."""
    paths: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob(f"*/{_WITH_DATA}")):
            paths.setdefault(path.parent.name, path)
        for path in sorted(folder.glob(f"{_WITHOUT_DATA}/*.toml")):
            paths.setdefault(path.stem, path)
    return paths


def _shipped(name: str, path: Path) -> Shipped:
    sequence = read_sequence(path, environment={})
    with path.open(encoding="utf-8") as file:
        about = file.readline().removeprefix("#").strip()
    orders = tuple(order for order, _ in sequence.orders)
    return Shipped(name=name, path=path, tasks=len(sequence.tasks), about=about, orders=orders)
