"""The `adapters` library as a contestant of `fusion_speed.py`: it runs in a process and an environment of its own.

The environment is made on the first run, from the package index; `add_task.py` makes and uses the same.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.peers.fusion_rig import Case, Pass

REQUIREMENT = "adapters==1.3.0"
_SCRIPT = Path(__file__).parent / "peers" / "adapters_fusion.py"


class Peer:
    """The library in its own process, answering one question at a time."""

    def __init__(self, work: Path, base: str, *, members: Sequence[int], trained: int, threads: int) -> None:
        """
        Args:
            work: a directory that keeps the environment from run to run.
            base: the directory of the base.
            trained: how many members a training step has.
        """
        command = [str(_environment(work)), str(_SCRIPT), "--base", base, "--threads", str(threads)]
        command += ["--trained", str(trained), "--members", *map(str, members)]
        # PYTHONPATH would let this environment's packages into the other one.
        outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            command, env=outside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )
        hello = self._answer()
        self.versions: dict[str, str] = hello["versions"]
        self.cases: list[Case] = [Case(**case) for case in hello["cases"]]

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()

    def timed(self, case: Case) -> Pass:
        return Pass(**self._ask({"do": "time", "case": asdict(case)}))

    def peak_bytes(self, case: Case) -> int:
        return int(self._ask({"do": "memory", "case": asdict(case)})["bytes"])

    def base_peak_bytes(self) -> int:
        return int(self._ask({"do": "memory of base"})["bytes"])

    def blend(self, numbers: dict[str, np.ndarray]) -> np.ndarray:
        """(sites, batch, time, d): what its fusion layer makes of our matrices and our members' outputs."""
        with TemporaryDirectory() as directory:
            given, made = Path(directory) / "given.npz", Path(directory) / "made.npy"
            np.savez(given, allow_pickle=False, **numbers)
            self._ask({"do": "blend", "numbers": str(given), "to": str(made)})
            blended: np.ndarray = np.load(made)
        return blended

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"expected an answer of the adapters library, but its process ended: {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _environment(work: Path) -> Path:
    """The Python of the library's virtual environment, made if it is not there whole; the same torch as here."""
    version = torch.__version__.partition("+")[0]
    directory = work.expanduser().resolve() / f"{REQUIREMENT}-torch-{version}-python-{platform.python_version()}"
    python = directory / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    whole = directory / "whole"
    if not whole.exists():
        print(f"making {directory} with torch {version} and {REQUIREMENT}; some minutes", file=sys.stderr)
        venv.create(directory, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"torch=={version}", REQUIREMENT], check=True)
        whole.touch()
    return python
