"""The command line run inside this process, and a portfolio with two toy tasks to run it on."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import cli


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What one command did."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def lines(self) -> list[dict[str, Any]]:
        """Its output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


class Terminal(io.TextIOWrapper):
    """Standard input that someone types."""

    def isatty(self) -> bool:
        return True


Run = Callable[..., Ran]


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs in a directory of its own, and no variable of the developer's shell reaches it."""
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    for name in ("PORTFOLIO_DIR", "PORTFOLIO_DEBUG", "COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `portfolio ARGUMENTS`; `typed` is what comes in on standard input, from a terminal or from a pipe."""

    def ran(*arguments: str | Path, typed: str | bytes = b"", terminal: bool = False) -> Ran:
        raw = io.BytesIO(typed.encode() if isinstance(typed, str) else typed)
        kind = Terminal if terminal else io.TextIOWrapper
        monkeypatch.setattr(sys, "stdin", kind(raw, encoding="utf-8"))
        capsys.readouterr()
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as exit_:  # click's own way out, for a closed pipe
            code = int(exit_.code or 0)
        said = capsys.readouterr()
        return Ran(code=code, out=said.out, err=said.err)

    return ran


@pytest.fixture(scope="session")
def _grown(tmp_path_factory: pytest.TempPathFactory, tiny_base_dir: Path, toy_files: Callable[..., Any]) -> Path:
    directory = tmp_path_factory.mktemp("grown")
    place = str(directory / "portfolio")
    assert cli.main(["-p", place, "init", "--base", str(tiny_base_dir)]) == 0
    for name in ("garden", "kitchen"):
        files = toy_files(directory, name)
        where = ["--train", str(files.train), "--test", str(files.test)]
        assert cli.main(["-p", place, "add-task", name, *where, "--epochs", "2"]) == 0
    return directory / "portfolio"


@pytest.fixture
def grown(_grown: Path, tmp_path: Path) -> Path:
    """A portfolio with the toy tasks `garden` and `kitchen`, this test's own copy."""
    return Path(shutil.copytree(_grown, tmp_path / "portfolio"))


@pytest.fixture
def tree() -> Callable[[Path], dict[str, str]]:
    """Takes the digest of every file below a directory, to see that nothing changed."""

    def digests(root: Path) -> dict[str, str]:
        return {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            for path in sorted(root.rglob("*"))
        }

    return digests
