"""What challengers and champions said, as it is read by people and by programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from portfolio.records import Traffic
from portfolio.reports.traffic import print_trials, traffic_in_words
from portfolio.reports.traffic_figures import trial_figures, trials_to_dict
from portfolio.traffic import Counts, Said, Trial

TRAFFIC = Traffic(name="bank", version=2, mode="canary", share=0.125, by="input", since="2026-03-04T10:11:09+00:00")
OURS = Said.of([("card", 0.75)] * 6 + [("loan", 0.5)] * 2)
THEIRS = Said.of([("card", 0.5)] * 4)


def canary() -> Any:
    trial = Trial(name="bank", version=2, beside=1, mode="canary")
    return trial_figures(trial, Counts(champion=OURS, challenger=THEIRS), TRAFFIC)


def shadow() -> Any:
    trial = Trial(name="bank", version=3, beside=1, mode="shadow")
    counts = Counts(champion=THEIRS, challenger=THEIRS, same=3, different=1, gap=-0.4, gap_squares=0.08, failed=2)
    return trial_figures(trial, counts, None)


def test_a_canary_is_a_table_of_both_sides_and_how_far_they_are_apart(screen: Callable[..., Any]) -> None:
    terminal = screen(width=80)
    print_trials([canary()], terminal.console)
    lines = terminal.lines()
    assert lines[0] == "canary bank@2 beside bank@1: 12.5 % by input, since 2026-03-04 10:11 UTC"
    assert [line.split() for line in lines[3:5]] == [
        ["champion", "bank@1", "8", "68.8", "59.1", "78.4"],
        ["challenger", "bank@2", "4", "50.0", "50.0", "50.0"],
    ]
    assert lines[5:7] == ["champion says card 75 %, loan 25 %", "challenger says card 100 %"]
    assert lines[7] == "challenger's mean P less the champion's: -18.8 points (-28.4 to -9.1)"
    assert lines[8] == "shares of labels apart by 25.0 points; about 18.2 by chance alone"
    assert all(len(line) <= 80 for line in lines)


def test_a_shadow_says_how_often_both_agree(screen: Callable[..., Any]) -> None:
    terminal = screen(width=80)
    print_trials([shadow()], terminal.console)
    lines = terminal.lines()
    assert lines[0] == "shadow bank@3 beside bank@1, ended"
    assert "same label: 75.0 % (19.4 to 99.4); another for 1 row" in lines
    assert "the challenger could not be run on 2 rows; see: portfolio verify" in lines
    assert not any("by chance" in line for line in lines)


def test_where_nothing_was_tried_the_command_that_tries_is_named(screen: Callable[..., Any]) -> None:
    terminal = screen()
    print_trials([], terminal.console)
    assert terminal.lines() == ["No challenger is or was tried. Try one with: portfolio shadow REF"]


def test_of_many_labels_the_most_frequent_are_named(screen: Callable[..., Any]) -> None:
    said = Said.of((f"label {number}", 0.5) for number in range(7) for _ in range(8 - number))
    trial = Trial(name="bank", version=2, beside=1, mode="canary")
    terminal = screen(width=200)
    print_trials([trial_figures(trial, Counts(champion=said), None)], terminal.console)
    [line] = [one for one in terminal.lines() if one.startswith("champion says")]
    assert line.startswith("champion says label 0 23 %, label 1 20 %, ")
    assert line.endswith(" and 2 more labels")


@pytest.mark.parametrize("mode", ["canary", "shadow"])
def test_traffic_is_said_in_a_sentence(mode: str) -> None:
    traffic = Traffic(name="bank", version=2, mode=mode, share=0.5, by="session")
    says = {
        "canary": "bank@2 answers 50.0 % of the sessions of bank",
        "shadow": "bank@2 answers silently beside the champion, 50.0 % of the sessions of bank",
    }
    assert traffic_in_words(traffic) == says[mode]


def test_programs_get_every_figure_and_null_for_what_is_not_known() -> None:
    first, second = json.loads(json.dumps(trials_to_dict((canary(), shadow())), allow_nan=False))["trials"]
    assert (first["traffic"]["share"], first["agreement"], first["champion"]["labels"][0]) == (0.125, None, ["card", 6])
    assert (second["traffic"], second["same"], second["failed"]) == (None, 3, 2)
    assert second["agreement_interval"]["low"] == pytest.approx(0.194, abs=1e-3)
