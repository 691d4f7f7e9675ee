"""What a report finds in a portfolio whose second task takes rows of its first, held against what the portfolio answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from portfolio.errors import ConfigError, NotFound
from portfolio.portfolio import Portfolio
from portfolio.training import TrainingConfig

PLANTS = ("rose", "tulip", "fern", "moss", "daisy", "ivy")
TOOLS = ("spade", "rake", "hoe", "shears", "trowel", "barrow")


@pytest.fixture
def robbed(empty: Portfolio, files_of: Callable[..., Any], quick: TrainingConfig) -> Portfolio:
    """`garden`, and then `nursery`, which speaks of the same things under other names."""
    for name, words, seed in (
        ("garden", {"plant": PLANTS, "tool": TOOLS}, 0),
        ("nursery", {"flora": PLANTS, "gear": TOOLS}, 1),
    ):
        files = files_of(name, words, seed=seed, test_rows=20)
        empty.add_task(name, files.train, test=files.test, training=quick)
    return empty


def test_rows_that_a_task_lost_are_those_that_the_portfolio_answers_otherwise(robbed: Portfolio) -> None:
    report = robbed.report()
    [loss] = [one for one in report.losses if one.task == "garden"]
    [taker] = loss.takers
    assert (taker.task, taker.rows) == ("nursery", loss.lost)
    texts = robbed.lost_texts([loss])["garden"]
    answers = robbed.predict([texts[row] for row in loss.lost], abstain=False)
    assert {answer.task for answer in answers} == {"nursery"}
    assert {answer.label for answer in robbed.predict([texts[row] for row in loss.lost], task="garden")} <= {
        "plant",
        "tool",
    }
    [change] = [one for one in report.changes if one.task == "garden"]
    assert change.change == pytest.approx((loss.won - len(loss.lost)) / loss.rows)
    assert change.interval is not None and change.interval.low <= change.change <= change.interval.high
    assert report.rows_kept


def test_what_would_return_returns_when_the_taker_goes(robbed: Portfolio) -> None:
    [loss] = [one for one in robbed.report().losses if one.task == "garden"]
    assert sum(taker.would_return for taker in loss.takers) == len(loss.lost)  # there is no third task
    before = robbed.report().routed.added()[0]
    robbed.remove_task("nursery")
    assert robbed.report().routed.now() == (before,)
    assert robbed.report().losses == ()


def test_the_texts_of_lost_rows_are_those_of_the_test_file(robbed: Portfolio) -> None:
    [loss] = [one for one in robbed.report().losses if one.task == "garden"]
    [source] = [one for one in robbed.tasks()[0].sources if one.split == "test"]
    with open(source.path, encoding="utf-8") as file:
        lines = [json.loads(line)["text"] for line in file]
    assert robbed.lost_texts([loss]) == {"garden": {row: lines[row] for row in loss.lost}}
    with open(source.path, "a", encoding="utf-8") as file:
        file.write(json.dumps({"text": "rose fern moss", "label": "plant"}) + "\n")
    assert robbed.lost_texts([loss]) == {}  # no longer the rows that were measured


def test_two_moments_are_compared_by_what_came_between_them(robbed: Portfolio) -> None:
    found = robbed.since("nursery")
    assert found.came == ("nursery",) and found.went == ()
    assert [moment.subject for moment in found.between] == ["nursery"]
    report = robbed.report()
    assert found.routed == tuple(one for one in report.changes if one.task == "garden")
    assert found.losses == tuple(one for one in report.losses if one.task == "garden")
    assert [one.change for one in found.oracle] == [0.0]


def test_a_calibration_is_a_moment_too(robbed: Portfolio) -> None:
    robbed.calibrate(coverage=0.8)
    assert [moment.action for moment in robbed.snapshot().moments] == ["add-task", "add-task", "calibrated"]
    assert [moment.action for moment in robbed.since("nursery").between] == ["add-task", "calibrated"]


def test_moments_that_cannot_be_are_refused_with_what_there_is(robbed: Portfolio) -> None:
    with pytest.raises(ConfigError, match="a change before it"):
        robbed.since("garden")
    with pytest.raises(NotFound, match="garden"):
        robbed.since("gardn")
    with pytest.raises(ConfigError):
        robbed.since("now", "nursery")


def test_what_a_rule_changes_is_said_for_every_task(robbed: Portfolio) -> None:
    before = robbed.report().routed
    (robbed.path / "routes.toml").write_text(
        '[[rule]]\nname = "closed"\nwhen = { tenant = "acme" }\ndeny = ["nursery"]\n'
    )
    found = robbed.rules_effect(tenant="acme")
    garden, nursery = found.routed
    assert (garden.before, nursery.before) == before.now()
    assert garden.after == before.added()[0]  # as before the nursery came
    assert nursery.after == 0
    [loss] = found.losses
    assert loss.task == "nursery" and [taker.task for taker in loss.takers] == ["garden"]
    unbound = robbed.rules_effect()
    assert [change.change for change in unbound.routed] == [0.0, 0.0] and unbound.losses == ()


def test_rules_that_leave_nobody_have_no_effect_to_measure(robbed: Portfolio) -> None:
    (robbed.path / "routes.toml").write_text('[[rule]]\nname = "closed"\ndeny = ["nursery", "garden"]\n')
    with pytest.raises(NotFound, match="may reach no task"):
        robbed.rules_effect()
