"""Where the fitted space of a large router is kept between calls and between processes: `cache/router/KEY/`.

Everything there is derived. What is missing, damaged, or fitted to other tasks is made again from the store; a portfolio
that cannot be written is fitted in memory. KEY is the digest of what the space was fitted to, so two processes that fit
the same write the same, and either's will do. What it holds: routing/router_files.py. When it is needed at all:
docs/decisions/0015-growth.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from portfolio.records import TaskRecord
from portfolio.store.store import Store
from routing.kept_space import KeptSpace, fit_space
from routing.large_index import FLAT
from routing.router import covariance_of
from routing.router_files import FORMAT, UNFINISHED, read_space, write_space
from routing.statistics import Centroids, Totals, centroids_from_bytes, totals_to_bytes

CACHE = Path("cache", "router")
MOST_EXACT = 256  # class means; chosen by measurement: docs/decisions/0015-growth.md
KEPT = 2  # directories: the newest, and the one before, which another process may be about to open
_ABANDONED_S = 3600.0  # older than the newest by this, an unfinished directory belongs to nobody any more


def is_large(totals: Totals) -> bool:
    """Whether the router of these tasks is fitted once and kept; up to this many classes it is fitted at each change."""
    return totals.classes > MOST_EXACT


class RouterCache:
    """The spaces that were fitted for one portfolio: the last one in memory, and those on disk."""

    def __init__(self, root: Path, width: int, first_width: int) -> None:
        """
        Args:
            root: of the portfolio.
            width: of all features.
            first_width: of the first look; there is none at no feature, or at all of them.
        """
        self._directory = root / CACHE
        self._widths = (width, first_width) if 0 < first_width < width else (width,)
        self._last: KeptSpace | None = None  # one assignment at a time, so threads need no lock

    def opened(
        self, store: Store, tasks: Sequence[TaskRecord], totals: Totals, shrinkage: float
    ) -> tuple[Mapping[str, Centroids], KeptSpace | None]:
        """The centroids of stored tasks, and their space if they are many. Of those only what no fit holds is read.

        Raises:
            ValueError: a blob that holds no centroids.
            DamagedBlob: one that is missing or changed.
        """
        stored = StoredCentroids(store, tasks)
        if not is_large(totals):
            return dict(stored), None
        marks = {task.name: task.centroids for task in tasks}
        space = self.kept(totals, marks, stored, shrinkage)
        return stored, self.fitted(totals, marks, stored, shrinkage) if space is None else space

    def kept(
        self,
        totals: Totals,
        marks: Mapping[str, str],
        centroids: Mapping[str, Centroids],
        shrinkage: float | None = None,
    ) -> KeptSpace | None:
        """The space of these tasks under a fit from before; None where none is near enough.

        Args:
            marks: by task, in the router's order, the digest of its centroids.
            centroids: by task; only what no fit holds is asked for.
            shrinkage: of the fit; any by default.
        """
        for space in self._candidates():
            if shrinkage in (None, space.shrinkage) and space.serves(marks, totals.rows):
                now = space.changed(marks, centroids)
                if not now.wants_rebuild:
                    self._last = now
                    return now
        return None

    def fitted(
        self, totals: Totals, marks: Mapping[str, str], centroids: Mapping[str, Centroids], shrinkage: float
    ) -> KeptSpace:
        """A space fitted to these tasks; on disk, if that can be written."""
        directory = self._directory / _key(totals, marks, shrinkage, self._widths)
        space = self._read(directory)  # by another process meanwhile
        if space is None:
            shutil.rmtree(directory, ignore_errors=True)  # damaged, if there is anything
            space = fit_space(
                covariance_of(totals), centroids, marks, shrinkage=shrinkage, widths=self._widths, flat=FLAT
            )
            with contextlib.suppress(OSError):  # read-only, or full: it stays in memory
                write_space(directory, space)
                self._clear()
            space = self._read(directory) or space  # mapped, its memory can be taken back
        self._last = space.changed(marks, centroids)
        return self._last

    def _candidates(self) -> Iterator[KeptSpace]:
        if self._last is not None:
            yield self._last
        for directory in self._newest_first():
            space = self._read(directory)
            if space is not None:
                yield space

    def _read(self, directory: Path) -> KeptSpace | None:
        try:
            space = read_space(directory)
        except ValueError:
            return None
        return space if tuple(space.looks) == self._widths else None

    def _newest_first(self) -> list[Path]:
        """The whole directories."""
        found = [one for one in _ages(self._directory) if not one[1].name.startswith(UNFINISHED)]
        return [path for _, path in sorted(found, reverse=True)]

    def _clear(self) -> None:
        """Remove what newer directories stand for. Whoever has a removed file mapped keeps it until they let go."""
        newest_first = self._newest_first()
        ages = _ages(self._directory)
        newest = max((age for age, _ in ages), default=0.0)
        left = [path for age, path in ages if path.name.startswith(UNFINISHED) and newest - age > _ABANDONED_S]
        for path in (*newest_first[KEPT:], *left):
            shutil.rmtree(path, ignore_errors=True)


class StoredCentroids(Mapping[str, Centroids]):
    """The centroids of these tasks by name, in order, each read from its blob whenever it is asked for."""

    def __init__(self, store: Store, tasks: Sequence[TaskRecord]) -> None:
        self._store = store
        self._blobs = {task.name: task.centroids for task in tasks}

    def __getitem__(self, name: str) -> Centroids:
        return centroids_from_bytes(self._store.get(self._blobs[name]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._blobs)

    def __len__(self) -> int:
        return len(self._blobs)


def _ages(directory: Path) -> list[tuple[float, Path]]:
    """What is in a directory, and when it was last changed, in seconds since the epoch."""
    found = []
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            with contextlib.suppress(OSError):
                found.append((path.stat().st_mtime, path))
    return found


def _key(totals: Totals, marks: Mapping[str, str], shrinkage: float, widths: Sequence[int]) -> str:
    sums = hashlib.sha256(totals_to_bytes(totals)).hexdigest()
    fitted_to = [FORMAT, sums, shrinkage, list(widths), sorted(marks.items())]
    return hashlib.sha256(json.dumps(fitted_to).encode()).hexdigest()
