"""How near a class mean must come to an input, or have been, to change what becomes of it: the input's reach.

Measured in the space of a fit that is kept (kept_space.py), where the other class means stand still. For n class means that
came or went, at squared distances d_Δ², and all that a router looked at, at d_c², each less its noise (mean_noise.py):

    s = Σ_Δ exp(-d_Δ² / 2τ) / Σ_c exp(-d_c² / 2τ)          their share; no margin P₁ - P₂ moves by more than 8 s
    r = together + 2τ log(8 n / slack)                     beyond r, s <= slack / 8

    together   -2τ log Σ_c exp(-d_c² / 2τ)
    slack      the margin, or how far it is from the one below which the second look is asked, if that is less

A mean that comes pushes the farthest out of those looked at, which weighs less than it; of one that goes the same is true of
the next. Within r, or nearer than the nearest class, or than the tasks scored under their own covariance, the input is
looked at again; farther away than all that were looked at, no number changes at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from routing.mean_noise import MeanNoise
from routing.statistics import Float64, FloatArray, Int64
from routing.whitening import Whitening

Bool = npt.NDArray[np.bool_]
Float32 = npt.NDArray[np.float32]

NOTHING = -np.inf  # within this reach comes nothing
_LEAST_SLACK = 2.0**-53  # what is less than this share of a probability is not seen in it
_PRODUCT_ERROR = (
    1e-5  # of a product in float32, by the lengths of its factors: four times what is usual for their width
)
_DISTANCE_ERROR = 2e-3  # of a squared distance, which an index keeps in float32, and of a height


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surroundings:
    """How far from inputs the class means are that a router looked at. Squared distances (N,)."""

    origin: Float64  # of the space, where the router measures
    nearest: Float64
    scored: Float64  # the farthest task scored under a covariance of its own, by its nearest class; or `nearest`
    farthest: Float64  # infinite, where there is none that was not looked at
    together: Float64  # see above
    scope_origin: Float64  # where the in-scope score measures
    scope_nearest: Float64

    def within(self, slack: Float64, temperature: float) -> Float64:
        """(N,): beyond that squared distance one class mean moves no margin by as much as `slack` (N,)."""
        far = self.together + 2 * temperature * np.log(8 / np.maximum(slack, _LEAST_SLACK))
        return np.minimum(self.farthest, np.maximum(far, self.scored))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reach:
    """Of inputs (N,), for the two looks and the two spaces of each: squared, less that of the origin of the space."""

    first: Float64
    first_scope: Float64
    whole: Float64
    whole_scope: Float64

    @classmethod
    def everything(cls, rows: int) -> Reach:
        """Of inputs that are to be looked at again whatever comes or goes."""
        far = np.full(rows, np.inf)
        return cls(first=far, first_scope=far, whole=far, whole_scope=far)

    def select(self, rows: slice | Int64) -> Reach:
        """Of some of the inputs."""
        return Reach(**{name: getattr(self, name)[rows] for name in Reach.__dataclass_fields__})


class Look(Protocol):
    """A router, as far as it matters where it measures."""

    @property
    def whitening(self) -> Whitening:
        """The way into the space of its distances."""

    @property
    def noise(self) -> MeanNoise:
        """What is taken off its distances."""

    @property
    def scope_whitening(self) -> Whitening:
        """The way into that of its in-scope scores."""

    @property
    def temperature(self) -> float:
        """τ"""


class Moved:
    """Class means that came or went, seen by the looks of a cascade."""

    def __init__(self, means: Float64, counts: Int64, first: Look | None, whole: Look) -> None:
        """Args: means: (n, d), one or more, of so many rows (n,)."""
        self._whole = _Seen(means, counts, whole)
        self._first = None if first is None else _Seen(means, counts, first)

    def touches(self, features: FloatArray, reach: Reach) -> Bool:
        """(N,): of inputs (N, d), those that one of the means is within reach of."""
        longest = float(np.sqrt(np.einsum("nd,nd->n", features, features).max(initial=0.0)))
        touched = self._whole.within(features, longest, reach.whole, reach.whole_scope)
        if self._first is not None:
            touched |= self._first.within(features, longest, reach.first, reach.first_scope)
        return touched


class _Seen:
    """|z - w|² - |z|² = |w|² - 2 z·w,   and   z·w = (x - m₀)·(L⁻ᵀ w): one product of the features as they are."""

    def __init__(self, means: Float64, counts: Int64, look: Look) -> None:
        width = len(look.whitening.origin)
        made = [_directions(means[:, :width], whitening) for whitening in (look.whitening, look.scope_whitening)]
        self._directions = np.concatenate([directions for directions, _ in made]).astype(np.float32).T  # (w, 2n)
        (_, offsets), (_, scope_offsets) = made
        self._offsets = np.concatenate([offsets + look.noise.corrections(counts), scope_offsets])  # (2n,)
        self._lengths = np.linalg.norm(self._directions, axis=0)
        self._means = len(means)
        self._width = width
        self._spread = 2 * look.temperature * np.log(len(means))  # each may have one n-th of the share

    def within(self, features: FloatArray, longest: float, reach: Float64, scope_reach: Float64) -> Bool:
        x = np.asarray(features[:, : self._width], dtype=np.float32)
        error = 2 * _PRODUCT_ERROR * longest * self._lengths + _DISTANCE_ERROR
        nearer = self._offsets - 2 * (x @ self._directions).astype(np.float64) - error  # (N, 2n)
        here, in_scope = nearer[:, : self._means].min(axis=1), nearer[:, self._means :].min(axis=1)
        return np.asarray((here <= reach + self._spread) | (in_scope <= scope_reach))


def _directions(means: Float64, whitening: Whitening) -> tuple[Float64, Float64]:
    """L⁻ᵀ w (n, d) for each mean, and |w|² + 2 m₀·(L⁻ᵀ w) (n,)."""
    white = whitening.apply(means)
    directions = white @ whitening.matrix
    return directions, np.einsum("nd,nd->n", white, white) + 2 * directions @ whitening.origin
