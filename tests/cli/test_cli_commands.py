"""What each command does and prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
Tree = Callable[[Path], dict[str, str]]

SEQUENCE = """
[[task]]
name = "garden"
train = "garden.train.jsonl"
test = "garden.test.jsonl"

[[task]]
name = "harbour"
train = "harbour.train.jsonl"
test = "harbour.test.jsonl"
"""


@pytest.fixture
def harbour(toy_task: Callable[..., Any]) -> list[str]:
    """The options that name the files of a task which `grown` does not have."""
    files = toy_task("harbour")
    return ["--train", str(files.train), "--test", str(files.test)]


def test_init_says_which_base_and_what_to_type_next(run: Run, tiny_base_dir: Path, tmp_path: Path) -> None:
    place = tmp_path / "new one"
    made = run("-p", place, "init", "--base", tiny_base_dir, "--trunk", "1", "--max-tokens", "16")
    assert made.code == 0
    assert str(tiny_base_dir) in made.out and "the lowest 1 of them" in made.out
    assert f"portfolio -p '{place}' add-task NAME --train FILE" in made.err
    contract = json.loads((place / "base.json").read_text())
    assert (contract["trunk"], contract["max_tokens"]) == (1, 16)
    assert contract["fingerprint"] in made.out


def test_init_without_a_place_takes_the_current_directory_if_it_is_empty(run: Run, tiny_base_dir: Path) -> None:
    assert run("init", "--base", tiny_base_dir).code == 0
    assert Path("portfolio.db").is_file()
    again = run("init", "--base", tiny_base_dir)
    assert again.code == 2 and again.err.startswith("Error: ")


def test_add_task_tells_how_well_the_task_went(run: Run, grown: Path, harbour: list[str]) -> None:
    added = run("-p", grown, "add-task", "harbour", *harbour, "--epochs", "1")
    assert added.code == 0
    assert added.out.startswith("harbour@1: validation ") and added.out.count("\n") == 1
    assert "columns guessed" in added.err  # notes
    assert "100 % of at most" in added.err  # progress
    assert f"portfolio -p {grown} predict TEXT" in added.err


def test_add_task_as_json_prints_what_show_prints(run: Run, grown: Path, harbour: list[str]) -> None:
    added = run("-p", grown, "add-task", "harbour", *harbour, "--epochs", "1", "--json")
    shown = run("-p", grown, "show", "harbour", "--json")
    assert added.json() == shown.json()
    assert shown.json()["adapters"][0]["ref"] == "harbour@1"


def test_add_task_hands_every_given_setting_on(run: Run, grown: Path, harbour: list[str]) -> None:
    settings = "--method lora --rank 3 --alpha 6 --dropout 0.1 --target query --target value --blocks 3"
    training = "--epochs 2 --patience 1 --batch-size 8 --learning-rate 0.002 --seed 5"
    added = run("-p", grown, "add-task", "harbour", *harbour, *settings.split(), *training.split(), "--json").json()
    adapter = added["adapters"][0]
    expected = {"rank": 3, "alpha": 6.0, "dropout": 0.1, "targets": ["query", "value"], "blocks": [3]}
    assert expected.items() <= adapter["config"].items()
    expected = {"epochs": 2, "patience": 1, "batch_size": 8, "learning_rate": 0.002, "seed": 5}
    assert expected.items() <= adapter["training"].items()
    assert added["seed"] == 5


def test_a_bottleneck_takes_its_own_settings(run: Run, grown: Path, harbour: list[str]) -> None:
    settings = "--placement houlsby --activation gelu --scale 0.5 --rank 4 --epochs 1"
    added = run("-p", grown, "add-task", "harbour", *harbour, *settings.split(), "--json").json()
    expected = {"method": "bottleneck", "placement": "houlsby", "activation": "gelu", "scale": 0.5, "rank": 4}
    assert expected.items() <= added["adapters"][0]["config"].items()


def test_columns_and_filter_choose_what_is_read(run: Run, grown: Path, tmp_path: Path) -> None:
    rows = [{"say": f"{word} {n}", "more": "x", "is": word, "of": "a"} for n in range(10) for word in ("fog", "sun")]
    rows.append({"say": "storm", "more": "x", "is": "storm", "of": "b"})
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = ["--text-column", "say", "--pair-column", "more", "--label-column", "is", "--filter", "of=a"]
    read = run("-p", grown, "add-task", "sky", "--train", path, *columns, "--dry-run", "--json").json()
    assert read["columns"] == {"text": "say", "pair": "more", "label": "is"}
    assert set(read["labels"]) == {"fog", "sun"}


def test_a_dry_run_counts_rows_and_labels_and_changes_nothing(
    run: Run, grown: Path, harbour: list[str], tree: Tree
) -> None:
    before = tree(grown)
    read = run("-p", grown, "add-task", "harbour", *harbour, "--dry-run")
    assert read.code == 0 and tree(grown) == before
    assert "ship" in read.out and "weather" in read.out and "36" in read.out  # of 40, 4 are held out
    assert "note: validation: 4 of 40 rows held out of train" in read.out


def test_a_dry_run_checks_the_settings_too(run: Run, grown: Path, harbour: list[str]) -> None:
    refused = run("-p", grown, "add-task", "harbour", *harbour, "--dry-run", "--alpha", "2")
    assert refused.code == 2
    assert "bottleneck has no setting alpha; it has rank, placement" in refused.err


def test_add_tasks_skips_what_is_there_and_says_so(run: Run, grown: Path, toy_files: Callable[..., Any]) -> None:
    folder = grown.parent / "sequence"
    toy_files(folder, "garden"), toy_files(folder, "harbour")
    (folder / "sequence.toml").write_text(SEQUENCE.replace('"garden"', '"tulips"'))
    read = run("-p", grown, "add-tasks", folder / "sequence.toml", "--dry-run")
    assert "tulips: 2 labels" in read.out and "harbour: 2 labels" in read.out
    first = run("-p", grown, "add-tasks", folder / "sequence.toml", "--epochs", "1")
    assert first.code == 0 and "skipped" not in first.err
    assert [line.split(":")[0] for line in first.out.splitlines()] == ["tulips@1", "harbour@1"]
    again = run("-p", grown, "add-tasks", folder / "sequence.toml", "--epochs", "1")
    assert again.code == 0 and again.out == ""
    assert "tulips is here already and is skipped" in again.err and "harbour is here" in again.err


def test_add_tasks_interrupted_keeps_whole_tasks_and_goes_on_later(
    run: Run, tiny_base_dir: Path, toy_task: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portfolio import composing

    toy_task("garden"), toy_task("harbour")
    (tmp_path / "sequence.toml").write_text(SEQUENCE)
    place = tmp_path / "new"
    run("-p", place, "init", "--base", tiny_base_dir)
    train, trained = composing.train_adapter, []

    def interrupted_the_second_time(*arguments: Any) -> Any:
        trained.append(1)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return train(*arguments)

    monkeypatch.setattr(composing, "train_adapter", interrupted_the_second_time)
    stopped = run("-p", place, "add-tasks", tmp_path / "sequence.toml", "--epochs", "1")
    assert stopped.code == 130
    assert "the same command goes on" in stopped.err and "Traceback" not in stopped.err
    assert [task["name"] for task in run("-p", place, "tasks", "--json").json()["tasks"]] == ["garden"]
    assert run("-p", place, "verify").code == 0
    went_on = run("-p", place, "add-tasks", tmp_path / "sequence.toml", "--epochs", "1")
    assert went_on.code == 0 and went_on.out.startswith("harbour@1: ")


def test_tasks_show_and_report_print_for_people_and_as_json(run: Run, grown: Path) -> None:
    listed, shown, reported = (run("-p", grown, *of.split()) for of in ("tasks", "show kitchen", "report"))
    assert "garden" in listed.out and "kitchen" in listed.out
    assert "kitchen@1" in shown.out and "garden" not in shown.out.split("scores")[0]
    assert "2 tasks on the frozen base" in reported.out
    assert [task["name"] for task in run("-p", grown, "tasks", "--json").json()["tasks"]] == ["garden", "kitchen"]
    report = run("-p", grown, "report", "--json").json()
    assert report["tasks"] == ["garden", "kitchen"]
    for how in ("oracle", "routed"):
        assert {"matrix", "average_accuracy", "bwt", "forgetting", "fwt"} <= report[how].keys()
        assert report[how]["matrix"][0][1] is None
    assert 0 <= report["routing_accuracy"] <= 1
    assert all(ran.err == "" for ran in (listed, shown, reported))


def test_evaluate_measures_again_what_the_report_says(run: Run, grown: Path) -> None:
    stored = run("-p", grown, "report", "--json").json()
    measured = run("-p", grown, "evaluate", "--json").json()
    for how in ("oracle", "routed"):
        assert measured[how]["matrix"][-1] == pytest.approx(stored[how]["matrix"][-1], abs=0.1)
    assert "2 tasks" in run("-p", grown, "evaluate", "--threads", "1").out


def test_remove_task_asks_on_a_terminal(run: Run, grown: Path) -> None:
    kept = run("-p", grown, "remove-task", "garden", typed="n\n", terminal=True)
    assert kept.code == 130 and "Remove garden for good?" in kept.err
    assert len(run("-p", grown, "tasks", "--json").json()["tasks"]) == 2
    gone = run("-p", grown, "remove-task", "garden", typed="y\n", terminal=True)
    assert gone.code == 0 and "garden is removed" in gone.out
    assert [task["name"] for task in run("-p", grown, "tasks", "--json").json()["tasks"]] == ["kitchen"]


def test_remove_task_without_a_terminal_needs_yes(run: Run, grown: Path, tree: Tree) -> None:
    before = tree(grown)
    refused = run("-p", grown, "remove-task", "garden")
    assert refused.code == 2 and "--yes" in refused.err
    dry = run("-p", grown, "remove-task", "garden", "--dry-run")
    assert dry.code == 0 and "garden@1" in dry.out and "nothing was changed" in dry.err
    assert tree(grown) == before
    assert run("-p", grown, "remove-task", "garden", "--yes").code == 0


def test_verify_exits_with_1_if_and_only_if_something_is_damaged(run: Run, grown: Path) -> None:
    (grown / "blobs" / "left-over").write_bytes(b"?")
    whole = run("-p", grown, "verify")
    assert whole.code == 0 and "note: " in whole.out and "nothing is damaged" in whole.out
    assert run("-p", grown, "verify", "--json").json()["damaged"] is False
    digest = run("-p", grown, "show", "garden", "--json").json()["adapters"][0]["digest"]
    blob = grown / "blobs" / digest[:2] / digest[2:]
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    damaged = run("-p", grown, "verify")
    assert damaged.code == 1 and digest[2:] in damaged.out and "garden" in damaged.out
    found = run("-p", grown, "verify", "--json")
    assert found.code == 1 and found.json()["damaged"] is True
    assert [one["kind"] for one in found.json()["findings"] if one["is_damage"]] == ["blob-damaged"]


def test_the_demo_grows_a_portfolio_and_answers_three_questions(run: Run, tiny_base_dir: Path) -> None:
    shown = run("demo", "--into", "demo", "--base", tiny_base_dir, "--threads", "1")
    assert shown.code == 0
    assert "6 tasks on the frozen base" in shown.out and "Which film should we watch tonight?" in shown.out
    assert shown.out.count("  route: ") == 3
    assert "portfolio -p demo predict" in shown.err
    assert len(run("-p", "demo", "tasks", "--json").json()["tasks"]) == 6
