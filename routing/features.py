"""One row of features per input from the pooled states of several blocks of a frozen base.

    x = [ h_1 / |h_1| , … , h_B / |h_B| ]        h_b: the pooled state after block b

Blocks differ in scale, and so do inputs by their length; at unit length every block and every input counts alike.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from routing.statistics import FloatArray


def join_blocks(states: FloatArray) -> npt.NDArray[np.float32]:
    """(N, B, d) pooled states -> (N, B * d), each block at unit length; a block of zeros stays zero.

    Raises:
        ValueError: states that are not (N, B, d), or a row of them that is not finite.
    """
    if states.ndim != 3:
        raise ValueError(f"expected pooled states (N, blocks, d), got {states.shape}")
    finite = np.isfinite(states).all(axis=(1, 2))
    if not finite.all():
        raise ValueError(f"expected finite pooled states, got NaN or infinity in row {int(finite.argmin())}")
    lengths = np.linalg.norm(states.astype(np.float64), axis=2, keepdims=True)  # float64: squares may overflow float32
    unit = states / np.where(lengths > 0, lengths, 1.0)
    return unit.reshape(len(states), states.shape[1] * states.shape[2]).astype(np.float32)
