"""Safetensors of unknown origin: looked at before they are loaded, and numbers that are finite.

The form: 8 bytes with the length of the header, the header (JSON), then the numbers of one tensor after another. Source:
https://huggingface.co/docs/safetensors, "Format".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load

from portfolio.errors import Untrusted
from portfolio.exchange.strict import keys_of, strict_json

MOST_HEADER_BYTES = 4 << 20  # an adapter of 100 blocks with 7 linear layers each takes a tenth of it
DTYPES = ("F64", "F32", "F16", "I64", "I32", "I16", "I8", "U8", "BOOL")  # that numpy can hold
_METADATA = "__metadata__"

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tensors:
    """What a file holds."""

    metadata: Mapping[str, str]
    arrays: Mapping[str, Array]


def read_tensors(data: bytes, what: str) -> Tensors:
    """The tensors of a file.

    Raises:
        Untrusted: the bytes are anything else, or a number in them is NaN or infinite; `what` says what was read.
    """
    metadata = read_header(data, what)
    try:
        arrays = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise Untrusted(f"{what} cannot be read as safetensors: {error}") from error
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise Untrusted(f"{what}: tensor {name!r} holds NaN or infinity; every number of an adapter must be finite")
    return Tensors(metadata=metadata, arrays=arrays)


def read_header(data: bytes, what: str) -> dict[str, str]:
    """The metadata of a file whose header is no longer than any that is needed.

    Raises:
        Untrusted: the header is longer, or none.
    """
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, MOST_HEADER_BYTES):
        raise Untrusted(
            f"{what} is no safetensors file: it declares a header of {length:,} bytes, expected at most "
            f"{max(0, min(len(data) - 8, MOST_HEADER_BYTES)):,}"
        )
    header = strict_json(data[8 : 8 + length], f"the header of {what}")
    if not isinstance(header, dict):
        raise Untrusted(f"the header of {what} is no JSON object")
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Untrusted(f"the header of {what} holds metadata that are no texts")
    for name, fields in header.items():
        described = keys_of(fields, ("dtype", "shape", "data_offsets"), f"tensor {ascii(name)[:100]} of {what}")
        if described["dtype"] not in DTYPES:
            raise Untrusted(
                f"tensor {ascii(name)[:100]} of {what} is of {ascii(described['dtype'])[:40]}, not one of {', '.join(DTYPES)}"
            )
    return metadata
