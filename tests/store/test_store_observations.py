"""What is counted of trials: added up in the database, beside its generation."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from portfolio.errors import StoreError
from portfolio.store.store import Store
from portfolio.traffic import Counts, Said, Trial

TRIAL = Trial(name="a", version=3, beside=2, mode="shadow")
ONE = Counts(champion=Said.of([("no", 0.5)]), challenger=Said.of([("yes", 0.75)]), different=1, gap=0.25)


def test_what_two_processes_count_is_added_up_and_no_generation_moves(versioned: Store) -> None:
    before, events = versioned.generation(), versioned.events()
    versioned.releases.add_observations({TRIAL: ONE})
    Store.open(versioned.path).releases.add_observations({TRIAL: ONE})
    assert versioned.releases.observations() == {TRIAL: ONE + ONE}
    assert (versioned.generation(), versioned.events()) == (before, events)
    assert versioned.verify() == ()


def test_trials_are_kept_apart_and_listed_by_adapter(versioned: Store) -> None:
    canary = Trial(name="a", version=3, beside=2, mode="canary")
    earlier = Trial(name="a", version=3, beside=1, mode="shadow")
    versioned.releases.add_observations({TRIAL: ONE, canary: ONE + ONE, earlier: ONE})
    assert list(versioned.releases.observations("a")) == [earlier, canary, TRIAL]
    assert versioned.releases.observations("a")[canary] == ONE + ONE
    assert versioned.releases.observations("b") == {}


def test_of_versions_that_are_not_there_nothing_is_kept(versioned: Store) -> None:
    strangers = [
        Trial(name="a", version=9, beside=2, mode="canary"),
        Trial(name="c", version=1, beside=2, mode="canary"),
    ]
    versioned.releases.add_observations({**dict.fromkeys(strangers, ONE), TRIAL: ONE})
    assert versioned.releases.observations() == {TRIAL: ONE}


def test_nothing_is_added_to_a_damaged_row(versioned: Store) -> None:
    versioned.releases.add_observations({TRIAL: ONE})
    database = sqlite3.connect(versioned.path / "portfolio.db", isolation_level=None)
    database.execute("UPDATE observation SET counts = '{}'")
    database.close()
    with pytest.raises(StoreError, match="'observation'"):
        versioned.releases.add_observations({TRIAL: ONE})
    with pytest.raises(StoreError):
        versioned.releases.observations()
    assert [fault.kind for fault in versioned.verify()] == ["row"]


def test_a_portfolio_of_an_older_schema_has_counted_nothing(
    two_tasks: Store, downgrade: Callable[[Path], None]
) -> None:
    downgrade(two_tasks.path)
    assert Store.open(two_tasks.path).releases.observations() == {}
