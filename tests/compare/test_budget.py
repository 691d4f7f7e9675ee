"""Budgets: what they let each method use, and what cannot be one."""

from __future__ import annotations

import pytest

from portfolio.compare.budget import BUDGETS, Budget
from portfolio.errors import ConfigError


@pytest.mark.parametrize(("per_class", "validation"), [(None, None), (1, 5), (11, 5), (12, 6), (40, 20)])
def test_validation_rows_are_half_of_the_training_rows_but_not_under_five(
    per_class: int | None, validation: int | None
) -> None:
    assert Budget(per_class=per_class, epochs=1, trials=1).validation_per_class == validation


def test_the_named_budgets_grow() -> None:
    quick, small, full = (BUDGETS[name] for name in ("quick", "small", "full"))
    assert (quick.per_class, small.per_class, full.per_class) == (10, 20, None)
    assert (quick.test_rows, small.test_rows, full.test_rows) == (None, None, None)
    assert quick.epochs < small.epochs == full.epochs and quick.trials < small.trials == full.trials


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"per_class": 0}, "rows a class"),
        ({"epochs": 0}, "epochs"),
        ({"trials": 0}, "trials of learning rates"),
        ({"test_rows": 0}, "test rows"),
    ],
)
def test_a_budget_of_nothing_is_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=f"{message} must be 1 or more, got 0"):
        Budget(**{"per_class": 1, "epochs": 1, "trials": 1, **wrong})
