"""Sequences that ship with the project are found by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from portfolio.errors import NotFound
from portfolio.tasks.shipped import Shipped, find_sequence, shipped_path, shipped_sequences

ONE = '# One task.\n# More words.\n[[task]]\nname = "a"\ntrain = "a.csv"\n'
TWO = '# Two tasks\n[orders]\nup = ["a", "b"]\ndown = ["b", "a"]\n' + "".join(
    f'[[task]]\nname = "{name}"\ntrain = ["${{NOWHERE}}/a.csv", "hub:a"]\n' for name in "ab"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sequence beside its data, and one without."""
    for place, text in (("data/desk/sequence.toml", ONE), ("data/sequences/both.toml", TWO)):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_text(text)
    (tmp_path / "data/sequences/CARD.md").touch()
    return tmp_path / "data"


def test_each_shipped_sequence_is_told_in_a_few_words(folder: Path) -> None:
    both, desk = folder / "sequences/both.toml", folder / "desk/sequence.toml"
    assert shipped_sequences([folder]) == (
        Shipped(name="both", path=both, tasks=2, about="Two tasks", orders=("up", "down")),
        Shipped(name="desk", path=desk, tasks=1, about="One task.", orders=()),
    )


def test_a_folder_that_is_not_there_holds_no_sequence(tmp_path: Path) -> None:
    assert shipped_sequences([tmp_path / "gone"]) == ()


def test_the_first_folder_that_has_a_name_counts(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "desk" / "sequence.toml"
    other.parent.mkdir(parents=True)
    other.write_text(ONE)
    assert shipped_path("desk", [tmp_path / "other", folder]) == other
    assert shipped_path("both", [tmp_path / "other", folder]) == folder / "sequences/both.toml"
    assert shipped_path("neither", [tmp_path / "other", folder]) is None


def test_a_sequence_is_found_by_file_first_and_then_by_name(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_sequence("desk", [folder]) == folder / "desk/sequence.toml"
    (tmp_path / "desk").write_text(ONE)
    assert find_sequence("desk", [folder]) == Path("desk")
    assert find_sequence(folder / "sequences/both.toml", [folder]) == folder / "sequences/both.toml"


@pytest.mark.parametrize("name", ["neither", "both.toml", "sequences", "a\0b", "x" * 5000])
def test_what_is_neither_file_nor_name_is_answered_with_the_names(folder: Path, name: str) -> None:
    with pytest.raises(NotFound, match="which is not there; shipped sequences: both, desk"):
        find_sequence(name, [folder])


def test_five_sequences_ship_with_the_project() -> None:
    shipped = {one.name: (one.tasks, one.orders) for one in shipped_sequences()}
    assert shipped == {
        "banking77-7x11": (7, ()),
        "clinc150-15x10": (15, ()),
        "clinc150-domains": (10, ()),
        "helpdesk": (6, ()),
        "standard-four": (4, ("order1", "order2", "order3")),
    }
