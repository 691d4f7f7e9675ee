"""The space of a router of very many class means: fitted once, and kept while tasks come and go.

    z = L⁻¹ (x - m₀)        L, m₀ and the background of scope.py: those of the moment of the fit

The class means of a task that comes are whitened by that L⁻¹ and join the indexes; those of a task that goes are taken out.
What is kept is a cached approximation of what the sums say now; they stay exact, and a fit made anew does not depend on
the order in which tasks came. How good it is and what it saves, in numbers: docs/decisions/0008-scale.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from routing.large_index import FLAT, LargeIndex
from routing.mean_noise import MeanNoise
from routing.neighbours import NEAREST, Neighbours, nearest_corrected
from routing.scope import SHRINKAGE, ManyMeans, Scope
from routing.statistics import Centroids, Float64, Int64
from routing.whitening import Covariance, Whitening

STALE_SHARE = 0.1  # of the rows fitted to, that may come and go before the fit is made anew
_MEANS_AT_ONCE = 8192  # whitened; bounds the memory in float64

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """What stays as it is while tasks come and go."""

    rows: int  # of all tasks then
    classes: int
    shrinkage: float
    whitening: Whitening
    scope_whitening: Whitening  # of the same origin
    background: ManyMeans
    noises: Mapping[int, MeanNoise]  # by the width of a look

    @property
    def digest(self) -> str:
        """The same for fits that measure the same."""
        hashed = hashlib.sha256()
        for array in (self.whitening.origin, self.whitening.matrix, self.background.whitening):
            hashed.update(np.ascontiguousarray(array).data)
        for width, noise in sorted(self.noises.items()):
            hashed.update(np.array([width, noise.variance, noise.largest], dtype=np.float64).data)
        return hashed.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A task, and where its class means stand in the indexes."""

    name: str
    mark: str  # says that the class means are the same, such as a digest of them
    rows: int
    classes: int
    first: int  # the number of its first class mean; the others follow


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """The class means as so many leading features show them."""

    classes: LargeIndex  # in the space of the router, lifted by their noise
    in_scope: LargeIndex  # in that of the in-scope score

    @property
    def indexes(self) -> tuple[LargeIndex, LargeIndex]:
        return self.classes, self.in_scope


