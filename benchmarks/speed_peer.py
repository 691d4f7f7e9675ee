"""Other libraries as contestants of `speed.py`: each runs in a process and an environment of its own.

The environments are made on the first run, from the package index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.peer_process import PeerProcess, peer_python
from benchmarks.peers.fusion_rig import Pass
from benchmarks.peers.speed_rig import Case, Check
from portfolio.hosting.base import MINILM, load_base


@dataclass(frozen=True, kw_only=True)
class Library:
    """What another library needs."""

    requirement: str
    script: str


LIBRARIES: Mapping[str, Library] = {
    "adapters": Library(requirement="adapters==1.3.0", script="speed_adapters.py"),
    "peft": Library(requirement="peft==0.21.2", script="speed_peft.py"),
}


class Peer:
    """A library in its own process, answering one question at a time."""

    def __init__(self, library: Library, work: Path, threads: int) -> None:
        """
        Args:
            work: a directory that keeps the environment from run to run.
        """
        python = peer_python(work, library.requirement, f"torch=={torch.__version__.partition('+')[0]}")
        script = Path(__file__).parent / "peers" / library.script
        base = str(load_base(MINILM).model.name_or_path)  # a directory
        command = [str(python), str(script), "--base", base, "--threads", str(threads)]
        self._process = PeerProcess(library.requirement, command)
        self.versions: dict[str, str] = self._process.hello["versions"]
        self.cases: list[Case] = [Case(**case) for case in self._process.hello["cases"]]

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.close()

    def timed(self, case: Case) -> Pass:
        return Pass(**self._process.ask({"do": "time", "case": asdict(case)}))

    def check(self, case: Case, every: int) -> Check:
        return Check(**self._process.ask({"do": "check", "case": asdict(case), "every": every}))
