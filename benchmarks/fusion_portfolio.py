"""A routed portfolio with fusions against one without: CLINC150's ten domains, few rows a class.

    PORTFOLIO_DATA=DIR python benchmarks/fusion_portfolio.py --into DIR2 --per-class 20

The first four domains get an adapter of their own in both portfolios. The other six get one of their own in the first, and
in the second whatever `portfolio fuse --adapters auto:4` keeps. Same rows, same seeds, same epochs; test rows are those of
the data set. Can be interrupted and run again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this file's directory, whose routing.py hides the package

import torch

from portfolio import Fuse, Portfolio, TrainingConfig

ALONE = 4  # domains that come before there is anything to fuse
FUSED = "auto:4"
EPOCHS = TrainingConfig(epochs=15, patience=5)


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    files = _files(arguments.into / "rows", arguments.per_class)
    figures = {}
    for kind in ("alone", "fused"):
        place = arguments.into / kind
        portfolio = Portfolio.open(place) if place.exists() else Portfolio.init(place)
        began = time.perf_counter()
        for number, (name, splits) in enumerate(files.items()):
            if name in [task.name for task in portfolio.tasks()]:
                continue
            method = Fuse(adapters=(FUSED,)) if kind == "fused" and number >= ALONE else "bottleneck"
            record = portfolio.add_task(name, *splits, method=method, training=EPOCHS)
            print(kind, name, record.method, round(100 * record.validation_score, 1), flush=True)
        report = portfolio.report()
        figures[kind] = {
            "oracle": report.oracle.average_accuracy,
            "routed": report.routed.average_accuracy,
            "routing": report.routing_accuracy,
            "floor": report.floor,
            "seconds": round(time.perf_counter() - began),
            "methods": Counter(one.method for one in portfolio.snapshot().adapters),
        }
    print(json.dumps({"per_class": arguments.per_class, "threads": arguments.threads, **figures}, indent=1))


def _files(folder: Path, per_class: int) -> dict[str, tuple[Path, Path, Path]]:
    """Domain -> files of train (`per_class` rows a class, the first of the file), validation and test rows."""
    folder.mkdir(parents=True, exist_ok=True)
    source = Path(os.environ["PORTFOLIO_DATA"]) / "clinc150"
    made: dict[str, list[Path]] = {}
    for split in ("train", "validation", "test"):
        with (source / f"{split}.jsonl").open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        for domain in sorted({row["domain"] for row in rows}):
            taken: Counter[str] = Counter()
            file = folder / f"{domain}.{split}.jsonl"
            with file.open("w", encoding="utf-8") as stream:
                for row in rows:
                    taken[row["label"]] += 1
                    if row["domain"] == domain and (split != "train" or taken[row["label"]] <= per_class):
                        stream.write(json.dumps({"text": row["text"], "label": row["label"]}) + "\n")
            made.setdefault(domain, []).append(file)
    return {domain: (some[0], some[1], some[2]) for domain, some in made.items()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, required=True, help="a folder for rows and both portfolios")
    parser.add_argument("--per-class", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
