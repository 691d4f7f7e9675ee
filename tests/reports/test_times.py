"""Dates and times as people write them."""

from __future__ import annotations

import pytest

from portfolio.errors import ConfigError
from portfolio.reports.times import end_of, instant


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22", "2026-11-22T23:59:59.999999+00:00"),
        ("9999-12-31", "9999-12-31T23:59:59.999999+00:00"),
        ("2026-11-22T14:00", "2026-11-22T14:00:00+00:00"),
        ("2026-11-22 14:00:05Z", "2026-11-22T14:00:05+00:00"),
        ("2026-11-22T00:30+01:00", "2026-11-21T23:30:00+00:00"),
    ],
)
def test_a_date_means_its_end_and_a_time_itself_in_utc(text: str, expected: str) -> None:
    assert end_of(text).isoformat() == expected


def test_a_date_begins_at_midnight() -> None:
    assert instant("2026-11-22").isoformat() == "2026-11-22T00:00:00+00:00"


@pytest.mark.parametrize("text", ["", "now", "2026-11", "20261122", "2026-02-30", "2026-11-22T25:00", "2026-11-22T14"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"expected a date such as 2026-11-22 or 2026-11-22T14:00, got '{text}'"):
        end_of(text)


def test_a_time_that_no_clock_in_utc_can_show_is_refused() -> None:
    with pytest.raises(ConfigError, match="got '0001-01-01T00:00"):
        instant("0001-01-01T00:00+01:00")
