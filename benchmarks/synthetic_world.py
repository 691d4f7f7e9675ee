"""Router features of synthetic classes: a common point, and around it tasks, their classes, and the rows of a class.

    x = p + M (s (t + c) + z)        t, c, z standard normal: of the task, of the class, of the row; M lower bidiagonal

M Mᵀ is the within-class covariance, the same for all. Where it is whitened, class means spread with variances that fall
as they do for real classes, and sum to `_SPREAD` in each feature block: with some thousand classes a few percent of the
rows lie nearest to a class of another task. A row of a feature block is of about unit length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portfolio.records import BaseContract
from routing.statistics import Float64

Float32 = npt.NDArray[np.float32]

_NOISE = 0.5  # of a row's squared length in a block, within its class
_SPREAD = 15.0  # of the whitened class means in a block


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class World:
    """What the features of all tasks have in common."""

    feature_width: int  # of a host's features, which heads read
    first_width: int  # of the router's features that the trunk makes
    block_width: int  # of the router's features of one block
    point: Float64  # (d,)
    scale: Float64  # (d,), the diagonal of M; half of it stands below
    spread: Float64  # (d,), s

    @classmethod
    def of(cls, contract: BaseContract, seed: int) -> World:
        chance = np.random.default_rng((seed, 0))
        width = contract.router_width or contract.hidden_size
        blocks = len(contract.feature_blocks)
        fall = np.exp(-np.arange(width) / (width / 10))
        noise = (0.3 + fall) * chance.uniform(0.5, 1.5, size=(blocks, width))
        noise *= _NOISE / noise.sum(axis=1, keepdims=True) / 1.25
        point = chance.normal(size=(blocks, width))
        point *= np.sqrt(1 - _NOISE) / np.linalg.norm(point, axis=1, keepdims=True)
        return cls(
            feature_width=blocks * contract.hidden_size,
            first_width=width * len([block for block in contract.feature_blocks if block <= contract.trunk]),
            block_width=width,
            point=point.ravel(),
            scale=np.sqrt(noise).ravel(),
            spread=np.tile(np.sqrt(_SPREAD * fall / fall.sum() / 2), blocks),
        )

    @property
    def width(self) -> int:
        """d, of the router's features."""
        return len(self.point)

    def means(self, classes: int, chance: np.random.Generator) -> Float64:
        """(C, d), of the classes of one task."""
        white = (chance.normal(size=self.width) + chance.normal(size=(classes, self.width))) * self.spread
        return self.point + self._mixed(white)

    def rows(self, means: Float64, chance: np.random.Generator) -> Float32:
        """(N, d), one of each class whose mean is given."""
        return np.asarray(means + self._mixed(chance.normal(size=means.shape)), dtype=np.float32)

    def scatter(self, degrees: int) -> Float64:
        """(d, d), within the classes of a task of so many rows less classes, as float32 can say it."""
        mixing = self._mixed(np.eye(self.width))
        return np.asarray((mixing.T @ mixing * degrees).astype(np.float32), dtype=np.float64)

    def corner(self, degrees: int) -> Float64:
        """(b, b), the scatter of the first feature block."""
        mixing = self._mixed(np.eye(self.width))[: self.block_width + 1, : self.block_width]
        return np.asarray((mixing.T @ mixing * degrees).astype(np.float32), dtype=np.float64)

    def _mixed(self, white: Float64) -> Float64:
        """(N, d) -> (N, d)"""
        features = white * self.scale
        features[:, 1:] += white[:, :-1] * self.scale[:-1] / 2
        return features
