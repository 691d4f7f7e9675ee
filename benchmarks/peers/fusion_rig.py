"""What both processes of `fusion_speed.py` share: the cases, the clock, the peak of memory, one training step.

Knows torch only, so that it also runs in the other library's environment.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

FORWARD, STEP = "forward", "training step"
ALL, UPPER, UPPER_KEPT = "all blocks", "upper half", "upper half, trunk kept"
ROWS = 32  # in the one batch
RANK = 48  # of every member
LEARNING_RATE = 5e-5
CLIP = 1.0
Run = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """One thing that is measured."""

    what: str  # FORWARD or STEP
    form: str  # how the fusion is computed
    members: int
    blocks: str


@dataclass(frozen=True)
class Pass:
    """How long a case took, and how long a plain forward pass of the base took just before it."""

    seconds: float
    base_seconds: float


def timed(run: Run, base: Run) -> Pass:
    """The case right after a pass of the base, so that a slow moment of the machine hits both."""
    base_seconds = _seconds(base)
    return Pass(_seconds(run), base_seconds)


def clock_name() -> str:
    """With one thread the time is the processor's, which other programs on the machine do not lengthen."""
    return "processor time" if torch.get_num_threads() == 1 else "wall time"


def _seconds(run: Run) -> float:
    clock = time.process_time if clock_name() == "processor time" else time.perf_counter
    began = clock()
    run()
    return clock() - began


def peak_bytes(run: Run) -> int:
    """The most memory that tensors made during the run held at one time. What it returns counts as long as it runs."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    with TemporaryDirectory() as directory:
        file = Path(directory) / "trace.json"
        profiler.export_chrome_trace(str(file))
        events = json.loads(file.read_text(encoding="utf-8"))["traceEvents"]
    changes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event["name"] == "[memory]")
    held = peak = 0
    for _, change in changes:
        held += change
        peak = max(peak, held)
    return peak


class Training:
    """AdamW on one batch, again and again."""

    def __init__(
        self, weights: Sequence[nn.Parameter], loss: Callable[[], Tensor], learning_rate: float = LEARNING_RATE
    ) -> None:
        self._weights = list(weights)
        self._loss = loss
        self._optimizer = torch.optim.AdamW(self._weights, lr=learning_rate, fused=True)

    def step(self) -> float:
        """Forward, backward, clipping, update; the loss before it."""
        self._optimizer.zero_grad()
        loss = self._loss()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._weights, CLIP)
        self._optimizer.step()
        return loss.item()


def case_to_json(case: Case) -> dict[str, object]:
    return asdict(case)
