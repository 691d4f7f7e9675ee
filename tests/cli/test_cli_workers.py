"""`add-tasks --workers`: what is said and refused; what workers do is tested in tests/whole/test_side_by_side.py."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

SEQUENCE = '[[task]]\nname = "harbour"\ntrain = "harbour.train.jsonl"\ntest = "harbour.test.jsonl"\n'


def test_more_workers_than_cores_are_allowed_and_said(
    run: Any, grown: Path, toy_files: Callable[..., Any], monkeypatch: Any
) -> None:
    """One task is left to learn, so that one process does it, whatever was asked for."""
    folder = grown.parent / "sequence"
    toy_files(folder, "harbour")
    (folder / "sequence.toml").write_text(SEQUENCE)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    command = ("-p", grown, "add-tasks", folder / "sequence.toml", "--epochs", "1", "--workers")
    assert "workers" not in run(*command, "2", "--dry-run").err
    added = run(*command, "3")
    assert added.code == 0 and added.out.startswith("harbour@1: ")
    assert "3 workers share 2 cores" in added.err
    assert "harbour: begins" in added.err


def test_a_number_of_workers_that_cannot_be_is_refused(run: Any, grown: Path) -> None:
    refused = run("-p", grown, "add-tasks", "sequence.toml", "--workers", "0")
    assert refused.code == 2 and "--workers" in refused.err
