"""Bad input: one clear error, exit code 2, and not a byte of the portfolio changed."""

from __future__ import annotations

import errno
import itertools
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
Tree = Callable[[Path], dict[str, str]]

GOOD = [{"text": f"{word} {number}", "label": word} for number in range(20) for word in ("fog", "sun")]


def lines(*rows: object) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def refused(run: Run, grown: Path, tree: Tree) -> Callable[..., str]:
    """Runs a command that must fail; its message, which is one line or two, after looking that nothing changed."""

    def message(*arguments: str | Path) -> str:
        before = tree(grown)
        ran = run("-p", grown, *arguments)
        assert tree(grown) == before
        assert (ran.code, ran.out) == (2, "")
        assert "Traceback" not in ran.err and len(ran.err) < 2000
        *_, last = ran.err.split("Error: ")
        assert ran.err.count("Error: ") == 1
        return str(last)

    return message


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (lines({"body": "x", "label": "a"}), "--text-column"),
        (lines({"text": "x", "kind_of": "a"}), "--label-column"),
        (lines(*GOOD, {"text": "  ", "label": "fog"}), "train.jsonl:41: the text in 'text' is empty"),
        (lines(*GOOD, {"text": 7, "label": "fog"}), "train.jsonl:41: expected text in 'text', got 7"),
        (lines(*GOOD, ["text", "label"]), "train.jsonl:41: "),
        (lines(*GOOD) + b"{]\n", "train.jsonl:41: "),
        (lines(*[{"text": f"x {n}", "label": "a"} for n in range(9)]), "expected two classes or more, got one"),
        (lines(*GOOD, {"text": "x" * (10 << 20), "label": "fog"}), "train.jsonl:41: a line of 104857"),
        (lines(*GOOD) + b'{"text": "caf\xe9", "label": "fog"}\n', "train.jsonl:41: not UTF-8: byte 0xe9"),
        (b"", "empty"),
    ],
    ids=[
        "no text column", "no label column", "empty text", "a number for a text", "a list for a row", "no JSON",
        "one class only", "a line of 10 MB", "no UTF-8", "an empty file",
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_learned_is_refused(
    refused: Callable[..., str], tmp_path: Path, train: bytes, message: str
) -> None:
    (tmp_path / "train.jsonl").write_bytes(train)
    assert message in refused("add-task", "sky", "--train", tmp_path / "train.jsonl")


def test_a_missing_file_is_named(refused: Callable[..., str], tmp_path: Path) -> None:
    assert str(tmp_path / "nowhere.jsonl") in refused("add-task", "sky", "--train", tmp_path / "nowhere.jsonl")
    assert "nowhere.toml" in refused("add-tasks", tmp_path / "nowhere.toml")


def test_labels_that_train_lacks_are_counted_and_can_be_dropped_or_kept(
    refused: Callable[..., str], run: Run, grown: Path, tmp_path: Path
) -> None:
    train, test = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    train.write_bytes(lines(*GOOD))
    test.write_bytes(lines(*GOOD[:4], {"text": "hail", "label": "ice"}))
    message = refused("add-task", "sky", "--train", train, "--test", test)
    assert "1 of 5 rows have labels that train lacks: 'ice' (1)" in message
    assert "--unknown-labels drop" in message and "--unknown-labels keep" in message
    for choice, rows in (("drop", 4), ("keep", 5)):
        arguments = ["--train", train, "--test", test, "--unknown-labels", choice, "--dry-run", "--json"]
        read = run("-p", grown, "add-task", "sky", *arguments).json()
        assert sum(counts["test"] for counts in read["labels"].values()) == rows


@pytest.mark.parametrize("name", ["../sky", "..", "a/b", "", "-sky"])
def test_a_name_that_could_climb_out_of_a_directory_is_refused(
    refused: Callable[..., str], tmp_path: Path, name: str
) -> None:
    (tmp_path / "train.jsonl").write_bytes(lines(*GOOD))
    message = refused("add-task", "--train", tmp_path / "train.jsonl", "--", name)
    assert f"task name {name!r} is not allowed" in message


def test_a_taken_name_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_bytes(lines(*GOOD))
    assert "remove-task garden" in refused("add-task", "garden", "--train", tmp_path / "train.jsonl")


def test_a_sequence_that_means_another_task_of_that_name_is_refused(
    refused: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "train.jsonl").write_bytes(lines(*GOOD))
    (tmp_path / "sequence.toml").write_text('[[task]]\nname = "garden"\ntrain = "train.jsonl"\n')
    assert "was read from" in refused("add-tasks", tmp_path / "sequence.toml")


def test_a_bad_sequence_file_is_refused_with_its_lines(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "sequence.toml").write_text('[[task]]\nname = "sky"\ntrian = "train.jsonl"\n')
    assert "sequence.toml:3: unknown key 'trian'" in refused("add-tasks", tmp_path / "sequence.toml")


def test_an_unknown_method_in_a_sequence_is_refused_before_the_first_task_is_learned(
    refused: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "train.jsonl").write_bytes(lines(*GOOD))
    tasks = '[[task]]\nname = "sky"\ntrain = "train.jsonl"\n[[task]]\nname = "sea"\ntrain = "train.jsonl"\n'
    (tmp_path / "sequence.toml").write_text(tasks + 'method = "prefix"\n')
    assert "got 'prefix'" in refused("add-tasks", tmp_path / "sequence.toml", "--epochs", "1")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("--method prefix", "method must be one of bottleneck, lora; got 'prefix'"),
        ("--method lora --placement houlsby", "lora has no setting placement; it has rank, alpha, targets"),
        ("--rank 0", "rank must be 1 or more, got 0"),
        ("--rank many", "'many' is not a valid integer"),
        ("--blocks three", "--blocks"),
        ("--blocks 0", "block"),
        ("--epochs 0", "epochs must be 1 or more, got 0"),
        ("--learning-rate -1", "learning rate must be above 0, got -1"),
        ("--filter of", "expected COLUMN=VALUE, got 'of'"),
        ("--threads 0", "--threads"),
        ("--colour red", "No such option"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    refused: Callable[..., str], tmp_path: Path, settings: str, message: str
) -> None:
    (tmp_path / "train.jsonl").write_bytes(lines(*GOOD))
    assert message in refused("add-task", "sky", "--train", tmp_path / "train.jsonl", *settings.split())


@pytest.mark.parametrize("command", ["show sky", "remove-task sky --yes", "predict --task sky fog"])
def test_a_task_that_is_not_there_is_refused(refused: Callable[..., str], command: str) -> None:
    assert "'sky'" in refused(*command.split())


def test_a_damaged_blob_is_named(refused: Callable[..., str], run: Run, grown: Path) -> None:
    digest = run("-p", grown, "show", "garden", "--json").json()["adapters"][0]["digest"]
    blob = grown / "blobs" / digest[:2] / digest[2:]
    blob.chmod(0o644)
    blob.write_bytes(b"?" + blob.read_bytes()[1:])
    message = refused("predict", "--task", "garden", "rose fern")
    assert str(blob) in message and "copy" in message


@pytest.mark.parametrize("command", ["tasks", "report", "verify", "predict fog", "remove-task garden --yes"])
def test_a_portfolio_of_a_newer_schema_is_refused(refused: Callable[..., str], grown: Path, command: str) -> None:
    db = sqlite3.connect(grown / "portfolio.db")
    with db:
        db.execute("INSERT INTO migration (number, name, applied_at) VALUES (999, 'of_the_future', '2100-01-01')")
    db.close()
    message = refused(*command.split())
    assert "schema version 999" in message and "pip install --upgrade" in message


@pytest.mark.parametrize("command", ["tasks", "verify", "predict fog"])
def test_a_database_that_is_none_is_refused(refused: Callable[..., str], grown: Path, command: str) -> None:
    (grown / "portfolio.db").write_bytes(b"no database " * 1000)
    assert "portfolio.db" in refused(*command.split())


def test_another_base_than_the_portfolios_is_refused(
    run: Run, tiny_base_dir: Path, tmp_path: Path, toy_task: Callable[..., Any], tree: Tree
) -> None:
    from safetensors.numpy import load_file, save_file

    base, place = tmp_path / "base", tmp_path / "new"
    base.mkdir()
    for path in tiny_base_dir.iterdir():
        (base / path.name).write_bytes(path.read_bytes())
    run("-p", place, "init", "--base", base)
    files, before = toy_task("garden"), tree(place)
    weights = load_file(base / "model.safetensors")
    save_file({name: 2 * tensor for name, tensor in weights.items()}, base / "model.safetensors", {"format": "pt"})
    ran = run("-p", place, "add-task", "garden", "--train", files.train)
    assert ran.code == 2 and tree(place) == before
    assert ran.err.count("fingerprint") == 1 and ran.err.count("…") == 2  # both are named


def failing_opens(error: int, at: int) -> Callable[..., int]:
    """An `os.open` that fails at the `at`-th file it is to write, and from then on."""
    original, counted = os.open, itertools.count(1)

    def opened(path: Any, flags: int, *mode: int, **directory: Any) -> int:
        if flags & os.O_WRONLY and next(counted) >= at:
            raise OSError(error, os.strerror(error))
        return original(path, flags, *mode, **directory)

    return opened


@pytest.mark.parametrize("error", [errno.EROFS, errno.ENOSPC], ids=["read-only", "full"])
@pytest.mark.parametrize("command", ["add-task sky --train sky.jsonl", "remove-task garden --yes", "evaluate"])
def test_a_directory_that_cannot_be_written_is_refused_before_the_work(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, command: str, error: int
) -> None:
    """Simulated at the system call: a test may be run by root, whom no permission stops."""
    Path("sky.jsonl").write_bytes(lines(*GOOD))
    monkeypatch.setattr(os, "open", failing_opens(error, 1))
    message = refused(*command.split())
    assert os.strerror(error) in message and "run the same command again" in message


@pytest.mark.parametrize("at", [2, 3, 4])
def test_a_disk_that_fills_up_while_a_task_is_learned_leaves_the_portfolio_as_it_was(
    run: Run, grown: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    Path("sky.jsonl").write_bytes(lines(*GOOD))
    before = run("-p", grown, "report", "--json").out
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing_opens(errno.ENOSPC, at))
        failed = run("-p", grown, "add-task", "sky", "--train", "sky.jsonl", "--epochs", "1")
    assert failed.code == 2 and "No space left" in failed.err and failed.out == ""
    assert run("-p", grown, "report", "--json").out == before
    assert run("-p", grown, "verify").code == 0
