"""How much each method of a comparison may use: rows, epochs, and trials of its learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from portfolio.errors import require

_FEWEST_VALIDATION_ROWS = 5  # a class, where a budget cuts them


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The same for every method."""

    per_class: int | None  # training rows drawn of each class of each task; None for all
    epochs: int
    trials: int  # learning rates that each method may try
    test_rows: int | None = None  # about so many of each task, in its own shares of classes; None for all

    def __post_init__(self) -> None:
        require(self.per_class is None or self.per_class >= 1, f"rows a class must be 1 or more, got {self.per_class}")
        require(self.epochs >= 1, f"epochs must be 1 or more, got {self.epochs}")
        require(self.trials >= 1, f"trials of learning rates must be 1 or more, got {self.trials}")
        require(self.test_rows is None or self.test_rows >= 1, f"test rows must be 1 or more, got {self.test_rows}")

    @property
    def validation_per_class(self) -> int | None:
        """How many validation rows of each class choose the learning rate; None for all."""
        return None if self.per_class is None else max(_FEWEST_VALIDATION_ROWS, self.per_class // 2)


def budget_named(
    name: str,
    *,
    per_class: int | None = None,
    epochs: int | None = None,
    trials: int | None = None,
    test_rows: int | None = None,
) -> Budget:
    """One of `BUDGETS`, with what is given instead of its own.

    Raises:
        ConfigError: there is none of that name, or a number is below 1.
    """
    require(name in BUDGETS, f"budget must be one of {', '.join(BUDGETS)}; got {name!r}")
    own = BUDGETS[name]
    return Budget(
        per_class=own.per_class if per_class is None else per_class,
        epochs=own.epochs if epochs is None else epochs,
        trials=own.trials if trials is None else trials,
        test_rows=own.test_rows if test_rows is None else test_rows,
    )


BUDGETS: Mapping[str, Budget] = MappingProxyType(
    {
        "quick": Budget(per_class=10, epochs=3, trials=1),
        "small": Budget(per_class=20, epochs=5, trials=3),
        "full": Budget(per_class=None, epochs=5, trials=3),
    }
)
