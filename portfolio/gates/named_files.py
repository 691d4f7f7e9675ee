"""The local files that rules name, as they were when a version was judged: a verdict holds no longer than they do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from portfolio.gates.rules import Gates
from portfolio.refs import Ref

_FIELDS = ("file", "on", "outputs", "schema")  # of checks
_MARK = "file "  # before a path in `Verdict.data`
GONE = "none"  # instead of a digest


def named_files(gates: Gates, root: Path, ref: Ref) -> tuple[tuple[str, str], ...]:
    """Each file by its path, with the SHA-256 of its bytes, as a verdict notes it.

    Args:
        root: what relative paths are relative to.
        ref: for `{name}` and `{version}` in them.
    """
    named = {getattr(rule.check, field, None) for rule in gates.rules for field in _FIELDS}
    places = sorted(
        place.replace("{name}", ref.name).replace("{version}", str(ref.version)) for place in named if place
    )
    paths = [root / place for place in places if not place.startswith("hub:")]
    return tuple((f"{_MARK}{path}", _digest(path)) for path in paths)


def are_unchanged(data: Iterable[tuple[str, str]]) -> bool:
    """Whether all files that a verdict notes are as they were."""
    return all(_digest(Path(what.removeprefix(_MARK))) == digest for what, digest in data if what.startswith(_MARK))


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return GONE
