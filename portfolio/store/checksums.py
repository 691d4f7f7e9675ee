"""The `checksum` of a row: the first 16 hex digits of the SHA-256 of its other filled columns, as JSON with sorted keys.

A column of bytes stands there as their own SHA-256.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def checksum(row: Mapping[str, Any]) -> str:
    """What the `checksum` column of this row must be."""
    filled = {column: value for column, value in row.items() if column != "checksum" and value is not None}
    return hashlib.sha256(json.dumps(filled, sort_keys=True, default=_digest).encode()).hexdigest()[:16]


def _digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()
