"""The demo's data is found where it may lie, and holds what the demo says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from portfolio.errors import NotFound
from portfolio.tasks.demo import QUESTIONS, demo_sequence
from portfolio.tasks.sequences import read_sequence


def test_the_demo_is_found_whatever_lies_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "helpdesk").touch()
    place = tmp_path / "data" / "helpdesk" / "sequence.toml"
    place.parent.mkdir(parents=True)
    place.touch()
    assert demo_sequence([tmp_path / "gone", tmp_path / "data"]) == place


def test_missing_demo_data_is_an_error_that_names_the_places(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"the folder helpdesk, in .*inside or .*beside, found none.*add-tasks"):
        demo_sequence([tmp_path / "inside", tmp_path / "beside"])


def test_the_questions_are_not_in_the_data() -> None:
    known = set()
    for task in read_sequence(demo_sequence()).tasks:
        for path in (task.train, task.test or task.train):
            known |= {json.loads(line)["text"].lower() for line in Path(path).read_text("utf-8").splitlines()}
    assert len(known) > 100
    assert not known & {question.lower() for question in QUESTIONS}
