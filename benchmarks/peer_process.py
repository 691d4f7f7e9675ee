"""Another library in a process and a virtual environment of its own, answering one question at a time.

Questions and answers are JSON objects, a line each. The environment is made on the first run, from the package index.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class PeerProcess:
    """A script that greets with a first answer and then answers what it is asked."""

    def __init__(self, name: str, command: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
        """
        Args:
            name: of the library, for messages.
            variables: its environment variables; those of this process by default. PYTHONPATH is left out, as it would
                let this environment's packages into the other one.
        """
        self._name = name
        outside = dict(os.environ if variables is None else variables)
        outside.pop("PYTHONPATH", None)
        self._process = subprocess.Popen(
            list(command), env=outside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )
        self.hello = self._answer()

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"expected an answer of {self._name}, but its process ended: {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def peer_python(work: Path, *requirements: str) -> Path:
    """The Python of a virtual environment with these requirements below `work`, made if it is not there whole."""
    name = "-".join(requirement.replace("torch==", "torch-") for requirement in requirements)
    directory = work.expanduser().resolve() / f"{name}-python-{platform.python_version()}"
    python = directory / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    whole = directory / "whole"
    if not whole.exists():
        print(f"making {directory} with {' and '.join(requirements)}; some minutes", file=sys.stderr)
        venv.create(directory, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
        whole.touch()
    return python
