"""Routed inference end to end: a batch of texts against the base's forward pass, and files of texts against a pipeline.

    PORTFOLIO_DATA=DIR python benchmarks/end_to_end.py
    PORTFOLIO_DATA=DIR python benchmarks/end_to_end.py --quick    # a rough look

The first run makes its portfolios and keeps them (`--work`). Then all in one process, the ways of a round in changing order:

one pass   32 texts in, 32 answers out, in units of the plain forward pass of the same padded batch just before it; beside
           the task given, and what a router library with adapters does: the base once for an embedding, once for the answer
files      10,000 texts of many data sets, JSONL in, JSONL out: `portfolio predict --file F --out F`, routed among ten
           tasks, and `transformers.pipeline` with one fine-tuned model of the same base that is told the task
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this file's directory, whose routing.py hides the package

import numpy as np
import torch
import transformers

from benchmarks.end_to_end_page import OURS, PIPELINE, SORTED, page
from benchmarks.end_to_end_passes import ROWS, Job, job_of
from benchmarks.end_to_end_portfolios import grown, synthetic, test_texts, threes_of_a_label
from benchmarks.end_to_end_texts import ours, save_model, start, theirs, write_texts
from benchmarks.measuring import machine, quartiles
from benchmarks.peers.fusion_rig import clock_name, timed
from portfolio import Portfolio
from portfolio.hosting.base import MINILM, load_base
from portfolio.tasks.lines import count_lines

HERE = Path(__file__).parent
CACHE = Path.home() / ".cache" / "adapter-portfolio" / "end-to-end"
DOMAINS, SETS = "clinc150-domains", HERE / "sequences" / "ten_sets.toml"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one run measures."""

    work: Path
    output: Path | None  # a directory; None: print only
    rounds: int  # of batches
    file_rounds: int
    texts: int
    synthetic: tuple[int, ...]  # tasks
    threads: int

    @property
    def command(self) -> str:
        """The command that repeats this run anywhere."""
        return (
            f"PORTFOLIO_DATA=DIR python benchmarks/end_to_end.py --rounds {self.rounds} --file-rounds {self.file_rounds} "
            f"--texts {self.texts} --synthetic {' '.join(map(str, self.synthetic))} --threads {self.threads}"
        )


