"""Grow a portfolio along a sequence and write down what it knows: the tables of the README come from here.

    PORTFOLIO_DATA=DIR python benchmarks/grow.py benchmarks/sequences/clinc150_domains.toml --oos DIR/clinc150/oos.jsonl

Can be interrupted and run again with the same `--into`. At the end every test split is run once more through the whole
portfolio (tokens, trunk, router, adapters, heads) and must give the figures that were stored while it grew.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import torch
import transformers
from sklearn.metrics import roc_auc_score

from portfolio import Portfolio, TrainingConfig
from portfolio.reports.report import Report
from portfolio.tasks.files import read_texts


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
        "out_of_scope": _out_of_scope(portfolio, arguments.oos) if arguments.oos else None,
    }
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(figures, indent=1) + "\n")
    print(_table(portfolio, report, figures))


def _out_of_scope(portfolio: Portfolio, file: str) -> dict[str, float]:
    """How well the router's in-scope score tells texts that no task knows, and what abstaining does with them."""
    engine = portfolio.engine()
    assert engine.router is not None
    from portfolio.growth import known_tasks
    from portfolio.hosting.trunk import prepare

    texts = [text for text, _ in read_texts(file)]
    outside = engine.router.in_scope_scores(prepare(engine.host, engine.encode(texts, None)).features.numpy())
    rows = [task.rows.test_features for task in known_tasks(engine, portfolio.snapshot())]
    inside = engine.router.in_scope_scores(np.concatenate(rows))
    truth = np.concatenate([np.ones(len(inside)), np.zeros(len(outside))])
    answers = portfolio.predict(texts)
    return {
        "texts": len(texts),
        "auroc": float(roc_auc_score(truth, np.concatenate([inside, outside]))),
        "recall": float(np.mean([answer.abstained for answer in answers])),
    }


def _table(portfolio: Portfolio, report: Report, figures: dict[str, object]) -> str:
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
    outside = figures["out_of_scope"]
    if isinstance(outside, dict):
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
