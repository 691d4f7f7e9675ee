"""`canary`, `shadow`, `traffic`: what they print, and that `predict` counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portfolio.store.store import Store

Run = Callable[..., Any]


@pytest.fixture
def two(grown: Path, run: Run) -> Path:
    """The grown portfolio with a second version of `garden`."""
    assert run("-p", grown, "add-task", "garden", "--again", "--epochs", "1", "--seed", "1").code == 0
    return grown


def test_a_shadow_is_begun_counted_by_predict_listed_and_ended(two: Path, run: Run) -> None:
    said = run("-p", two, "shadow", "garden@2", "--why", "to see")
    assert (said.code, said.out) == (
        0,
        "garden@2 answers silently beside the champion, 100 % of the inputs of garden\n",
    )
    assert run("-p", two, "predict", "--task", "garden", "rose fern", "spade rake").code == 0
    listed = run("-p", two, "traffic", "garden", "--json").json()
    [trial] = listed["trials"]
    assert (trial["mode"], trial["champion"]["ref"], trial["challenger"]["ref"]) == ("shadow", "garden@1", "garden@2")
    assert (trial["same"] + trial["different"], trial["champion"]["rows"]) == (2, 2)
    ended = run("-p", two, "traffic", "garden", "--end")
    assert (ended.code, ended.err) == (0, "the shadow of garden@2 is ended\n")
    assert "shadow garden@2 beside garden@1, ended" in ended.out
    assert Store.open(two).snapshot().traffic == ()


def test_a_canary_needs_a_pass_or_a_reason(two: Path, run: Run) -> None:
    refused = run("-p", two, "canary", "garden@2", "--share", "0.1")
    assert refused.code == 2
    assert "garden@2 was never judged, expected PASS" in refused.err
    forced = run("-p", two, "canary", "garden@2", "--share", "0.1", "--by", "session", "--force", "a drill")
    assert (forced.code, forced.out) == (0, "garden@2 answers 10.0 % of the sessions of garden\n")


def test_a_dry_run_changes_nothing(two: Path, run: Run) -> None:
    before = Store.open(two).snapshot()
    said = run("-p", two, "shadow", "garden@2", "--dry-run")
    assert "nothing was changed" in said.out
    assert Store.open(two).snapshot() == before
    run("-p", two, "shadow", "garden@2")
    assert run("-p", two, "traffic", "garden", "--end", "--dry-run").err == "the shadow of garden@2 would end\n"
    assert len(Store.open(two).snapshot().traffic) == 1


def test_an_end_needs_a_name(two: Path, run: Run) -> None:
    said = run("-p", two, "traffic", "--end")
    assert said.code == 2
    assert "expected NAME with --end" in said.err


def test_a_portfolio_where_nothing_was_tried_says_so(grown: Path, run: Run) -> None:
    assert run("-p", grown, "traffic").out == "No challenger is or was tried. Try one with: portfolio shadow REF\n"
    assert run("-p", grown, "traffic", "--json").json() == {"trials": []}
