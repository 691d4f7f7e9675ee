"""What the fields of a check may hold. All faults of one check are raised together, each with its field."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from portfolio.errors import ConfigError
from portfolio.gates.statistics import LARGEST_ALPHA, SMALLEST_ALPHA
from routing.toml_lines import shown
from routing.toml_tables import nearest


class CheckFaults(ConfigError):
    """Everything wrong with one check; its message is that of all of them, a line each."""

    def __init__(self, faults: Iterable[tuple[str, str]]) -> None:
        self.faults = tuple(faults)  # field, and what is wrong; the field is empty where it is the whole
        super().__init__("\n".join(f"{field}: {fault}" if field else fault for field, fault in self.faults))


class Fields:
    """Looks at the fields of one check. A field of None was not given."""

    def __init__(self, check: object) -> None:
        self._check = check
        self._faults: list[tuple[str, str]] = []

    def share(self, *fields: str) -> None:
        """From 0 to 1."""
        self._numbers(fields, 0, 1, "expected a share from 0 to 1")

    def number(self, *fields: str) -> None:
        """0 or more."""
        self._numbers(fields, 0, math.inf, "expected a number, 0 or more")

    def level(self, *fields: str) -> None:
        """The error of a test."""
        said = f"expected a level from {SMALLEST_ALPHA} to {LARGEST_ALPHA}, such as 0.05"
        self._numbers(fields, SMALLEST_ALPHA, LARGEST_ALPHA, said)

    def confidence(self, *fields: str) -> None:
        """One less a level."""
        said = f"expected a confidence from {1 - LARGEST_ALPHA} to {1 - SMALLEST_ALPHA}, such as 0.95"
        self._numbers(fields, 1 - LARGEST_ALPHA, 1 - SMALLEST_ALPHA, said)

    def whole(self, field: str, least: int) -> None:
        """A whole number."""
        value = getattr(self._check, field)
        if value is not None and not (type(value) is int and value >= least):
            self.fault(field, f"expected a whole number, {least} or more, got {shown(value)}")

    def one_of(self, field: str, words: Collection[str]) -> None:
        """One of these."""
        value = getattr(self._check, field)
        if not (isinstance(value, str) and value in words):
            self.fault(field, f"expected one of {', '.join(words)}, got {shown(value)}{nearest(value, words)}")

    def text(self, *fields: str) -> None:
        """One line."""
        for field in fields:
            value = getattr(self._check, field)
            if value is not None and not _is_text(value):
                self.fault(field, f"expected one line of text, got {shown(value)}")

    def texts(self, field: str) -> None:
        """A list of one or more."""
        value = getattr(self._check, field)
        if not (isinstance(value, tuple) and value and all(map(_is_text, value))):
            self.fault(field, f"expected a list of texts, none of them empty, got {shown(value)}")

    def flag(self, field: str) -> None:
        value = getattr(self._check, field)
        if type(value) is not bool:
            self.fault(field, f"expected true or false, got {shown(value)}")

    def any_of(self, *fields: str) -> None:
        """One of them was given, at least."""
        if all(getattr(self._check, field) is None for field in fields):
            self.fault("", f"expected one of {', '.join(fields)}, got none")

    def fault(self, field: str, fault: str) -> None:
        self._faults.append((field, fault))

    def raise_if_any(self) -> None:
        """Raise one `CheckFaults` for all faults noted so far."""
        if self._faults:
            raise CheckFaults(self._faults)

    def _numbers(self, fields: tuple[str, ...], low: float, high: float, expected: str) -> None:
        for field in fields:
            value = getattr(self._check, field)
            if value is not None and not (_is_number(value) and low <= value <= high):
                self.fault(field, f"{expected}, got {shown(value)}")


def _is_number(value: object) -> bool:
    """Whether it is a finite one; `True` is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()
