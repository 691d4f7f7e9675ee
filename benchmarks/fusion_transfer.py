"""What adapters of other tasks are worth to a new one: every choice that `portfolio fuse` compares, on test rows.

    PORTFOLIO_DATA=DIR python benchmarks/fusion_transfer.py --members DIR2 --output FILE
    python benchmarks/fusion_transfer.py --page FILE

First it trains the members (once; kept in DIR2): each on at most 4,000 rows of its set, 3 epochs, texts cut at 48 tokens. Then,
for each target, number of training rows and seed: every member under a head of its own, and with the four most promising an
adapter on top of the best of them, all in equal shares, the fusion with and without an own adapter among its members, the
light gate; and what `portfolio fuse` keeps by its validation rows (as many as training rows, at most 256). A set is never its
own member. Each result is a line of FILE; interrupted, the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this file's directory, whose routing.py hides the package

import torch
from fusion_transfer_page import page
from fusion_transfer_rows import Problem, centres, members, problem
from torch import Tensor
from torch.nn import functional

from fusion.transfer import log_evidence
from portfolio import Fuse, TrainingConfig
from portfolio.choices import Choice, Found, Trials, best_of
from portfolio.composing import closed_head
from portfolio.hosting.base import load_base
from portfolio.hosting.host import Host
from portfolio.hosting.ready import shared
from portfolio.running import features_under, logits_of, predict_logits
from portfolio.training import Silent, score_of_logits

POOL = (
    "cl_amazon",
    "clinc150",
    "cl_mnli",
    "cl_dbpedia",
    "cl_yahoo",
    "trec6",
    "tweet_emotion",
    "banking77",
)
TARGETS = ("mr", "trec6", "tweet_emotion", "cl_yahoo", "snips")
EPOCHS = {16: 30, 64: 30, 256: 12, 2000: 4}  # at most, by training rows
PATIENCE = {16: 8, 64: 8, 256: 4, 2000: 2}
FUSED = 4  # members, the most promising ones


def main() -> None:
    arguments = _arguments()
    if arguments.page:
        print(page([json.loads(line) for line in Path(arguments.page).read_text().splitlines()]))
        return
    torch.set_num_threads(arguments.threads)
    host = Host(load_base("minilm"), trunk=3)
    pool, middle = members(host, POOL, arguments.members), centres(host, POOL)
    output: Path = arguments.output
    done = [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []
    known = {(one["target"], one["rows"], one["seed"]) for one in done}
    for size in arguments.sizes:
        for seed in range(arguments.seeds):
            for target in arguments.targets:
                if (target, size, seed) in known:
                    continue
                began = time.perf_counter()
                found = [member for name, member in pool.items() if name != target]
                result = _Cell(host, problem(host, target, size, seed), seed, middle).measured(found)
                seconds = round(time.perf_counter() - began, 1)
                line = {"target": target, "rows": size, "seed": seed, "seconds": seconds, **result}
                with output.open("a") as stream:
                    stream.write(json.dumps(line) + "\n")
                print(
                    target, size, seed, seconds, {k: round(100 * v, 1) for k, v in result["test"].items()}, flush=True
                )


@dataclass(frozen=True, slots=True)
class _Cell:
    """One target with so many rows and one seed."""

    host: Host
    problem: Problem
    seed: int
    centres: Mapping[str, Tensor]  # of the members' sets, and under "" what was subtracted from each

    def measured(self, found: Sequence[Found]) -> dict[str, Any]:
        """Accuracies on test rows by choice, on validation rows likewise, and how each member was foretold."""
        foretold = {one.member.name: self._foretold(one) for one in found}
        chosen = sorted(found, key=lambda one: -foretold[one.member.name]["log_evidence"])[:FUSED]
        trials = self._trials(Fuse(adapters=("auto",)))
        alone = [trials.constant("best member", [one]) for one in chosen]
        best_member = best_of(alone)
        own = trials.own()
        shown = {
            "own": own,
            "best member": best_member,
            "uniform": trials.constant("uniform", chosen),
            "on top": trials.on_top(chosen[alone.index(best_member)]),
            "fusion": trials.fusion(chosen),
            "fusion with own": trials.fusion([*chosen, trials.found(own)]),
            "light": self._trials(Fuse(adapters=("auto",), gate="light")).fusion(chosen),
        }
        compared = [shown[name] for name in ("best member", "uniform", "own", "on top", "fusion")]
        kept = best_of(compared)
        return {
            "test": {**{name: self._on_test(one) for name, one in shown.items()}, "kept": self._on_test(kept)},
            "validation": {name: one.score[0] for name, one in shown.items()},
            "train_s": {name: round(one.draft.seconds, 2) for name, one in shown.items()},
            "parameters": {name: one.added for name, one in shown.items()},
            "kept": kept.name,
            "members": [one.member.name for one in chosen],
            "foretold": foretold,
            "bare": self._bare(),
        }

    def _trials(self, wish: Fuse) -> Trials:
        rows = self.problem.rows
        size = len(rows.train.prepared)
        training = TrainingConfig(epochs=EPOCHS[size], patience=PATIENCE[size], seed=self.seed)
        return Trials(host=self.host, wish=wish, rows=rows, training=training, progress=Silent())

    def _foretold(self, one: Found) -> dict[str, float]:
        """What the training and validation rows promise of a member, and what it gives on test rows."""
        rows, test, updates = self.problem.rows, self.problem.test, shared(one.adapter.updates())
        train = features_under(self.host, updates, rows.train.prepared)
        head = closed_head(self.host, updates, rows, [one.adapter.head])
        judged, tested = (
            score_of_logits(logits_of(head, features_under(self.host, updates, data.prepared)), data.labels)
            for data in (rows.judging, test)
        )
        here = rows.train.prepared.features.mean(0) - self.centres[""]
        return {
            "likeness": functional.cosine_similarity(here, self.centres[one.member.name], dim=0).item(),
            "log_evidence": log_evidence(train, rows.train.labels, len(rows.labels)),
            "validation_loss": -judged[1],
            "validation": judged[0],
            "test": tested[0],
        }

    def _bare(self) -> float:
        rows, test = self.problem.rows, self.problem.test
        head = closed_head(self.host, {}, rows, ())
        return score_of_logits(logits_of(head, test.prepared.features), test.labels)[0]

    def _on_test(self, choice: Choice) -> float:
        test = self.problem.test
        logits = predict_logits(self.host, choice.draft.passes, test.prepared)
        return score_of_logits(logits, test.labels)[0]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=Path, help="a folder; members are trained into it")
    parser.add_argument("--output", type=Path, help="a file of JSON lines")
    parser.add_argument("--page", help="print the tables of such a file")
    parser.add_argument("--targets", nargs="+", default=TARGETS)
    parser.add_argument("--sizes", nargs="+", type=int, choices=EPOCHS, default=list(EPOCHS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
