"""The tensors in bytes of safetensors form, over one buffer: a step of an adapter from the disk to the bank.

The form: 8 bytes with the length of the header, the header (JSON), then the numbers of one tensor after another. Its
source: https://huggingface.co/docs/safetensors, "Format". The library copies each tensor by itself and takes half as long
again.
"""

from __future__ import annotations

import json

import torch
from torch import Tensor

_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_METADATA = "__metadata__"


def read_tensors(data: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors by name, and the metadata. The tensors may be written to; `data` stays as it is.

    Raises:
        ValueError: the bytes are none of that form.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    try:
        metadata = header.pop(_METADATA, {})
        buffer = bytearray(data)  # once for all: a tensor over bytes that must not change is warned of
        return {name: _tensor(buffer, start, **fields) for name, fields in header.items()}, metadata
    except (AttributeError, KeyError, RuntimeError, TypeError) as error:
        raise ValueError(f"its header is not of that form: {error!r}") from error


def _tensor(buffer: bytearray, start: int, dtype: str, shape: list[int], data_offsets: tuple[int, int]) -> Tensor:
    begin, end = data_offsets
    kind = _DTYPES[dtype]
    count = (end - begin) // kind.itemsize
    return torch.frombuffer(buffer, dtype=kind, offset=start + begin, count=count).view(shape)