class KeptSpace:
    """A fit, and the tasks that are there now. Never changes once it is made."""

    is_kept = True

    def __init__(
        self,
        fit: Fit,
        placed: Sequence[Placed],
        looks: Mapping[int, Look],
        centroids: Mapping[str, Centroids],
        width: int | None = None,
    ) -> None:
        """
        Args:
            placed: the tasks, in the router's order.
            looks: by their width.
            centroids: of at least those tasks; asked only for what the indexes cannot say.
            width: of the look that this is; by default all features.
        """
        whole = len(fit.whitening.origin)
        self.fit = fit
        self.placed = tuple(placed)
        self.looks = looks
        self.width = whole if width is None else width
        if self.width not in looks:
            raise ValueError(
                f"expected a look at one of {sorted(looks)} features, got {width}; fit it for that one, too"
            )
        self.shrinkage = fit.shrinkage
        self.sizes = tuple(one.classes for one in placed)
        self._centroids = centroids
        is_whole = self.width == whole
        self.whitening = fit.whitening if is_whole else fit.whitening.leading(self.width)
        numbers, look = _numbers(self.placed), looks[self.width]
        self.noise = fit.noises[self.width]
        self.index = KeptClasses(look.classes, numbers, self.noise)
        self.scope = Scope(
            whitening=fit.scope_whitening if is_whole else fit.scope_whitening.leading(self.width),
            index=KeptClasses(look.in_scope, numbers),
            background=fit.background if is_whole else fit.background.leading(self.width),
        )

    @property
    def means(self) -> Float64:
        """(K, d), of the classes, as features; read for this call."""
        return np.concatenate([self._centroids[one.name].means[:, : self.width] for one in self.placed])

    @property
    def white_means(self) -> _WhitenedWhenAsked:
        return _WhitenedWhenAsked(self.whitening, self.placed, self._centroids)

    @property
    def fit_digest(self) -> str:
        return self.fit.digest

    def shrunk(self, share: float) -> KeptSpace:
        if share != self.shrinkage:
            raise ValueError(
                f"expected the shrinkage {self.shrinkage} of the fit that is kept, got {share}; fit it anew"
            )
        return self

    def leading(self, width: int) -> KeptSpace:
        return KeptSpace(self.fit, self.placed, self.looks, self._centroids, width)

    def serves(self, marks: Mapping[str, str], rows: int) -> bool:
        """Whether so few rows came and went since the fit that it may be kept for these tasks, of so many rows in all."""
        stayed = sum(
            one.rows for one in self.placed if one.first < self.fit.classes and marks.get(one.name) == one.mark
        )
        return (self.fit.rows - stayed) + (rows - stayed) <= STALE_SHARE * self.fit.rows

    @property
    def wants_rebuild(self) -> bool:
        """Whether indexes built anew would be quicker to search."""
        return any(index.wants_rebuild for look in self.looks.values() for index in look.indexes)

    def changed(self, marks: Mapping[str, str], centroids: Mapping[str, Centroids]) -> KeptSpace:
        """The space of these tasks, in this order, under the same fit.

        Args:
            marks: of every task.
            centroids: of every task; only those of tasks that are new here are asked for now.
        """
        before = {one.name: one for one in self.placed}
        staying = {name: before[name] for name, mark in marks.items() if name in before and before[name].mark == mark}
        looks = self.looks
        gone = _numbers([one for one in self.placed if one.name not in staying])
        if len(gone):
            looks = {width: _without(look, gone) for width, look in looks.items()}
        came = [name for name in marks if name not in staying]
        if came:
            first = next(iter(looks.values())).classes.numbered
            staying |= {one.name: one for one in _placed(came, marks, centroids, first)}
            means = np.concatenate([centroids[name].means for name in came])
            white = self.fit.whitening.apply(means), self.fit.scope_whitening.apply(means)
            counts = np.concatenate([centroids[name].counts for name in came])
            noises = self.fit.noises
            looks = {width: _with_more(look, *white, counts, width, noises[width]) for width, look in looks.items()}
        return KeptSpace(self.fit, [staying[name] for name in marks], looks, centroids)


class KeptClasses:
    """Class means in a large index, by the numbers that the router gives them now."""

    def __init__(self, index: LargeIndex, numbers: Int64, noise: MeanNoise | None = None) -> None:
        """
        Args:
            numbers: (K,), what the index calls each of them; it holds no others.
            noise: that they are lifted by; None: by none.
        """
        self._index = index
        self._noise = noise
        self._numbers = numbers
        self._column = np.full(index.numbered, -1)  # of each number
        self._column[numbers] = np.arange(len(numbers))

    def look(self, queries: Float64, columns: Int64, nearest: int = NEAREST) -> Neighbours:
        everything = len(columns) == len(self._numbers)
        among = None if everything else self._numbers[columns]
        found = nearest_corrected(self._index, self._noise, queries, nearest, among)
        return Neighbours(squared_distances=found.squared_distances, columns=self._column[found.columns], are_all=False)


class _WhitenedWhenAsked:
    """Whitened class means, of which few are ever asked for: only their tasks' centroids are read."""

    def __init__(self, whitening: Whitening, placed: Sequence[Placed], centroids: Mapping[str, Centroids]) -> None:
        self._whitening = whitening
        self._names = [one.name for one in placed]
        self._starts = np.cumsum([0, *(one.classes for one in placed)])
        self._centroids = centroids

    def __getitem__(self, columns_and_features: tuple[Int64, slice], /) -> Float64:
        columns, features = columns_and_features
        tasks = np.searchsorted(self._starts, columns, side="right") - 1
        means = {task: self._centroids[self._names[task]].means[:, features] for task in np.unique(tasks)}
        some = np.stack([means[task][column - self._starts[task]] for task, column in zip(tasks, columns, strict=True)])
        return self._whitening.leading(some.shape[1]).apply(some)


