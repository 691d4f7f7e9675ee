"""Faults of one file, reported together."""

from __future__ import annotations

import pytest

from portfolio.errors import DataError
from portfolio.tasks.faults import Faults, listed, shown


def test_no_fault_raises_nothing():
    Faults("a.csv").raise_if_any()


def test_one_fault_is_one_line():
    faults = Faults("a.csv")
    faults.add("a.csv:3", "no text")
    with pytest.raises(DataError) as caught:
        faults.raise_if_any()
    assert str(caught.value) == "a.csv:3: no text"


def test_seven_faults_show_five_and_count_the_rest():
    faults = Faults("a.csv")
    for line in range(1, 8):
        faults.add(f"a.csv:{line}", "no text")
    with pytest.raises(DataError) as caught:
        faults.raise_if_any()
    lines = str(caught.value).splitlines()
    assert lines[0] == "a.csv: 7 faults"
    assert lines[1:-1] == [f"  a.csv:{line}: no text" for line in range(1, 6)]
    assert lines[-1] == "  … and 2 more"


@pytest.mark.parametrize("value", ["x" * 10_000, ["x" * 10_000], {"a": list(range(5000))}, b"x" * 10_000])
def test_a_long_value_is_shown_short(value):
    assert len(shown(value)) < 130


def test_many_names_are_counted():
    assert listed(["a", "b"]) == "'a', 'b'"
    assert listed([str(number) for number in range(20)], most=2) == "'0', '1' and 18 more"