def main() -> None:
    settings = _settings()
    torch.set_num_threads(settings.threads)
    base = load_base(MINILM)
    domains, sets = grown(settings.work, DOMAINS, base), grown(settings.work, SETS, base)
    for portfolio in (domains, sets):
        portfolio.close()
    passes = _passes(settings)
    figures: dict[str, Any] = {
        "command": settings.command,
        "date": date.today().isoformat(),
        "machine": machine(settings.threads),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "rounds": settings.rounds,
        "passes": passes,
        "files": _files(settings, str(base.model.name_or_path), str(sets.path), sets.contract.max_tokens),
    }
    print(page(figures))
    if settings.output is not None:
        settings.output.mkdir(parents=True, exist_ok=True)
        (settings.output / "end_to_end.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        (settings.output / "end_to_end.md").write_text(page(figures), encoding="utf-8")


def _passes(settings: Settings) -> list[dict[str, Any]]:
    """Every way of every job, in quartiles."""
    plain = load_base(MINILM)
    short = [text for some in test_texts(DOMAINS).values() for text in some]
    short = [short[row] for row in np.random.default_rng(0).permutation(len(short))]
    long = threes_of_a_label(DOMAINS, seed=0)
    domains = Portfolio.open(settings.work / DOMAINS)
    many = {count: synthetic(settings.work, count, load_base(MINILM)) for count in settings.synthetic}
    jobs: list[list[Job]] = []
    for number in range(settings.rounds + 1):  # other texts in every round, as how many are looked at twice differs
        place = slice(number * ROWS, (number + 1) * ROWS)
        jobs.append(
            [
                job_of("ten CLINC150 domains", domains, "three questions of one intent", long[place], plain),
                job_of("ten CLINC150 domains", domains, "single questions", short[place], plain),
                *[
                    job_of(f"{count} synthetic tasks", portfolio, "three questions of one intent", long[place], plain)
                    for count, portfolio in many.items()
                ],
            ]
        )
    order = np.random.default_rng(0)
    found: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for number, some in enumerate(jobs):
        ways = [(index, way) for index, job in enumerate(some) for way in job.ways]
        for place in order.permutation(len(ways)):
            index, way = ways[place]
            one = timed(some[index].ways[way], some[index].base)
            if number:  # the first warms up
                found.setdefault((index, way), []).append((one.seconds, one.base_seconds))
        print(f"batches: round {number} of {settings.rounds}", file=sys.stderr)
    for portfolio in (domains, *many.values()):
        portfolio.close()
    return [
        {
            "portfolio": jobs[0][index].portfolio,
            "tasks": jobs[0][index].tasks,
            "texts": jobs[0][index].texts,
            "rows": ROWS,
            "tokens": round(float(np.mean([some[index].tokens for some in jobs[1:]])), 1),
            "asked": round(float(np.mean([some[index].asked for some in jobs[1:]])), 3),
            "answered": round(float(np.mean([some[index].answers / ROWS for some in jobs[1:]])), 3),
            "way": way,
            "times_base": quartiles([seconds / base for seconds, base in runs]),
            "ms": quartiles([1e3 * seconds for seconds, _ in runs]),
            "base_ms": quartiles([1e3 * base for _, base in runs]),
        }
        for (index, way), runs in sorted(found.items())
    ]


def _files(settings: Settings, base: str, portfolio: str, max_tokens: int) -> dict[str, Any]:
    """Texts per second of each way, and what the start of its process takes."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        source, one, target, model = (str(folder / part) for part in ("texts.jsonl", "one.jsonl", "out.jsonl", "model"))
        texts = test_texts(SETS)
        count = write_texts(Path(source), texts, settings.texts, seed=0)
        write_texts(Path(one), texts, 1, seed=0)
        save_model(base, Path(model))
        ways: Mapping[str, Callable[[str], None]] = {
            OURS: lambda file: ours(portfolio, file, target, settings.threads),
            PIPELINE: lambda file: theirs(model, file, target, settings.threads, max_tokens),
            SORTED: lambda file: theirs(model, file, target, settings.threads, max_tokens, True),
        }
        starts: Mapping[str, Callable[[], None]] = {
            OURS: partial(start, "ours", (portfolio, one, target, settings.threads)),
            PIPELINE: partial(start, "theirs", (model, one, target, settings.threads, max_tokens)),
        }
        for warm_up in ways.values():
            warm_up(one)
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        start_s: dict[str, list[float]] = {way: [] for way in starts}
        order = np.random.default_rng(0)
        for number in range(settings.file_rounds):
            for way in map(str, order.permutation(list(ways))):
                seconds[way].append(_seconds(partial(ways[way], source), resource.RUSAGE_SELF))
                lines = count_lines(Path(target))
                assert lines == count, f"{way} answered {lines} of {count} texts"
            for process, run in starts.items():
                start_s[process].append(_seconds(run, resource.RUSAGE_CHILDREN))
            print(f"files: round {number + 1} of {settings.file_rounds}", file=sys.stderr)
    return {
        "texts": count,
        "sets": list(texts),
        "portfolio": "ten data sets",
        "max_tokens": max_tokens,
        "rounds": settings.file_rounds,
        "ways": {
            way: {
                "seconds": quartiles(some),
                "texts_per_second": quartiles([count / one for one in some]),
                "ours_is_times": quartiles([one / mine for one, mine in zip(some, seconds[OURS], strict=True)]),
            }
            for way, some in seconds.items()
        },
        "start_s": {way: quartiles(some) for way, some in start_s.items()},
    }


def _seconds(run: Callable[[], None], whose: int) -> float:
    """Of the processor with one thread, else of the clock."""
    if clock_name() != "processor time":
        began = time.perf_counter()
        run()
        return time.perf_counter() - began
    before = resource.getrusage(whose)
    run()
    after = resource.getrusage(whose)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def _settings() -> Settings:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=CACHE, help="directory that keeps the portfolios")
    parser.add_argument("--output", type=Path, help="directory for the figures; benchmarks/results, or none if quick")
    parser.add_argument("--rounds", type=int, help="of batches; default 15, quick 3")
    parser.add_argument("--file-rounds", type=int, help="default 3, quick 1")
    parser.add_argument("--texts", type=int, help="in the file; default 10000, quick 500")
    parser.add_argument(
        "--synthetic", type=int, nargs="*", help="tasks of synthetic portfolios; default 100 1000, quick 100"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a rough look")
    chosen = parser.parse_args()
    if "PORTFOLIO_DATA" not in os.environ:
        parser.error("PORTFOLIO_DATA is not set; it names the folder of data sets: export PORTFOLIO_DATA=DIRECTORY")
    quick = chosen.quick
    return Settings(
        work=chosen.work,
        output=chosen.output or (None if quick else HERE / "results"),
        rounds=chosen.rounds or (3 if quick else 15),
        file_rounds=chosen.file_rounds or (1 if quick else 3),
        texts=chosen.texts or (500 if quick else 10_000),
        synthetic=tuple(([100] if quick else [100, 1000]) if chosen.synthetic is None else chosen.synthetic),
        threads=chosen.threads,
    )


if __name__ == "__main__":
    main()
