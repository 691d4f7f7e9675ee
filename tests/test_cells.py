"""The cells of the results matrices, packed: whatever is put in comes out again, as rows, columns and single cells."""

from __future__ import annotations

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.cells import SCORES, Cells, Line
from portfolio.records import Cell

NAMES = ("ash", "birch", "cedar")

scores = st.none() | st.floats(0, 1)
cells = st.builds(
    Cell,
    step=st.sampled_from(NAMES),
    task=st.sampled_from(NAMES),
    rows=st.integers(0, 10**6),
    **{score: scores for score in SCORES},
)


def test_every_score_of_a_cell_is_packed() -> None:
    fields = [field.name for field in dataclasses.fields(Cell)]
    assert ["step", "task", "rows", *SCORES] == fields


@given(given_cells=st.lists(cells, max_size=12))
@settings(max_examples=50)
def test_cells_come_back_as_they_were_the_last_of_each_step_and_task(given_cells: list[Cell]) -> None:
    last = {(cell.step, cell.task): cell for cell in given_cells}
    packed = Cells.of(given_cells)
    assert len(packed) == len(last)
    assert {(cell.step, cell.task): cell for cell in packed} == last
    for name in NAMES:
        assert {cell.task: cell for cell in packed.of_step(name)} == {t: c for (s, t), c in last.items() if s == name}
        assert {cell.step: cell for cell in packed.of_task(name)} == {s: c for (s, t), c in last.items() if t == name}
    assert Cells.of(packed) is packed


def test_rows_come_in_the_order_of_the_steps_and_in_them_of_the_tasks() -> None:
    names = {4: "late", 2: "early", 7: "last"}
    line = Line.of({7: Cell(step="", task="", rows=3), 2: Cell(step="", task="", rows=1, oracle=0.5)})
    packed = Cells(names, {4: line, 7: line})
    assert [(cell.step, cell.task, cell.rows, cell.oracle) for cell in packed] == [
        ("late", "early", 1, 0.5),
        ("late", "last", 3, None),
        ("last", "early", 1, 0.5),
        ("last", "last", 3, None),
    ]
    assert packed[-1] == Cell(step="last", task="last", rows=3)
    assert packed[1:3] == tuple(packed)[1:3]


def test_nothing_is_known_of_a_step_or_a_task_that_is_not_there() -> None:
    packed = Cells.of([Cell(step="ash", task="ash", rows=1)])
    assert packed.of_step("birch") == packed.of_task("birch") == []
    assert packed == (Cell(step="ash", task="ash", rows=1),) and packed != ()


def test_a_nan_is_as_good_as_not_measured_and_there_is_no_minus_zero() -> None:
    [cell] = Cells.of([Cell(step="ash", task="ash", rows=1, oracle=float("nan"), routed=-0.0)])
    assert cell.oracle is None
    assert str(cell.routed) == "0.0"
