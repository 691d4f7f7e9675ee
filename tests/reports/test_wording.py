"""How numbers and names are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portfolio.reports.wording import chance, count, duration, percent, plain, points, share, size

MakeScreen = Callable[..., Any]


@pytest.mark.parametrize(
    ("value", "written"), [(None, "-"), (0.0, "0.0"), (0.975, "97.5"), (0.9994, "99.9"), (1.0, "100")]
)
def test_a_score_is_written_as_a_percentage(value: float | None, written: str) -> None:
    assert percent(value) == written


@given(st.floats(0, 1))
@settings(max_examples=50)
def test_a_score_takes_four_characters_at_most(value: float) -> None:
    assert len(percent(value)) <= 4
    assert float(percent(value)) == pytest.approx(100 * value, abs=0.0501)


@pytest.mark.parametrize(
    ("value", "written"),
    [(None, "-"), (0.0, "0.0"), (-0.0, "0.0"), (1e-17, "0.0"), (-0.012, "-1.2"), (0.2, "+20.0"), (-0.0002, "-0.02")],
)
def test_a_change_is_written_in_signed_points_and_small_ones_do_not_vanish(value: float | None, written: str) -> None:
    assert points(value) == written


@pytest.mark.parametrize(
    ("value", "written"), [(0.0, "0"), (1e-9, "<1"), (0.0049, "<1"), (0.006, "1"), (0.624, "62"), (1.0, "100")]
)
def test_a_share_is_written_in_whole_percents_and_a_small_one_does_not_vanish(value: float, written: str) -> None:
    assert share(value) == written


@pytest.mark.parametrize(
    ("p_value", "written"),
    [
        (None, "not tested"),
        (float("nan"), "not tested"),
        (0.0, "p < .001"),
        (0.00099, "p < .001"),
        (0.001, "p = .001"),
        (0.0496, "p = .050"),
        (0.0994, "p = .099"),
        (0.0996, "p = .10"),
        (0.61, "p = .61"),
        (0.9951, "p = 1"),
        (1.0, "p = 1"),
    ],
)
def test_a_p_value_is_written_as_people_write_it(p_value: float | None, written: str) -> None:
    assert chance(p_value) == written


def test_a_noun_takes_its_plural_unless_there_is_one() -> None:
    assert (count(1234567), count(0, "task"), count(1, "task"), count(2000, "task")) == (
        "1,234,567",
        "0 tasks",
        "1 task",
        "2,000 tasks",
    )


@pytest.mark.parametrize(
    ("number", "written"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"), (1_800_000, "1.8 MB")],
)
def test_a_size_is_written_with_one_decimal_in_its_unit(number: int, written: str) -> None:
    assert size(number) == written


def test_the_largest_unit_takes_whatever_is_larger() -> None:
    assert size(5_000_000 * 10**9) == "5000.0 TB"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (125.2, "2 min 05 s"),
        (3599.6, "1 h 00 min"),
        (3780.0, "1 h 03 min"),
    ],
)
def test_a_duration_is_written_in_the_units_people_say(seconds: float, written: str) -> None:
    assert duration(seconds) == written


@given(text=st.text(max_size=20))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_becomes_harmless_on_any_terminal(text: str, screen: MakeScreen) -> None:
    for encoding in ("ascii", "utf-8", "latin-1"):
        written = plain(text, screen(encoding=encoding).console)
        assert written.isprintable()
        written.encode(encoding)


def test_text_that_can_be_shown_is_left_as_it_is(screen: MakeScreen) -> None:
    assert plain("naïve [bold] 猫", screen().console) == "naïve [bold] 猫"
    assert plain("naïve\n\x1b\u202e", screen(encoding="ascii").console) == "na\\xefve\\n\\x1b\\u202e"
