"""What bfloat16, int8 and compiling change: time, accuracy, memory, and how long it takes to begin.

    PORTFOLIO_DATA=DIR python benchmarks/other_numbers.py
    PORTFOLIO_DATA=DIR python benchmarks/other_numbers.py --quick    # a rough look

The first run grows a portfolio of the ten CLINC150 domains and keeps it (`--portfolio`). Then all in one process: the plain
float32 forward pass of a batch of 32 × 32 tokens is the unit of every setting's own, and routed answers of float32 just
before are the unit of every setting's answers. Needs the extra `int8`, and a C++ compiler.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this file's directory, whose routing.py hides the package

import numpy as np
import torch
import transformers

from benchmarks.measuring import machine, quartiles
from benchmarks.other_numbers_page import page
from benchmarks.peers.fusion_rig import timed
from portfolio import Portfolio
from portfolio.execution import PLAIN, Execution
from portfolio.hosting.base import MINILM, Base, load_base
from portfolio.records import Answer
from portfolio.tasks.files import read_split
from portfolio.tasks.sequences import read_sequence
from portfolio.tasks.shipped import find_sequence

HERE = Path(__file__).parent
CACHE = Path.home() / ".cache" / "adapter-portfolio" / "numbers"
SEQUENCE = "clinc150-domains"
ROWS, TOKENS = 32, 32
ASKED = 256  # texts of a round
SETTINGS: Mapping[str, Execution] = {
    "float32": PLAIN,
    "bfloat16": Execution(dtype="bfloat16"),
    "int8": Execution(int8=True),
    "compiled": Execution(compile=True),
    "bfloat16, compiled": Execution(dtype="bfloat16", compile=True),
    "int8, compiled": Execution(int8=True, compile=True),
    "int8 and bfloat16, compiled": Execution(int8=True, dtype="bfloat16", compile=True),
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one run measures."""

    portfolio: Path
    output: Path | None  # a directory; None: print only
    rounds: int
    texts: int | None  # of each split; None: all
    threads: int
    only: tuple[str, ...]

    @property
    def command(self) -> str:
        """The command that repeats this run anywhere."""
        return f"PORTFOLIO_DATA=DIR python benchmarks/other_numbers.py --rounds {self.rounds} --threads {self.threads}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Contestant:
    """A portfolio that runs under one setting, ready, and what that took."""

    portfolio: Portfolio
    ready_s: float  # from a loaded base to an engine
    first_s: float  # from then to the first answers
    weight_mb: float  # of the base


