"""The nearest class means among very many: most of them frozen in a file that is memory-mapped, the rest in memory.

    frozen    inverted lists: k-means puts each mean into one of √F cells; a query looks into its nearest eighth of them
    loose     all are looked at; where there is no frozen part, these are all there is
    removed   never found again; the others keep their numbers

A file of a million means cannot be written again for each task. So a mean that comes joins the loose ones and a frozen
one that goes loses its bit: either costs what the small part costs, and `wants_rebuild` says when it has grown too
large. Sizes and shares were chosen by measurement: docs/decisions/0008-scale.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt

from routing.index_files import Float32, Parts, read_parts, write_parts
from routing.statistics import Float64, Int64

FLAT = 32_768  # means up to which looking at each of them is quick enough
_PROBED_SHARE = 1 / 8  # of the cells that a query looks into
_STALE_SHARE = 0.1  # of the frozen means
_ROUNDS = 10  # of k-means
_MEANS_A_CELL = 40  # that k-means is shown; below 39 faiss warns
_QUERIES_AT_ONCE = 64  # held against all loose means; bounds memory
_DOUBTFUL = 8  # means more that are measured again, as float32 may put them in the wrong order
_LARGEST_SQUARE = float(np.finfo(np.float32).max) / 8  # of a length, so that no squared distance overflows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Nearest:
    """The nearest class means of each query, nearest first."""

    squared_distances: Float64  # (N, k)
    columns: Int64  # (N, k), the numbers of the means


class LargeIndex:
    """Class means about the origin, each with a number that stays. Never changes once made, so threads may share it."""

    def __init__(self, parts: Parts) -> None:
        """For `build` and `open`; call those."""
        self._parts = parts

    @classmethod
    def build(cls, means: npt.NDArray[np.floating], *, seed: int = 0, flat: int = FLAT) -> LargeIndex:
        """Means (K, d), numbered from 0: up to `flat` of them all loose, above that all frozen.

        Raises:
            ValueError: not (K, d), or a mean that is NaN, infinite or beyond float32.
        """
        points = _checked(means, "means")
        frozen = _inverted_lists(points, seed) if len(points) > flat else None
        return cls(
            Parts(
                frozen=frozen,
                frozen_file=None,
                kept=np.ones(0 if frozen is None else len(points), dtype=np.bool_),
                loose=(points if frozen is None else points[:0]).copy(),  # a view would keep all means in memory
                loose_columns=np.arange(len(points) if frozen is None else 0, dtype=np.int64),
                numbered=len(points),
            )
        )

    @classmethod
    def open(cls, directory: Path) -> LargeIndex:
        """The index that was saved there, its frozen part memory-mapped.

        Raises:
            ValueError: there is none, or it is damaged; says what to do.
        """
        return cls(read_parts(directory))

    def save(self, directory: Path) -> None:
        """Make `directory` hold this index, whole or not at all. An index opened there writes its small part only.

        Raises:
            OSError: the directory cannot be written, or is full; what it held can still be opened.
        """
        write_parts(directory, self._parts)

    def __len__(self) -> int:
        """How many means can be found."""
        return int(np.count_nonzero(self._parts.kept)) + len(self._parts.loose)

    @property
    def width(self) -> int:
        return int(self._parts.loose.shape[1])

    @property
    def numbered(self) -> int:
        """The number that the next mean gets."""
        return self._parts.numbered

    @property
    def wants_rebuild(self) -> bool:
        """Whether the loose or the removed means are so many by now that an index built anew would be quicker."""
        frozen = len(self._parts.kept)
        most = frozen * _STALE_SHARE
        removed = frozen - int(np.count_nonzero(self._parts.kept))
        return removed > most or len(self._parts.loose) > (min(FLAT, most) if frozen else FLAT)

    def with_more(self, means: npt.NDArray[np.floating]) -> LargeIndex:
        """An index with these means (M, d) too, numbered on from the last number ever given. ValueError as `build`."""
        points = _checked(means, "means", self.width)
        old = self._parts
        columns = np.arange(old.numbered, old.numbered + len(points))
        more = replace(
            old,
            loose=np.concatenate([old.loose, points]),
            loose_columns=np.concatenate([old.loose_columns, columns]),
            numbered=old.numbered + len(points),
        )
        return LargeIndex(more)

    def without(self, columns: Int64) -> LargeIndex:
        """An index that finds none of these numbers. ValueError for a number that was never given."""
        stays = ~self._mask(columns)  # (numbered,)
        old = self._parts
        loose_stays = stays[old.loose_columns]
        fewer = replace(
            old,
            kept=old.kept & stays[: len(old.kept)],
            loose=old.loose[loose_stays],
            loose_columns=old.loose_columns[loose_stays],
        )
        return LargeIndex(fewer)

    def nearest(self, queries: npt.NDArray[np.floating], k: int, *, among: Int64 | None = None) -> Nearest:
        """The k means nearest to each query (N, d), as few as there are where there are fewer.

        A distance is right to float32, and whatever is named is really there; but of the frozen means the search may
        miss one. The fewer frozen means are asked for, the more cells are looked into.

        Args:
            among: numbers of means, each once; no other is found. All by default.

        Raises:
            ValueError: queries that are not (N, d), or NaN, infinite or beyond float32; k below 1; a number that was
                never given; a damaged index.
        """
        points = _checked(queries, "queries", self.width)
        if k < 1:
            raise ValueError(f"k must be 1 or more, got {k}")
        asked = None if among is None else self._mask(among)
        parts = [self._among_frozen(points, k, asked), self._among_loose(points, k, asked)]
        distances = np.concatenate([part.squared_distances for part in parts], axis=1)
        columns = np.concatenate([part.columns for part in parts], axis=1)
        order = np.argsort(distances, axis=1, kind="stable")[:, :k]
        return Nearest(
            squared_distances=np.take_along_axis(distances, order, axis=1),
            columns=np.take_along_axis(columns, order, axis=1),
        )

    def _mask(self, columns: Int64) -> npt.NDArray[np.bool_]:
        """(numbered,), True for these."""
        numbered = self._parts.numbered
        if len(columns) and not (columns.min() >= 0 and columns.max() < numbered):
            raise ValueError(
                f"expected numbers of means from 0 to {numbered - 1}, got {columns.min()} to {columns.max()}"
            )
        mask = np.zeros(numbered, dtype=np.bool_)
        mask[columns] = True
        return mask

    def _among_loose(self, points: Float32, k: int, asked: npt.NDArray[np.bool_] | None) -> Nearest:
        loose, columns = self._parts.loose, self._parts.loose_columns
        if asked is not None:
            loose, columns = loose[asked[columns]], columns[asked[columns]]
        if min(k, len(loose)) == 0:
            return _nothing(len(points))
        norms = self._squared_norms if asked is None else _squared_norms(loose)
        batches = range(0, max(1, len(points)), _QUERIES_AT_ONCE)
        found = [_nearest_of_all(points[start : start + _QUERIES_AT_ONCE], loose, norms, k) for start in batches]
        return Nearest(
            squared_distances=np.concatenate([distances for distances, _ in found]),
            columns=columns[np.concatenate([rows for _, rows in found])],
        )

    @cached_property
    def _squared_norms(self) -> Float32:
        """(L,), of the loose means."""
        return _squared_norms(self._parts.loose)

    def _among_frozen(self, points: Float32, k: int, asked: npt.NDArray[np.bool_] | None) -> Nearest:
        frozen, kept = self._parts.frozen, self._parts.kept
        share = 1.0 if asked is None else np.count_nonzero(kept & asked[: len(kept)]) / max(1, len(kept))
        asked = kept if asked is None else kept & asked[: len(kept)]
        there = int(np.count_nonzero(asked))
        wanted = min(k, there)
        if frozen is None or wanted == 0:
            return _nothing(len(points))
        cells = int(frozen.nlist)
        probes = min(cells, math.ceil(cells * _PROBED_SHARE / share))
        distances, columns = _search(frozen, points, wanted, asked, probes)
        short = np.flatnonzero((columns < 0).any(axis=1))  # faiss fills up with row -1 where its cells hold too few
        if len(short):
            distances[short], columns[short] = _search(frozen, points[short], wanted, asked, cells)
        if columns.size and not (columns.min() >= 0 and columns.max() < len(asked)):
            raise ValueError("expected the number of a mean, got none from faiss: the index is damaged, build it again")
        return Nearest(squared_distances=distances.astype(np.float64), columns=columns)


def _checked(vectors: npt.NDArray[np.floating], what: str, width: int | None = None) -> Float32:
    """The same (N, d) in float32; faiss answers row -1 to a NaN, to infinity, and where a distance overflows."""
    if vectors.ndim != 2 or vectors.shape[1] != (width or vectors.shape[1]) or vectors.shape[1] == 0:
        raise ValueError(f"expected {what} (N, {width or 'd'}), got {vectors.shape}")
    squares = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
    fit = squares < _LARGEST_SQUARE  # False for NaN
    if not fit.all():
        row = int(fit.argmin())
        raise ValueError(
            f"expected finite {what} of squared length below {_LARGEST_SQUARE:.1e}, got {squares[row]} in row {row}; "
            "leave that row out, or see what made it"
        )
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _inverted_lists(points: Float32, seed: int) -> faiss.IndexIVFFlat:
    width = points.shape[1]
    cells = round(math.sqrt(len(points)))
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(width), width, cells, faiss.METRIC_L2)
    index.cp.niter = _ROUNDS
    index.cp.min_points_per_centroid = 1  # of a few means too, as in tests, without a warning
    index.cp.max_points_per_centroid = _MEANS_A_CELL
    index.cp.seed = seed
    index.train(points)
    index.add(points)
    return index


def _search(
    frozen: faiss.IndexIVFFlat, points: Float32, k: int, asked: npt.NDArray[np.bool_], probes: int
) -> tuple[Float32, Int64]:
    parameters = faiss.SearchParametersIVF()
    parameters.nprobe = probes  # an argument, not a setting of the index, which threads share
    bits = np.packbits(asked, bitorder="little")
    selector = faiss.IDSelectorBitmap(
        len(bits), faiss.swig_ptr(bits)
    )  # both have a name of their own: faiss does not keep them alive
    if not asked.all():
        parameters.sel = selector
    distances, columns = frozen.search(points, k, params=parameters)
    return distances, columns


def _nearest_of_all(points: Float32, means: Float32, norms: Float32, k: int) -> tuple[Float64, Int64]:
    """Squared distances (N, k) and numbers (N, k) of the k nearest of all means, nearest first.

    |q - m|² = |q|² + |m|² - 2 q·m in float32 says which may be: it loses digits far from the origin, so a few more are
    taken and measured again. In numpy, whose product takes a third to a half of the time of faiss's.
    """
    wanted, taken = min(k, len(means)), min(k + _DOUBTFUL, len(means))
    rows = np.argpartition(norms - 2 * (points @ means.T), taken - 1, axis=1)[:, :taken]
    rows.sort(axis=1)  # of equals the first
    distances = _squared_distances(points, means, rows)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :wanted]
    return np.take_along_axis(distances, nearest, axis=1), np.take_along_axis(rows, nearest, axis=1)


def _squared_norms(means: Float32) -> Float32:
    return np.asarray(np.einsum("kd,kd->k", means, means))


def _squared_distances(points: Float32, means: Float32, rows: Int64) -> Float64:
    """(N, k), from the differences"""
    made = np.empty(rows.shape)
    for number, (point, some) in enumerate(zip(points, rows, strict=True)):
        differences = means[some] - point.astype(np.float64)
        np.einsum("kd,kd->k", differences, differences, out=made[number])
    return made


def _nothing(queries: int) -> Nearest:
    return Nearest(squared_distances=np.zeros((queries, 0)), columns=np.zeros((queries, 0), dtype=np.int64))
