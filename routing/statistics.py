"""What the router keeps of a task, all of it sums over examples, so that order never matters and removal is exact.

per class c:   n_c = |c|,   m_c = (1 / n_c) Σ_{x in c} x
per task:      S = Σ_c Σ_{x in c} (x - m_c)(x - m_c)ᵀ                  within-class scatter
over tasks:    Σ S,   Σ x                                               running totals
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

FloatArray = npt.NDArray[np.floating]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Centroids:
    """The classes of one task: how many examples each has, and their mean."""

    counts: Int64  # (C,), each 1 or more
    means: Float64  # (C, d)
    corner: Float64 | None = None  # (b, b), of the scatter: its first b features, for own.py

    def __post_init__(self) -> None:
        if self.means.ndim != 2 or self.counts.shape != (len(self.means),) or len(self.means) == 0:
            raise ValueError(
                f"expected counts (C,) and means (C, d) of one class or more, "
                f"got {self.counts.shape} and {self.means.shape}"
            )
        if self.counts.min() < 1:
            raise ValueError(f"class {int(self.counts.argmin())} has no example; every class needs one or more")
        if not np.isfinite(self.means).all():
            raise ValueError("class means hold NaN or infinite numbers; summarise finite features only")

    @property
    def width(self) -> int:
        return int(self.means.shape[1])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Totals:
    """Sums over every task of a portfolio. `add` and `subtract` give new totals and change nothing."""

    rows: int
    classes: int
    feature_sum: Float64  # (d,)
    within: Float64  # (d, d)

    @classmethod
    def zero(cls, width: int) -> Totals:
        """The totals of no task."""
        return cls(rows=0, classes=0, feature_sum=np.zeros(width), within=np.zeros((width, width)))

    @property
    def width(self) -> int:
        return len(self.feature_sum)

    def add(self, centroids: Centroids, scatter: Float64) -> Totals:
        """These totals and one more task.

        Raises:
            ValueError: the task has features of another width.
        """
        return self._moved(centroids, scatter, sign=1)

    def subtract(self, centroids: Centroids, scatter: Float64) -> Totals:
        """These totals without a task that was added before, whatever came after it.

        Raises:
            ValueError: another width, or more rows or classes than there are.
        """
        rows, classes = int(centroids.counts.sum()), len(centroids.counts)
        if rows > self.rows or classes > self.classes:
            raise ValueError(
                f"expected a task that was added before, got one of {rows} rows and {classes} classes "
                f"where the totals hold {self.rows} and {self.classes}"
            )
        return Totals.zero(self.width) if rows == self.rows else self._moved(centroids, scatter, sign=-1)

    def _moved(self, centroids: Centroids, scatter: Float64, *, sign: int) -> Totals:
        if centroids.width != self.width or scatter.shape != self.within.shape:
            raise ValueError(
                f"expected features of width {self.width}, "
                f"got means of width {centroids.width} and a scatter of {scatter.shape}"
            )
        feature_sum = (centroids.means * centroids.counts[:, None]).sum(axis=0)
        return Totals(
            rows=self.rows + sign * int(centroids.counts.sum()),
            classes=self.classes + sign * len(centroids.counts),
            feature_sum=self.feature_sum + sign * feature_sum,
            within=self.within + sign * scatter,
        )


def summarise(
    features: FloatArray, classes: npt.NDArray[np.integer], n_classes: int, corner: int = 0
) -> tuple[Centroids, Float64]:
    """Counts and means per class, and the within-class scatter (d, d), all in float64.

    The scatter is rounded to what float32 can say, so that it is stored in half the bytes and still subtracted exactly.

    Args:
        features: (N, d).
        classes: (N,), from 0 to n_classes - 1; every class occurs.
        corner: of how many leading features the centroids keep the scatter, too.

    Raises:
        ValueError: a wrong shape, a NaN or infinite feature, a class that does not occur.
    """
    check_features(features)
    if classes.shape != (len(features),):
        raise ValueError(f"expected one class for each of {len(features)} rows, got an array of {classes.shape}")
    if len(classes) and not (classes.min() >= 0 and classes.max() < n_classes):
        raise ValueError(f"expected classes from 0 to {n_classes - 1}, got {classes.min()} to {classes.max()}")
    centred = features.astype(np.float64)  # a copy: the class means are taken off below
    means = np.zeros((n_classes, centred.shape[1]))
    for number in range(n_classes):
        members = np.flatnonzero(classes == number)
        if len(members):
            means[number] = centred[members].mean(axis=0)
            centred[members] -= means[number]
    counts = np.bincount(classes, minlength=n_classes).astype(np.int64)
    scatter = _symmetric(centred.T @ centred).astype(np.float32).astype(np.float64)
    kept = scatter[:corner, :corner].copy() if corner else None
    return Centroids(counts=counts, means=means, corner=kept), scatter


def check_features(features: FloatArray, width: int | None = None) -> None:
    """Refuse features that are not (N, d) finite floating-point numbers; faiss answers row -1 to a NaN query.

    Raises:
        ValueError: names the shape, or the first row that is not finite.
    """
    if features.ndim != 2 or not np.issubdtype(features.dtype, np.floating) or width not in (None, features.shape[1]):
        expected = "d" if width is None else width
        raise ValueError(f"expected (N, {expected}) float32 features, got {features.shape} {features.dtype}")
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        raise ValueError(f"expected finite features, got NaN or infinity in row {int(finite.argmin())}")


def centroids_to_bytes(centroids: Centroids) -> bytes:
    """Safetensors; equal centroids give equal bytes."""
    tensors = {"counts": centroids.counts, "means": np.ascontiguousarray(centroids.means)}
    return save(tensors if centroids.corner is None else {**tensors, "corner": _smallest(_packed(centroids.corner))})


def centroids_from_bytes(data: bytes) -> Centroids:
    """What `centroids_to_bytes` wrote. ValueError if the bytes are anything else."""
    tensors = _load(data, "centroids", {"counts", "means"})
    corner = _unpacked(tensors["corner"]) if "corner" in tensors else None
    return Centroids(counts=tensors["counts"].astype(np.int64), means=tensors["means"], corner=corner)


def scatter_to_bytes(scatter: Float64) -> bytes:
    """Safetensors of the upper triangle of the (d, d) matrix, which is symmetric; as float32 where that loses nothing."""
    return save({"scatter": _smallest(_packed(scatter))})


def scatter_from_bytes(data: bytes) -> Float64:
    """What `scatter_to_bytes` wrote, as (d, d). ValueError if the bytes are anything else."""
    return _unpacked(_load(data, "scatter", {"scatter"})["scatter"])


def features_to_bytes(features: FloatArray) -> bytes:
    """Safetensors of features (N, d), as float32."""
    return save({"features": np.ascontiguousarray(features, dtype=np.float32)})


def features_from_bytes(data: bytes) -> FloatArray:
    """What `features_to_bytes` wrote. ValueError if the bytes are anything else."""
    return _load(data, "features", {"features"})["features"].astype(np.float32)


def totals_to_bytes(totals: Totals) -> bytes:
    """Safetensors; the matrix is kept as its upper triangle."""
    return save(
        {
            "rows_and_classes": np.array([totals.rows, totals.classes], dtype=np.int64),
            "feature_sum": totals.feature_sum,
            "within": _packed(totals.within),
        }
    )


def totals_from_bytes(data: bytes) -> Totals:
    """What `totals_to_bytes` wrote. ValueError if the bytes are anything else."""
    tensors = _load(data, "totals", {"rows_and_classes", "feature_sum", "within"})
    rows, classes = tensors["rows_and_classes"]
    return Totals(
        rows=int(rows),
        classes=int(classes),
        feature_sum=tensors["feature_sum"],
        within=_unpacked(tensors["within"]),
    )


def _symmetric(matrix: Float64) -> Float64:
    """The same matrix without the last-bit differences a product may leave between its two triangles."""
    return np.asarray((matrix + matrix.T) / 2)


def _smallest(numbers: Float64) -> FloatArray:
    """As float32 where that loses nothing."""
    single = numbers.astype(np.float32)
    return single if np.array_equal(single, numbers) else numbers


def _packed(matrix: Float64) -> Float64:
    return np.asarray(matrix[_upper(len(matrix))])


def _unpacked(triangle: Float64) -> Float64:
    width = (int(np.sqrt(8 * len(triangle) + 1)) - 1) // 2
    if triangle.ndim != 1 or width * (width + 1) // 2 != len(triangle):
        raise ValueError(f"expected the d (d + 1) / 2 numbers of an upper triangle, got {triangle.shape}")
    matrix = np.zeros((width, width))
    matrix[_upper(width)] = triangle
    return matrix + np.triu(matrix, 1).T


def _upper(width: int) -> npt.NDArray[np.bool_]:
    return np.triu(np.ones((width, width), dtype=np.bool_))


def _load(data: bytes, what: str, keys: set[str]) -> dict[str, Float64]:
    """The named tensors, all read as float64."""
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise ValueError(f"expected the {what} as safetensors, got {len(data)} bytes that are not: {error}") from error
    if not keys <= set(tensors):
        raise ValueError(f"expected the {what} with {sorted(keys)}, got {sorted(tensors)}")
    return {key: tensor.astype(np.float64) for key, tensor in tensors.items()}
