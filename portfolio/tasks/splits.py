"""A split, and rows held out of it: stratified, never parting equal texts, the same on every machine.

The order in which rows are drawn is that of SHA-256 over seed, purpose and text. So it depends neither on the order of
the file nor on a library's random generator, and most rows stay where they were when a file grows.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Split:
    """Labelled rows in the order of their file."""

    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None  # second texts; None for a task of single texts
    labels: tuple[str, ...]
    beside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # other columns, where they were asked for

    def __post_init__(self) -> None:
        columns = [self.texts, self.labels, *(() if self.pairs is None else (self.pairs,)), *self.beside.values()]
        lengths = {len(column) for column in columns}
        assert len(lengths) == 1, f"texts, pairs and labels differ in number: {lengths}"

    def __len__(self) -> int:
        return len(self.texts)

    def contents(self) -> list[tuple[str, str | None]]:
        """Text and pair of each row."""
        return list(zip(self.texts, self.pairs or (None,) * len(self), strict=True))

    def digest(self) -> str:
        """SHA-256 over all rows in order: text, pair, label."""
        hashed = hashlib.sha256()
        for (text, pair), label in zip(self.contents(), self.labels, strict=True):
            hashed.update(json.dumps([text, pair, label]).encode() + b"\n")
        return hashed.hexdigest()

    def select(self, rows: Sequence[int]) -> Split:
        """These rows, by number."""
        return Split(
            texts=tuple(self.texts[row] for row in rows),
            pairs=None if self.pairs is None else tuple(self.pairs[row] for row in rows),
            labels=tuple(self.labels[row] for row in rows),
            beside={name: tuple(column[row] for row in rows) for name, column in self.beside.items()},
        )


def hold_out(split: Split, rows: int, seed: int, purpose: str) -> tuple[Split, Split]:
    """What stays, and about `rows` rows held out of it; both in the order of the file.

    Each class gives its share, to within a row, and keeps at least one row; what a class of one row cannot give, others
    give. Rows of equal text (and pair) are held out together or not at all, and not at all where their labels differ.
    Where these rules leave too little to choose from, fewer rows are held out, at worst none.
    """
    order = _Order(seed, purpose)
    left = _quotas(Counter(split.labels), rows, order)
    held: set[int] = set()
    for label, group in _groups(split, order):
        if len(group) <= left[label]:
            left[label] -= len(group)
            held.update(group)
    stays = [row for row in range(len(split)) if row not in held]
    return split.select(stays), split.select(sorted(held))


def count_repeats(split: Split, train: Split) -> int:
    """How many rows of `split` have the text (and pair) of a row of `train`."""
    known = set(train.contents())
    return sum(content in known for content in split.contents())


class _Order:
    """A fixed shuffle: keys to sort by."""

    def __init__(self, seed: int, purpose: str) -> None:
        self._salt = f"{seed} {purpose} "

    def key(self, *content: str | None) -> bytes:
        return hashlib.sha256((self._salt + json.dumps(content)).encode()).digest()


def _quotas(sizes: Mapping[str, int], total: int, order: _Order) -> dict[str, int]:
    """How many rows of each class to hold out: its share rounded down, the rest to the largest remainders."""
    rows = sum(sizes.values())
    quotas = {label: min(total * size // rows, size - 1) for label, size in sizes.items()}
    while missing := total - sum(quotas.values()):
        willing = [label for label, size in sizes.items() if quotas[label] < size - 1]
        if not willing:
            break
        willing.sort(key=lambda label: (quotas[label] * rows - total * sizes[label], order.key(label)))
        for label in willing[:missing]:
            quotas[label] += 1
    return quotas


def _groups(split: Split, order: _Order) -> list[tuple[str, list[int]]]:
    """Rows of equal content and one label, with that label, shuffled."""
    rows: defaultdict[tuple[str, str | None], list[int]] = defaultdict(list)
    for row, content in enumerate(split.contents()):
        rows[content].append(row)
    agreeing = [content for content, group in rows.items() if len({split.labels[row] for row in group}) == 1]
    agreeing.sort(key=lambda content: order.key(*content))
    return [(split.labels[rows[content][0]], rows[content]) for content in agreeing]
