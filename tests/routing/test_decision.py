"""The words of a decision: each part by eye."""

from __future__ import annotations

import math

from routing.decision import reason_of


def test_it_names_the_nearest_class_and_the_runner_up():
    said = reason_of(("east", "north"), (0.914, 0.08), "'login'", "east", 3.0, -math.inf)
    assert said == "nearest class is 'login' of 'east'; P 0.91, runner-up 'north' 0.08"


def test_it_says_so_where_other_classes_together_weigh_more():
    said = reason_of(("many", "one"), (0.6, 0.4), "class 0", "one", 3.0, -math.inf)
    assert said == (
        "nearest class is class 0 of 'one'; all classes of 'many' together weigh more; P 0.60, runner-up 'one' 0.40"
    )


def test_it_says_so_where_there_was_no_choice():
    said = reason_of(("east",), (1.0,), "class 2", "east", 3.0, -math.inf)
    assert said == "nearest class is class 2 of 'east'; no other task to choose from"


def test_it_holds_the_in_scope_score_against_a_threshold_that_there_is():
    said = reason_of(("east",), (1.0,), "class 2", "east", 3.0, 3.0)
    assert said.endswith("; no other task to choose from; in scope 3.0, threshold 3.0")


def test_it_begins_with_the_abstention():
    said = reason_of(("east",), (1.0,), "class 2", "east", 2.94, 3.0)
    assert said == (
        "abstained: in scope 2.9, below the threshold 3.0; nearest class is class 2 of 'east'; "
        "no other task to choose from"
    )


def test_a_threshold_that_nothing_reaches_still_abstains():
    assert reason_of(("east",), (1.0,), "class 2", "east", 2.94, math.inf).startswith("abstained: in scope 2.9, below")
