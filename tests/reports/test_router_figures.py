"""What is said of the router: its settings and its calibration."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from portfolio.records import FirstLook, RouterState, RouterWishes
from portfolio.reports.router import figures_of_router, in_words

ROUTER = RouterState(totals="8" * 64, threshold=-1.23456, temperature=2.0, shrinkage=0.5)
LOOK = FirstLook(margin=0.5, in_scope=0.0, temperature=1.0)


def words(router: RouterState) -> dict[str, str]:
    return dict(in_words(figures_of_router(router)))


def test_a_router_that_was_told_nothing_keeps_to_the_defaults() -> None:
    assert words(ROUTER) == {
        "abstains": "below an in-scope score of -1.23, chosen to keep 95.0 % of in-scope inputs",
        "fallback": "none: where the router abstains, nobody answers",
        "equal labels": "are told apart by their task",
        "base asked": "for 100 % of inputs",
        "calibration": "ECE not measured",
    }


@pytest.mark.parametrize(
    ("wishes", "figure", "said"),
    [
        (RouterWishes(coverage=0.8), "abstains", "chosen to keep 80.0 % of in-scope inputs"),
        (RouterWishes(oos="7" * 64, recall=0.9), "abstains", "to refuse 90.0 % of the out-of-scope examples given"),
        (RouterWishes(fallback="travel"), "fallback", "the task travel: it answers where the router abstains"),
        (RouterWishes(fallback="base"), "fallback", "the bare base: where the router abstains, the nearest class"),
        (RouterWishes(shared_labels=True), "equal labels", "mean the same in all tasks"),
    ],
)
def test_each_setting_is_said(wishes: RouterWishes, figure: str, said: str) -> None:
    assert said in words(dataclasses.replace(ROUTER, wishes=wishes))[figure]


def test_a_router_with_a_first_look_says_how_often_it_asked_the_base() -> None:
    assert words(dataclasses.replace(ROUTER, first_look=LOOK, asked=0.125))["base asked"] == "for 12.5 % of inputs"
    assert words(dataclasses.replace(ROUTER, first_look=LOOK))["base asked"] == "not measured"


def test_the_calibration_error_stands_with_what_it_was_before() -> None:
    said = words(dataclasses.replace(ROUTER, ece_before=0.1, ece=0.025))["calibration"]
    assert said == "ECE 10.0 % before, 2.5 % after, of P(task | x)"


def test_figures_that_are_no_finite_number_are_null() -> None:
    figures = figures_of_router(dataclasses.replace(ROUTER, threshold=-math.inf, ece=math.nan))
    json.dumps(dataclasses.asdict(figures), allow_nan=False)
    assert (figures.threshold, figures.ece) == (None, None)
    assert dict(in_words(figures))["abstains"] == "never"
