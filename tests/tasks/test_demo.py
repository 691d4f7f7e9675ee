"""The demo's data is found where it may lie, and holds what the demo says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from portfolio.errors import NotFound
from portfolio.tasks.demo import QUESTIONS, SEQUENCE, demo_sequence
from portfolio.tasks.sequences import read_sequence


def test_the_first_folder_that_holds_the_sequence_is_taken(tmp_path: Path) -> None:
    inside, beside = tmp_path / "inside", tmp_path / "beside"
    (beside / SEQUENCE).parent.mkdir(parents=True)
    (beside / SEQUENCE).touch()
    assert demo_sequence([inside, beside]) == beside / SEQUENCE
    (inside / SEQUENCE).parent.mkdir(parents=True)
    (inside / SEQUENCE).touch()
    assert demo_sequence([inside, beside]) == inside / SEQUENCE


def test_missing_demo_data_is_an_error_that_names_the_places(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"inside.*sequence\.toml.*add-tasks"):
        demo_sequence([tmp_path / "inside"])


def test_the_questions_are_not_in_the_data() -> None:
    known = set()
    for task in read_sequence(demo_sequence()).tasks:
        for path in (task.train, task.test or task.train):
            known |= {json.loads(line)["text"].lower() for line in Path(path).read_text("utf-8").splitlines()}
    assert len(known) > 100
    assert not known & {question.lower() for question in QUESTIONS}