def main() -> None:
    settings = _settings()
    torch.set_num_threads(settings.threads)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache  # nothing is compiled beforehand
        figures = _figures(settings)
    print(page(figures))
    if settings.output is not None:
        settings.output.mkdir(parents=True, exist_ok=True)
        (settings.output / "other_numbers.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        (settings.output / "other_numbers.md").write_text(page(figures), encoding="utf-8")


def _figures(settings: Settings) -> dict[str, Any]:
    began = time.perf_counter()
    base = load_base(MINILM)
    load_s = time.perf_counter() - began
    _grow(settings.portfolio, base)
    splits = {name: _rows(name, settings.texts) for name in ("validation", "test")}
    texts = [text for text, _ in splits["validation"]]
    texts = [texts[row] for row in np.random.default_rng(0).permutation(len(texts))][:ASKED]
    contestants = {}
    for name in settings.only:
        contestants[name] = _contestant(settings.portfolio, base, SETTINGS[name], texts)
        _say(f"{name}: ready in {contestants[name].ready_s:.1f} s, first answers in {contestants[name].first_s:.1f} s")
    plain = load_base(MINILM)
    passes = _rounds(contestants, plain, texts, settings.rounds)
    answers = {
        name: {
            split: one.portfolio.predict([text for text, _ in rows], abstain=False) for split, rows in splits.items()
        }
        for name, one in contestants.items()
    }
    return {
        "command": settings.command,
        "date": date.today().isoformat(),
        "machine": machine(settings.threads),
        "versions": _versions(),
        "rounds": settings.rounds,
        "load_s": round(load_s, 2),
        "rows": {split: len(rows) for split, rows in splits.items()},
        "settings": [
            {
                "name": name,
                "ready_s": round(one.ready_s, 2),
                "first_s": round(one.first_s, 2),
                "weight_mb": round(one.weight_mb, 1),
                **passes[name],
                **{
                    split: _accuracy(
                        answers[name][split], answers[settings.only[0]][split], [label for _, label in rows]
                    )
                    for split, rows in splits.items()
                },
            }
            for name, one in contestants.items()
        ],
    }


def _contestant(directory: Path, base: Base, execution: Execution, texts: Sequence[str]) -> Contestant:
    began = time.perf_counter()
    portfolio = Portfolio.open(directory, base=base, execution=execution)
    weight_mb = sum(map(_bytes_of, portfolio.engine().host.base.model.parameters())) / 1e6
    ready = time.perf_counter()
    portfolio.predict(texts, abstain=False)
    portfolio.predict(texts[:1], abstain=False)
    return Contestant(
        portfolio=portfolio, ready_s=ready - began, first_s=time.perf_counter() - ready, weight_mb=weight_mb
    )


def _bytes_of(tensor: torch.Tensor) -> int:
    """Of an 8-bit weight the numbers and their scales."""
    parts = getattr(tensor, "tensor_data_names", None)
    return tensor.nbytes if parts is None else sum(getattr(tensor, part).nbytes for part in parts)


def _rounds(
    contestants: Mapping[str, Contestant], plain: Base, texts: Sequence[str], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Quartiles of both ratios for each setting; the settings of a round come in changing order."""
    dice = np.random.default_rng(0)
    ids = torch.from_numpy(dice.integers(1000, 20000, (ROWS, TOKENS)))
    first = next(iter(contestants.values()))
    forward: dict[str, list[float]] = {name: [] for name in contestants}
    routed: dict[str, list[float]] = {name: [] for name in contestants}
    milliseconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name in dice.permutation(list(contestants)):
            one = contestants[str(name)]
            base = timed(_forward(one.portfolio.engine().host.base, ids), _forward(plain, ids))
            said = timed(_answers(one.portfolio, texts), _answers(first.portfolio, texts))
            if number:  # the first warms up
                forward[str(name)].append(base.seconds / base.base_seconds)
                routed[str(name)].append(said.seconds / said.base_seconds)
                milliseconds[str(name)].append(1e3 * said.seconds / len(texts))
        _say(f"round {number} of {rounds}")
    return {
        name: {
            "forward_times_float32": quartiles(forward[name]),
            "routed_times_float32": quartiles(routed[name]),
            "routed_ms_a_text": quartiles(milliseconds[name]),
        }
        for name in contestants
    }


def _forward(base: Base, ids: torch.Tensor) -> Callable[[], object]:
    def run() -> object:
        with torch.inference_mode():
            return base.model(input_ids=ids, attention_mask=torch.ones_like(ids))

    return run


def _answers(portfolio: Portfolio, texts: Sequence[str]) -> Callable[[], object]:
    return partial(portfolio.predict, texts, abstain=False)


def _accuracy(ours: Sequence[Answer], expected: Sequence[Answer], labels: Sequence[str]) -> dict[str, float]:
    """Shares of rows: answered right; answered otherwise than in float32; sent to another task than in float32."""
    pairs = list(zip(ours, expected, strict=True))
    return {
        "right": float(np.mean([one.label == label for one, label in zip(ours, labels, strict=True)])),
        "other_label": float(np.mean([one.label != other.label for one, other in pairs])),
        "other_task": float(np.mean([one.task != other.task for one, other in pairs])),
    }


def _rows(split: str, most: int | None) -> list[tuple[str, str]]:
    """Texts and labels of all tasks, in mixed order."""
    rows: list[tuple[str, str]] = []
    for task in read_sequence(find_sequence(SEQUENCE)).tasks:
        source = task.validation if split == "validation" else task.test
        found = read_split(str(source), split, task.columns, dict(task.where))
        kept = [
            pair for pair in zip(found.texts, found.labels, strict=True) if not task.labels or pair[1] in task.labels
        ]
        rows += kept
    return [rows[row] for row in np.random.default_rng(1).permutation(len(rows))][:most]


def _grow(directory: Path, base: Base) -> None:
    exists = (directory / "portfolio.db").exists()
    portfolio = Portfolio.open(directory, base=base) if exists else Portfolio.init(directory, base)
    portfolio.add_tasks(SEQUENCE)
    portfolio.close()


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "torchao": version("torchao"),
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _settings() -> Settings:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--portfolio", type=Path, default=CACHE / SEQUENCE, help="of the ten domains; made if not there"
    )
    parser.add_argument("--output", type=Path, help="directory for the figures; benchmarks/results, or none if quick")
    parser.add_argument("--rounds", type=int, help="default 9, quick 2")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a rough look; leaves out what is compiled")
    chosen = parser.parse_args()
    if "PORTFOLIO_DATA" not in os.environ:
        parser.error("PORTFOLIO_DATA is not set; it names the folder of data sets: export PORTFOLIO_DATA=DIRECTORY")
    quick = chosen.quick
    return Settings(
        portfolio=chosen.portfolio,
        output=chosen.output or (None if quick else HERE / "results"),
        rounds=chosen.rounds or (2 if quick else 9),
        texts=300 if quick else None,
        threads=chosen.threads,
        only=tuple(name for name, one in SETTINGS.items() if not (quick and one.compile)),
    )


if __name__ == "__main__":
    main()