def fit_space(
    covariance: Covariance,
    centroids: Mapping[str, Centroids],
    marks: Mapping[str, str],
    *,
    shrinkage: float,
    widths: Sequence[int],
    flat: int = FLAT,
) -> KeptSpace:
    """A space fitted to these tasks.

    Args:
        covariance: of exactly these tasks.
        centroids: of every task, each asked for twice.
        marks: of every task, in the router's order.
        widths: of the looks, all features among them.
        flat: up to how many class means the indexes look at all of them.
    """
    by_name = sorted(marks)  # so that the cells are the same whatever the order
    placed = _placed(by_name, marks, centroids, 0)
    rows, classes = sum(one.rows for one in placed), sum(one.classes for one in placed)
    whitening, scope_whitening = covariance.whitening(shrinkage), covariance.whitening(SHRINKAGE)
    width = len(covariance.origin)
    white, scope_white = (np.empty((classes, width), dtype=np.float32) for _ in range(2))
    between = np.zeros((width, width))
    every_count = np.empty(classes, dtype=np.int64)
    start = 0
    for means, counts in _batches(centroids, by_name):
        here = slice(start, start + len(means))
        white[here], every_count[here] = whitening.apply(means), counts
        in_scope = scope_whitening.apply(means)
        scope_white[here] = in_scope
        spread = in_scope * np.sqrt(counts / rows)[:, None]
        between += spread.T @ spread
        start = here.stop
    noises = {
        leading: MeanNoise.of(covariance.leading(leading), whitening.leading(leading), shrinkage, every_count)
        for leading in widths
    }
    looks = {
        leading: Look(
            classes=LargeIndex.build(noises[leading].lifted(white[:, :leading], every_count), flat=flat),
            in_scope=LargeIndex.build(scope_white[:, :leading], flat=flat),
        )
        for leading in widths
    }
    fit = Fit(
        rows=rows,
        classes=classes,
        shrinkage=shrinkage,
        whitening=whitening,
        scope_whitening=scope_whitening,
        background=ManyMeans.of(between),
        noises=noises,
    )
    place = {one.name: one for one in placed}
    return KeptSpace(fit, [place[name] for name in marks], looks, centroids)


def _placed(
    names: Sequence[str], marks: Mapping[str, str], centroids: Mapping[str, Centroids], first: int
) -> list[Placed]:
    """These tasks, their class means numbered one after the other."""
    placed = []
    for name in names:
        counts = centroids[name].counts
        placed.append(Placed(name=name, mark=marks[name], rows=int(counts.sum()), classes=len(counts), first=first))
        first += len(counts)
    return placed


def _batches(centroids: Mapping[str, Centroids], names: Sequence[str]) -> Iterator[tuple[Float64, Int64]]:
    """The class means (C, d) of these tasks and their counts (C,), in order, so many at once."""
    some: list[Centroids] = []
    for number, name in enumerate(names, start=1):
        some.append(centroids[name])
        if sum(len(one.counts) for one in some) >= _MEANS_AT_ONCE or number == len(names):
            yield np.concatenate([one.means for one in some]), np.concatenate([one.counts for one in some])
            some = []


def _numbers(placed: Sequence[Placed]) -> Int64:
    """(K,), what the indexes call the class means of these tasks."""
    sizes = np.array([one.classes for one in placed], dtype=np.int64)
    firsts = np.array([one.first for one in placed], dtype=np.int64)
    return np.asarray(np.arange(sizes.sum()) + np.repeat(firsts - (np.cumsum(sizes) - sizes), sizes))


def _without(look: Look, numbers: Int64) -> Look:
    return replace(look, classes=look.classes.without(numbers), in_scope=look.in_scope.without(numbers))


def _with_more(look: Look, white: Float64, scope_white: Float64, counts: Int64, width: int, noise: MeanNoise) -> Look:
    return replace(
        look,
        classes=look.classes.with_more(noise.lifted(white[:, :width], counts)),
        in_scope=look.in_scope.with_more(scope_white[:, :width]),
    )
