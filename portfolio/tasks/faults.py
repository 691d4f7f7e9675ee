"""Faults of one file, collected and reported in one error."""

from __future__ import annotations

from portfolio.errors import DataError

SHOWN_FAULTS = 5
_SHOWN_CHARACTERS = 60


class Faults:
    """Everything wrong with one source of rows; the first five in full, the others counted."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._first: list[str] = []
        self._count = 0

    def add(self, place: str, fault: str) -> None:
        """Note a fault. `place` is where to look, such as `train.jsonl:118`."""
        self._count += 1
        if self._count <= SHOWN_FAULTS:
            self._first.append(f"{place}: {fault}")

    def raise_if_any(self) -> None:
        """Raise one `DataError` for all faults noted so far."""
        if self._count == 1:
            raise DataError(self._first[0])
        if self._count:
            rest = self._count - len(self._first)
            more = [f"… and {rest} more"] if rest else []
            raise DataError("\n  ".join([f"{self.source}: {self._count} faults", *self._first, *more]))


def shown(value: object) -> str:
    """`value` as a message may quote it: never more than a few words long."""
    if isinstance(value, str) and len(value) > _SHOWN_CHARACTERS:
        return f"{value[:_SHOWN_CHARACTERS]!r}… ({len(value)} characters)"
    written = repr(value)
    return written if len(written) <= 2 * _SHOWN_CHARACTERS else f"{written[:_SHOWN_CHARACTERS]}…"


def listed(values: list[str], most: int = 12) -> str:
    """Names as a message lists them: quoted, the first few, the others counted."""
    names = ", ".join(shown(value) for value in values[:most])
    return f"{names} and {len(values) - most} more" if len(values) > most else names
