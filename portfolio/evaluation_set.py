"""What is kept of a task's validation and test rows, as a blob. No text is in it."""

from __future__ import annotations

import json
import mmap
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from portfolio.errors import DamagedBlob

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvaluationSet:
    """What is kept of a task's validation and test rows."""

    validation_features: Float32  # (V, router features)
    test_features: Float32  # (N, router features)
    test_labels: Int64  # (N,), numbers of the task's labels, or UNKNOWN_LABEL
    test_predictions: Int64  # (N,), of the task's own adapter
    baseline: float  # accuracy of always saying the most frequent label of train

    def to_bytes(self) -> bytes:
        """Safetensors; equal sets give equal bytes."""
        return save(
            {
                "validation_features": self.validation_features,
                "test_features": self.test_features,
                "test_labels": self.test_labels,
                "test_predictions": self.test_predictions,
                "baseline": np.array([self.baseline], dtype=np.float64),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> EvaluationSet:
        """What `to_bytes` wrote.

        Raises:
            DamagedBlob: the bytes are anything else.
        """
        try:
            tensors = load(data)
            baseline = float(tensors.pop("baseline")[0])
            return cls(**tensors, baseline=baseline)
        except (SafetensorError, KeyError, TypeError, IndexError) as error:
            raise DamagedBlob(f"expected a task's evaluation set, got bytes that are none: {error}") from error


def mapped_test_features(data: mmap.mmap) -> Float32:
    """The (N, router features) of a stored set that is memory-mapped: nothing else of it is read, no digest checked.

    Raises:
        DamagedBlob: the file is no such set, or too short.
    """
    try:
        length = int.from_bytes(data[:8], "little")
        entry = json.loads(data[8 : 8 + length])["test_features"]
        rows, width = entry["shape"]
        start = 8 + length + entry["data_offsets"][0]
        return np.frombuffer(data, dtype="<f4", count=rows * width, offset=start).reshape(rows, width)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedBlob(f"expected a task's evaluation set, got bytes that are none: {error}") from error
