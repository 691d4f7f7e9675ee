"""What became of test rows, to bytes and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.errors import DamagedBlob
from portfolio.outcomes import NOBODY, UNASKED, Outcomes, TaskOutcomes


def at_home(task: str, number: int, own_right: list[bool]) -> TaskOutcomes:
    """Rows that all went to their own task."""
    count = len(own_right)
    return TaskOutcomes(
        task=task,
        own_right=np.array(own_right, dtype=np.bool_),
        chosen=np.full(count, number, dtype=np.int32),
        right=np.array(own_right, dtype=np.int8),
        kept=np.ones(count, dtype=np.bool_),
        runner_up=np.full(count, NOBODY, dtype=np.int32),
        lead=np.zeros(count, dtype=np.float32),
    )


def listed(outcomes: Outcomes) -> list[object]:
    """Everything, as plain Python."""
    fields = ("own_right", "chosen", "right", "kept", "runner_up", "lead")
    return [outcomes.names, [(one.task, *(getattr(one, name).tolist() for name in fields)) for one in outcomes.tasks]]


@st.composite
def some_outcomes(draw: st.DrawFn) -> Outcomes:
    names = tuple(draw(st.lists(st.text(min_size=1, max_size=5), unique=True, min_size=1, max_size=4)))
    tasks = []
    for number, name in enumerate(names[: draw(st.integers(0, len(names)))]):
        one = at_home(name, number, draw(st.lists(st.booleans(), max_size=20)))
        for row in range(len(one.own_right)):
            one.kept[row] = draw(st.booleans())
            if (other := draw(st.integers(0, len(names) - 1))) != number:
                one.chosen[row] = other
                one.right[row] = draw(st.sampled_from([0, 1, UNASKED]))
                one.runner_up[row] = draw(st.integers(NOBODY, len(names) - 1))
                one.lead[row] = draw(st.floats(0, 1, width=32))
        tasks.append(one)
    return Outcomes(names=names, tasks=tuple(tasks))


@settings(max_examples=50, deadline=None)
@given(some_outcomes())
def test_outcomes_come_back_from_their_bytes(outcomes: Outcomes) -> None:
    data = outcomes.to_bytes()
    assert listed(Outcomes.from_bytes(data)) == listed(outcomes)
    assert Outcomes.from_bytes(data).to_bytes() == data


def test_a_row_that_went_home_costs_a_bit() -> None:
    few, many = (Outcomes(names=("a",), tasks=(at_home("a", 0, [True] * count),)) for count in (8, 8008))
    assert len(many.to_bytes()) - len(few.to_bytes()) == pytest.approx(1000, abs=16)  # the header is padded


def test_a_task_is_found_by_its_name() -> None:
    outcomes = Outcomes(names=("a", "b"), tasks=(at_home("b", 1, [True]),))
    assert outcomes.of("b") is outcomes.tasks[0]
    assert outcomes.of("a") is None
    assert (outcomes.number("b"), outcomes.number("c")) == (1, NOBODY)


@pytest.mark.parametrize("data", [b"", b"\x00" * 20, at_home("a", 0, [True]).own_right.tobytes()])
def test_bytes_that_are_none_are_refused(data: bytes) -> None:
    with pytest.raises(DamagedBlob, match="expected what became of test rows"):
        Outcomes.from_bytes(data)
