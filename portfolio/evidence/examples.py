"""Labelled rows with their columns: a version's own test rows, read again from where they came, or those of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from portfolio.engine import Engine
from portfolio.errors import DataError
from portfolio.evidence.misspelling import misspelt
from portfolio.evidence.versions import Version, says
from portfolio.gates.evidence import Examples, Typos
from portfolio.records import Lineage
from portfolio.tasks.columns import NO_PAIR, Columns
from portfolio.tasks.files import read_rows
from portfolio.tasks.locations import HUB, locate
from portfolio.tasks.recipe import read_test_again
from portfolio.tasks.splits import Split

LENGTH, LABEL = "length", "label"  # columns of ours; one of the data that is called so gives way


def own_rows(lineage: Lineage) -> tuple[str, Split]:
    """The test rows that the version was learned with, and where they came from.

    Raises:
        DataError: they are gone or changed.
    """
    split = read_test_again(lineage, beside=True)
    if split is None:
        places = ", ".join(dict.fromkeys(source.path for source in lineage.sources))
        raise DataError(
            f"the test rows of {lineage.ref} can no longer be read as they were when it was trained; "
            f"put back what they were read from: {places}"
        )
    [source] = [one for one in lineage.sources if one.split == "test"]
    held = "" if source.held_out_of is None else f" held out of {source.held_out_of}"
    return f"test rows{held}: {source.path}", split


def rows_of_file(root: Path, place: str, lineage: Lineage) -> tuple[str, Split]:
    """Labelled rows of another place, by the columns of the version's data; a place of several splits gives its test split.

    Args:
        root: what a relative path is relative to.

    Raises:
        DataError: they cannot be read; all faults are named together.
    """
    text, pair, label = lineage.columns
    at = locate(under(root, place))
    columns = Columns(text=text, pair=pair or NO_PAIR, label=label)
    return at.recorded, read_rows(at, "test", columns, {}, beside=True).split


def under(root: Path, place: str) -> str:
    """A relative path as one below `root`; anything else as it is."""
    return place if place.startswith(HUB) else str(root / place)


def look(engine: Engine, source: str, split: Split, version: Version, champion: Version | None) -> Examples:
    """Both run on these rows."""
    encoded = engine.encode(split.texts, split.pairs)
    lengths = tuple(str(len(row.ids)) for row in encoded)
    return Examples(
        expected=split.labels,
        version=says(engine.host, version, encoded, split.labels),
        champion=None if champion is None else says(engine.host, champion, encoded, split.labels),
        columns={**split.beside, LENGTH: lengths, LABEL: split.labels},
        source=source,
        digest=split.digest(),
    )


def look_misspelt(
    engine: Engine, split: Split, version: Version, champion: Version | None, rate: float, seed: int
) -> Typos:
    """Both run on these rows with their texts misspelt."""
    hit = misspelt_rows(split, rate, seed)
    encoded = engine.encode(hit.texts, hit.pairs)
    return Typos(
        version=says(engine.host, version, encoded, hit.labels).right,
        champion=None if champion is None else says(engine.host, champion, encoded, hit.labels).right,
    )


def misspelt_rows(split: Split, rate: float, seed: int) -> Split:
    """The same rows with their texts, and pairs, misspelt; a text of which nothing would be left stays as it is."""

    def hit(texts: Sequence[str]) -> tuple[str, ...]:
        return tuple(misspelt(text, rate, seed).strip() or text for text in texts)

    return replace(split, texts=hit(split.texts), pairs=None if split.pairs is None else hit(split.pairs))
