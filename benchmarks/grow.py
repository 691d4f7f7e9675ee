"""Grow a portfolio along a sequence and write down what it knows: the tables of the README come from here.

    PORTFOLIO_DATA=DIR python benchmarks/grow.py clinc150-domains --oos DIR/clinc150/oos.jsonl

Can be interrupted and run again with the same `--into`. At the end every test split is run once more through the whole
portfolio (tokens, trunk, router, adapters, heads) and must give the figures that were stored while it grew.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this file's directory, whose routing.py hides the package

import numpy as np
import torch
import transformers

from portfolio import Portfolio, TrainingConfig
from portfolio.reports.report import Report
from portfolio.tasks.files import read_texts
from portfolio.tasks.recipe import read_test_again


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    into = Path(arguments.into)
    portfolio = Portfolio.open(into) if (into / "portfolio.db").exists() else Portfolio.init(into)
    training = TrainingConfig() if arguments.epochs is None else TrainingConfig(epochs=arguments.epochs)
    began = time.perf_counter()
    portfolio.add_tasks(arguments.sequence, training=training)
    grown_s = time.perf_counter() - began
    before = [(cell.step, cell.task, cell.oracle, cell.routed) for cell in portfolio.snapshot().cells]
    began = time.perf_counter()
    report = portfolio.evaluate()
    evaluated_s = time.perf_counter() - began
    after = [(cell.step, cell.task, cell.oracle, cell.routed) for cell in portfolio.snapshot().cells]
    figures = {
        "sequence": Path(arguments.sequence).stem,
        "machine": f"{platform.machine()}, {arguments.threads} threads of {os.cpu_count()} cores",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "training": str(training),
        "seconds_to_grow": round(grown_s, 1),
        "seconds_to_evaluate": round(evaluated_s, 1),
        "same_when_run_again": before == after,
        "report": report.to_dict(),
        "routing": _routing(portfolio, arguments.oos),
    }
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(figures, indent=1) + "\n")
    print(_table(portfolio, report, figures))


def _routing(portfolio: Portfolio, out_of_scope: str | None) -> dict[str, object]:
    """How the test texts find their tasks, and what becomes of texts that no task knows."""
    texts, tasks = [], []
    for task in portfolio.tasks():
        split = read_test_again(task)
        assert split is not None, f"the test rows of {task.name} are gone"
        texts += split.texts
        tasks += [task.name] * len(split.texts)
    foreign = [] if out_of_scope is None else [text for text, _ in read_texts(out_of_scope)]
    judged = portfolio.judge_routes(texts, tasks, out_of_scope=foreign)
    state = portfolio.snapshot().router
    assert state is not None
    return {
        "accuracy": judged.accuracy,
        "ece": judged.ece,
        "ece_validation": [state.ece_before, state.ece],
        "asked": judged.asked,
        "base_passes": judged.base_passes,
        "coverage": judged.coverage,
        "out_of_scope": None if judged.out_of_scope is None else asdict(judged.out_of_scope),
    }


def _table(portfolio: Portfolio, report: Report, figures: dict[str, Any]) -> str:
    known = report.to_dict()
    seconds = [cost["seconds"] for cost in known["costs"]]
    lines = [
        f"| {figures['sequence']}, {len(known['tasks'])} tasks | |",
        "|---|---|",
        f"| oracle accuracy | {100 * known['oracle']['average_accuracy']:.2f} |",
        f"| **routed accuracy** | **{100 * known['routed']['average_accuracy']:.2f}** |",
        f"| routing accuracy | {100 * known['routing_accuracy']:.2f} |",
        f"| floor (whitened centroids, no adapter) | {100 * known['floor']:.2f} |",
        "| forgetting, oracle / routed (points) | "
        f"{100 * known['oracle']['forgetting']:.2f} / {100 * known['routed']['forgetting']:.2f} |",
        f"| coverage, accuracy when it may abstain | {100 * known['coverage']:.1f}, {100 * known['selective_accuracy']:.2f} |",
        f"| seconds of training per task (median) | {np.median(seconds):.0f} |",
        f"| the same when run again | {figures['same_when_run_again']} |",
    ]
    routing = figures["routing"]
    lines += [
        f"| right label by the wrong adapter | {100 * known['astray_right']:.2f} |",
        f"| base asked, base passes a text for routing | {100 * routing['asked']:.1f} %, {routing['base_passes']:.2f} |",
        f"| expected calibration error | {100 * routing['ece']:.2f} % |",
    ]
    outside = routing["out_of_scope"]
    if outside is not None:
        lines.append(f"| out of scope: AUROC, abstained | {outside['auroc']:.3f}, {100 * outside['recall']:.1f} % |")
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequence")
    parser.add_argument("--into", required=True, help="the portfolio's directory; grown on if it exists")
    parser.add_argument("--oos", help="texts that no task of the sequence knows")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", help="a JSON file for all figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
