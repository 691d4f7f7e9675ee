"""Data sets as routing sees them: texts, classes, and the features of one frozen base, kept on disk between runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from portfolio.hosting.encode import encode
from portfolio.hosting.host import Host
from portfolio.hosting.trunk import prepare
from portfolio.tasks.splits import Split, hold_out
from portfolio.tasks.task import TaskData, read_task

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

_FORM = 1  # grows when `prepare` gives other features for the same base and blocks, so that old files are left alone


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Texts with their classes and features."""

    texts: tuple[str, ...]  # a pair is joined by a line break
    classes: Int64  # (N,)
    features: Float32  # (N, d)

    def __len__(self) -> int:
        return len(self.texts)

    def select(self, rows: Int64) -> Rows:
        """These rows, by number."""
        return Rows(
            texts=tuple(self.texts[row] for row in rows), classes=self.classes[rows], features=self.features[rows]
        )

    def last_columns(self, width: int) -> Rows:
        """The same rows with no more than the last `width` columns of their features."""
        return Rows(texts=self.texts, classes=self.classes, features=self.features[:, -width:])


def joined(parts: Sequence[Rows], starts: Sequence[int] | Int64) -> Rows:
    """The rows of all parts, the classes of part i counted from starts[i]."""
    return Rows(
        texts=tuple(text for part in parts for text in part.texts),
        classes=np.concatenate([part.classes + start for part, start in zip(parts, starts, strict=False)]),
        features=np.concatenate([part.features for part in parts]),
    )


class Features:
    """What the frozen base makes of texts, for the router."""

    def __init__(self, host: Host, cache: Path, max_tokens: int) -> None:
        """Args: cache: a directory for what was computed before; made if it is not there."""
        self._host = host
        self._cache = cache
        self._max_tokens = max_tokens
        cache.mkdir(parents=True, exist_ok=True)

    @property
    def trunk_width(self) -> int:
        """How many leading columns the trunk alone decides."""
        return self._host.trunk_feature_width

    @property
    def block_width(self) -> int:
        """How many columns come from each block; those of the last, the base's usual embedding of a text, are at the end."""
        return int(self._host.base.model.config.hidden_size)

    @property
    def upper_share(self) -> float:
        """The share of the base's blocks that lie above the trunk: what a second look at the base costs, in passes."""
        return 1 - self._host.trunk / len(self._host.blocks)

    def of(self, name: str, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Float32:
        """(N, d), from disk if the same base saw the same texts before; `name` is for the reader of the directory."""
        place = self._cache / f"{name}.{self._key(texts, pairs)}.npz"
        if place.exists():
            with np.load(place) as kept:
                return np.asarray(kept["features"], dtype=np.float32)
        encoded = encode(self._host.base.tokenizer, texts, pairs, self._max_tokens)
        features = prepare(self._host, encoded).features.numpy()
        half_written = place.with_suffix(".part.npz")
        np.savez(half_written, features=features)
        half_written.replace(place)
        return features

    def _key(self, texts: Sequence[str], pairs: Sequence[str] | None) -> str:
        host = self._host
        base = [host.base.fingerprint, host.pooling, host.trunk, list(host.feature_blocks), self._max_tokens]
        seen = [_FORM, base, list(texts), None if pairs is None else list(pairs)]
        return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:20]


def read_set(data: Path, name: str) -> TaskData:
    """A data set of the folder `data` as one task; validation rows are held out of train where it has none."""
    given = {split: data / name / f"{split}.jsonl" for split in ("validation", "test")}
    splits = {split: path if path.exists() else None for split, path in given.items()}
    return read_task(name, data / name / "train.jsonl", splits["validation"], splits["test"])


def rows_of(features: Features, task: TaskData, split: str, at_most: int | None = None, seed: int = 0) -> Rows:
    """A split of a task with its features: at most so many rows, each class giving its share."""
    chosen = {"train": task.train, "validation": task.validation, "test": task.test}[split]
    if at_most is not None and len(chosen) > at_most:
        _, chosen = hold_out(chosen, at_most, seed, "benchmark")
    number = {label: index for index, label in enumerate(task.labels)}
    return Rows(
        texts=_whole_texts(chosen),
        classes=np.array([number[label] for label in chosen.labels], dtype=np.int64),
        features=features.of(f"{task.name}.{split}", chosen.texts, chosen.pairs),
    )


def outside_texts(file: Path) -> dict[str, list[str]]:
    """Split -> texts of a JSONL file whose rows name their split."""
    found: dict[str, list[str]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found.setdefault(row["split"], []).append(row["text"])
    return found


def _whole_texts(split: Split) -> tuple[str, ...]:
    return tuple(text if pair is None else f"{text}\n{pair}" for text, pair in split.contents())
