"""`fuse`, `merge`, `ensemble`, `add-task --on`, `export`, and what the other commands say of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
SHORT = ("--epochs", "1")


@pytest.fixture
def data(toy_files: Callable[..., Any], tmp_path: Path) -> tuple[str, ...]:
    files = toy_files(tmp_path / "data", "harbour")
    return ("--train", str(files.train), "--test", str(files.test))


@pytest.fixture
def fused(run: Run, grown: Path, data: tuple[str, ...]) -> Path:
    """With the task `harbour`, whose adapter is a fusion of the other two."""
    made = run("-p", grown, "fuse", "harbour", "--adapters", "garden,kitchen", *data, "--keep", "fusion", *SHORT)
    assert made.code == 0, made.err
    return grown


def test_fuse_says_what_it_compared_and_how_well_it_does(run: Run, grown: Path, data: tuple[str, ...]) -> None:
    made = run("-p", grown, "fuse", "harbour", "--adapters", "garden,kitchen", *data, *SHORT)
    assert made.code == 0
    assert made.out.startswith("harbour@1: validation ")
    assert "fusing garden@1, kitchen@1" in made.err
    assert "is kept." in made.err or "and kept." in made.err
    shown = run("-p", grown, "show", "harbour", "--json").json()
    [version] = shown["adapters"]
    assert [one["choice"] for one in version["comparison"]] == ["best member", "uniform", "own", "on top", "fusion"]
    assert sum(one["is_kept"] for one in version["comparison"]) == 1


def test_show_tells_members_choices_and_attention(run: Run, fused: Path) -> None:
    shown = " ".join(run("-p", fused, "show", "harbour").out.split())
    assert "garden@1, kitchen@1" in shown
    assert "uniform" in shown and "in block" in shown
    whole = run("-p", fused, "show", "harbour", "--json").json()
    assert set(whole["attention"]["mean"]) == {"garden@1", "kitchen@1"}
    assert "attention" not in run("-p", fused, "show", "garden", "--json").json()


def test_show_draws_a_heat_map(run: Run, fused: Path, tmp_path: Path) -> None:
    drawn = run("-p", fused, "show", "harbour", "--png", tmp_path / "map.png")
    assert drawn.code == 0
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    refused = run("-p", fused, "show", "garden", "--png", tmp_path / "none.png")
    assert refused.code == 2 and "'garden' attends to no members" in refused.err
    assert not (tmp_path / "none.png").exists()


def test_predict_explains_drops_and_weighs_members(run: Run, fused: Path) -> None:
    text = ("ferry yacht", "--task", "harbour")
    [explained] = run("-p", fused, "predict", *text, "--explain", "--json").lines()
    assert sum(explained["attention"].values()) == pytest.approx(1, abs=1e-3)
    assert "attends to: " in run("-p", fused, "predict", *text, "--explain").out
    [dropped] = run("-p", fused, "predict", *text, "--drop", "garden", "--json").lines()
    [alone] = run("-p", fused, "predict", *text, "--weights", "kitchen:1", "--json").lines()
    assert dropped["probability"] == pytest.approx(alone["probability"], abs=1e-5)
    assert "attention" not in dropped
    nobody = run("-p", fused, "predict", *text, "--drop", "cellar")
    assert nobody.code == 2 and "members here: garden@1, kitchen@1" in nobody.err


def test_a_member_is_removed_only_with_what_is_made_of_it(run: Run, fused: Path, tree: Callable[..., Any]) -> None:
    before = tree(fused)
    refused = run("-p", fused, "remove-task", "garden", "--yes")
    assert refused.code == 2 and "harbour@1 is made of garden@1" in refused.err and "--cascade" in refused.err
    assert tree(fused) == before
    tried = run("-p", fused, "remove-task", "garden", "--cascade", "--dry-run")
    assert tried.code == 0 and "nothing was changed" in tried.err
    gone = run("-p", fused, "remove-task", "garden", "--cascade", "--yes")
    assert gone.out.splitlines() == ["garden is removed", "harbour is removed"]


@pytest.mark.parametrize(
    ("command", "method"),
    [
        (("merge", "harbour", "--adapters", "garden:0.7,kitchen:0.3"), "bottleneck"),
        (("ensemble", "harbour", "--adapters", "garden,kitchen"), "ensemble"),
        (("ensemble", "harbour", "--adapters", "garden:3,kitchen:1"), "ensemble"),
        (("add-task", "harbour", "--on", "garden", *SHORT), "stack"),
        (("add-task", "harbour", "--on", "garden", "--method", "lora", "--rank", "2", *SHORT), "stack"),
        (("fuse", "harbour", "--adapters", "auto:1", "--with-own", "--keep", "fusion", *SHORT), "fusion"),
    ],
)
def test_the_other_ways_of_making_an_adapter_of_adapters(
    run: Run, grown: Path, data: tuple[str, ...], command: tuple[str, ...], method: str
) -> None:
    made = run("-p", grown, *command, *data)
    assert made.code == 0, made.err
    *_, newest = run("-p", grown, "show", "harbour", "--json").json()["adapters"]
    assert newest["method"] == method
    assert run("-p", grown, "predict", "ferry yacht", "--task", "harbour").code == 0


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("fuse", "harbour", "--adapters", "garden"), "expected 2 or more adapters, got garden"),
        (("fuse", "harbour", "--adapters", "garden:1,kitchen:2"), "expected names without weights"),
        (("fuse", "harbour", "--adapters", "garden,cellar"), "there is no task 'cellar'"),
        (
            ("merge", "harbour", "--adapters", "garden,kitchen"),
            "expected a weight for each adapter, such as garden:0.5",
        ),
        (("merge", "harbour", "--adapters", "garden:x,kitchen:1"), "expected NAME or NAME:WEIGHT, got 'garden:x'"),
        (("merge", "harbour", "--adapters", "garden:1,kitchen:1", "--how", "ties"), "linear"),
        (("ensemble", "harbour", "--adapters", "garden:1,kitchen:-1"), "must be 0 or more"),
        (("add-task", "harbour", "--on", "cellar"), "there is no task 'cellar'"),
    ],
)
def test_what_cannot_be_made_is_one_clear_error(
    run: Run,
    grown: Path,
    data: tuple[str, ...],
    command: tuple[str, ...],
    said: str,
) -> None:
    before = run("-p", grown, "tasks", "--json").json()
    refused = run("-p", grown, *command, *data)
    assert refused.code == 2
    assert said in " ".join(refused.err.split())
    assert "Traceback" not in refused.err
    assert run("-p", grown, "tasks", "--json").json() == before


def test_export_writes_a_model_that_transformers_loads(
    run: Run, grown: Path, data: tuple[str, ...], tmp_path: Path
) -> None:
    assert run("-p", grown, "add-task", "harbour", "--method", "lora", "--rank", "2", *data, *SHORT).code == 0
    place = tmp_path / "model"
    assert run("-p", grown, "export", "harbour", place, "--merged").code == 0
    config = json.loads((place / "config.json").read_text())
    assert set(config["id2label"].values()) == {"ship", "weather"}
    again = run("-p", grown, "export", "harbour", place, "--merged")
    assert again.code == 2 and str(place) in again.err
    bottleneck = run("-p", grown, "export", "garden", tmp_path / "other", "--merged")
    assert bottleneck.code == 2 and "only a LoRA can be folded into the base" in bottleneck.err
    assert not (tmp_path / "other").exists()


def test_a_dry_run_changes_nothing(run: Run, grown: Path, data: tuple[str, ...], tree: Callable[..., Any]) -> None:
    before = tree(grown)
    ran = run("-p", grown, "fuse", "harbour", "--adapters", "garden,kitchen", *data, "--dry-run")
    assert ran.code == 0 and "harbour: 2 labels" in ran.out
    assert tree(grown) == before
