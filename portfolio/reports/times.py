"""Dates and times as people write them: ISO 8601, UTC where no zone is given."""

from __future__ import annotations

import re
from datetime import datetime, time, timezone

from portfolio.errors import ConfigError

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(_DATE.pattern + r"[T ]\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?")


def is_date(text: str) -> bool:
    """Whether it looks like `2026-11-22`."""
    return _DATE.fullmatch(text) is not None


def is_time(text: str) -> bool:
    """Whether it looks like `2026-11-22T14:00`, with seconds and a zone or without."""
    return _TIME.fullmatch(text) is not None


def instant(text: str) -> datetime:
    """What it speaks of, in UTC; of a bare date, as the day begins.

    Raises:
        ConfigError: there is no such date or time.
    """
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (found if found.tzinfo is not None else found.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"expected a date such as 2026-11-22 or 2026-11-22T14:00, got {text!r}: {error}") from error


def end_of(text: str) -> datetime:
    """The last moment that it speaks of: of a bare date the end of the day, of a time the time itself.

    Raises:
        ConfigError: it is no date or time, or there is no such one.
    """
    if not (is_date(text) or is_time(text)):
        raise ConfigError(f"expected a date such as 2026-11-22 or 2026-11-22T14:00, got {text!r}")
    found = instant(text)
    return datetime.combine(found, time.max, timezone.utc) if is_date(text) else found
