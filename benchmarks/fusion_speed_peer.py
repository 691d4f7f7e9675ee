"""The `adapters` library as a contestant of `fusion_speed.py`: it runs in a process and an environment of its own.

The environment is made on the first run, from the package index; `add_task.py` makes and uses the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.peer_process import PeerProcess, peer_python
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
        python = peer_python(work, REQUIREMENT, f"torch=={torch.__version__.partition('+')[0]}")
        command = [str(python), str(_SCRIPT), "--base", base, "--threads", str(threads)]
        command += ["--trained", str(trained), "--members", *map(str, members)]
        self._process = PeerProcess("the adapters library", command)
        hello = self._process.hello
        self.versions: dict[str, str] = hello["versions"]
        self.cases: list[Case] = [Case(**case) for case in hello["cases"]]

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.close()

    def timed(self, case: Case) -> Pass:
        return Pass(**self._process.ask({"do": "time", "case": asdict(case)}))

    def peak_bytes(self, case: Case) -> int:
        return int(self._process.ask({"do": "memory", "case": asdict(case)})["bytes"])

    def base_peak_bytes(self) -> int:
        return int(self._process.ask({"do": "memory of base"})["bytes"])

    def blend(self, numbers: dict[str, np.ndarray]) -> np.ndarray:
        """(sites, batch, time, d): what its fusion layer makes of our matrices and our members' outputs."""
        with TemporaryDirectory() as directory:
            given, made = Path(directory) / "given.npz", Path(directory) / "made.npy"
            np.savez(given, allow_pickle=False, **numbers)
            self._process.ask({"do": "blend", "numbers": str(given), "to": str(made)})
            blended: np.ndarray = np.load(made)
        return blended
