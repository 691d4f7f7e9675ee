"""Avalanche's own metrics of a results matrix; started by `avalanche_metrics.py` in the library's own environment.

Speaks JSON lines: first says who it is, then answers each of

    {"right": [[16, 6], [18, null]], "untrained": [2, 4], "rows": [20, 20]}

where `right` holds how many of a task's test rows were right after each step (null: not evaluated), and `untrained` how
many were before the first. The plugins that a training would carry are led through the same hooks, in the same order:
an evaluation, then for every step the beginning of a training and an evaluation.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch


def _import_torchvision() -> None:
    """Import what Avalanche imports first, also where its operators were built for another torch (CPU and CUDA).

    No metric calls them, but torchvision does not import without their names.
    """
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


_import_torchvision()

import avalanche  # noqa: E402
from avalanche.evaluation.metrics import (  # noqa: E402
    ExperienceBWT,
    ExperienceForgetting,
    StreamAccuracy,
    StreamBWT,
    StreamForgetting,
    StreamForwardTransfer,
)


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever the library prints must not mix with the answers
    versions = {"avalanche-lib": avalanche.__version__, "torch": torch.__version__}
    print(json.dumps({"versions": versions}), file=answers, flush=True)
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        print(json.dumps(figures(asked["right"], asked["untrained"], asked["rows"])), file=answers, flush=True)


def figures(
    right: Sequence[Sequence[int | None]], untrained: Sequence[int | None], rows: Sequence[int]
) -> dict[str, Any]:
    """What the library reports after the last step."""
    streams: dict[str, Any] = {
        "StreamAccuracy": StreamAccuracy(),
        "StreamBWT": StreamBWT(),
        "StreamForgetting": StreamForgetting(),
        "StreamForwardTransfer": StreamForwardTransfer(),
    }
    experiences: dict[str, Any] = {"ExperienceBWT": ExperienceBWT(), "ExperienceForgetting": ExperienceForgetting()}
    plugins = [*streams.values(), *experiences.values()]
    _evaluate(plugins, untrained, rows)
    for step, counts in enumerate(right):
        for plugin in plugins:
            plugin.before_training_exp(_moment(step))
        _evaluate(plugins, counts, rows)
    return {
        **{name: plugin.result() for name, plugin in streams.items()},
        **{name: [plugin.result().get(task) for task in range(len(rows))] for name, plugin in experiences.items()},
    }


def _evaluate(plugins: Sequence[Any], counts: Sequence[int | None], rows: Sequence[int]) -> None:
    moment = _moment(0)
    for plugin in plugins:
        plugin.before_eval(moment)
    for task, (count, total) in enumerate(zip(counts, rows, strict=True)):
        if count is None:
            continue
        moment = _moment(task, said=torch.arange(total) < count, total=total)
        for plugin in plugins:
            plugin.before_eval_exp(moment)
            plugin.after_eval_iteration(moment)
            plugin.after_eval_exp(moment)
    for plugin in plugins:
        plugin.after_eval(moment)


def _moment(task: int, said: torch.Tensor | None = None, total: int = 0) -> SimpleNamespace:
    """What the plugins read of a training strategy: where it is, and one batch in which label 1 is always right."""
    stream = SimpleNamespace(name="test")
    return SimpleNamespace(
        experience=SimpleNamespace(current_experience=task, task_labels=[0], origin_stream=stream),
        mb_output=None if said is None else said.long(),
        mb_y=torch.ones(total, dtype=torch.long),
        mb_task_id=torch.zeros(total, dtype=torch.long),
        clock=SimpleNamespace(train_iterations=0),
        eval_every=0,
        is_eval=True,
    )


if __name__ == "__main__":
    main()
