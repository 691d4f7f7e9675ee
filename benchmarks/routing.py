"""Routers side by side on the same frozen features: which task, what is out of scope, at what cost.

    PORTFOLIO_DATA=DIR python benchmarks/routing.py                        # every part, judged on validation rows
    PORTFOLIO_DATA=DIR python benchmarks/routing.py domains --split test   # once, at the end
    PORTFOLIO_DATA=DIR python benchmarks/routing.py --quick                # a rough look
    python benchmarks/routing.py --portfolio GROWN                         # routed against oracle accuracy

    domains      CLINC150 as its ten domains, with its out-of-scope rows
    intents      CLINC150 as 15 tasks of 10 random intents, the mean over five draws
    sets         17 classification sets as one portfolio
    robustness   routes that flip when the texts of `domains` are typed carelessly
    sessions     conversations simulated from the judged rows of `domains`

aurelio's semantic-router gets a virtual environment of its own under `--work`, made on the first run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this file's directory, where `routing` means this script

import numpy as np
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.routing_contestants import ClassCentroids, Contestant, NearestTexts, OnLastBlock, TaskCentroids
from benchmarks.routing_data import Features
from benchmarks.routing_figures import figures_of, mean_of
from benchmarks.routing_flips import flips_of
from benchmarks.routing_ours import Ours, OursWhole
from benchmarks.routing_page import figures_table, flips_table, portfolios_table
from benchmarks.routing_peer import ALL_WAYS, AS_IT_COMES, Library, SemanticRouter
from benchmarks.routing_portfolios import grown
from benchmarks.routing_problems import Budget, Problem, all_sets, domains, drawn_intents
from benchmarks.routing_texts import CHANGES, changed
from benchmarks.sessions import markdown, table
from portfolio.hosting.base import MINILM, load_base
from portfolio.hosting.host import Host
from portfolio.records import DEFAULT_MAX_TOKENS

HERE = Path(__file__).parent
CACHE = Path.home() / ".cache" / "adapter-portfolio"
ROBUSTNESS_ROWS = 1000


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one run measures."""

    parts: tuple[str, ...]
    data: Path | None
    split: str
    portfolios: tuple[Path, ...]
    cache: Path
    work: Path
    output: Path | None  # a file; None: print only
    threads: int
    repeats: int  # of each timed call
    peer_rows: int  # of each kind that semantic-router routes; 0: without it
    quick: bool

    @property
    def budget(self) -> Budget:
        """For `domains` and `intents`."""
        return Budget(train=1500, judged=200) if self.quick else Budget(train=None, judged=None)

    @property
    def budget_of_sets(self) -> Budget:
        return Budget(train=300, judged=50) if self.quick else Budget(train=5000, judged=500)

    @property
    def draws(self) -> int:
        return 1 if self.quick else 5

    @property
    def command(self) -> str:
        """The command that repeats this run anywhere."""
        portfolios = [f"--portfolio {' '.join(one.name for one in self.portfolios)}"] if self.portfolios else []
        options = [f"--split {self.split} --threads {self.threads} --repeats {self.repeats}"]
        options += [f"--peer-rows {self.peer_rows}", *(["--quick"] if self.quick else []), *portfolios]
        return " ".join(["python benchmarks/routing.py", *self.parts, *options])


class Bench:
    """Everything that the parts share."""

    def __init__(self, settings: Settings, data: Path, peer: Library | None) -> None:
        base = load_base(MINILM)
        host = Host(base, trunk=base.model.config.num_hidden_layers // 2)
        self.settings = settings
        self.features = Features(host, settings.cache, base.longest(DEFAULT_MAX_TOKENS))
        self._data = data
        self._peer = peer

    @property
    def on_all_columns(self) -> list[Contestant]:
        """Ours, and the others on the same features."""
        plain: list[Contestant] = [Ours(), OursWhole(), TaskCentroids(), ClassCentroids(), NearestTexts()]
        return plain if self._peer is None else [*plain, self._semantic_router(self._peer, AS_IT_COMES)]

    @property
    def contestants(self) -> list[Contestant]:
        """All of them; those that are not ours also on the columns of the last block."""
        best_way = [] if self._peer is None else [self._semantic_router(self._peer, ALL_WAYS)]
        every = [*self.on_all_columns, *best_way]
        return [*every, *(OnLastBlock(inner=one, width=self.features.block_width) for one in every[2:])]

    def _semantic_router(self, peer: Library, ways: Sequence[str]) -> SemanticRouter:
        return SemanticRouter(peer, ways, self.settings.peer_rows)

    def domains(self) -> Problem:
        return domains(self.features, self._data, self.settings.split, self.settings.budget)

    def draw(self, seed: int) -> Problem:
        return drawn_intents(self.features, self._data, self.settings.split, self.settings.budget, seed)

    def sets(self) -> Problem:
        return all_sets(self.features, self._data, self.settings.split, self.settings.budget_of_sets)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one part found."""

    page: str  # markdown
    figures: Any  # for the JSON file


def main() -> None:
    settings = _settings()
    torch.set_num_threads(settings.threads)
    with ExitStack() as stack:
        stack.enter_context(threadpool_limits(settings.threads))
        peer = None
        if settings.data is not None and settings.peer_rows:
            peer = stack.enter_context(Library(settings.work, settings.threads))
        for name, find in _parts(settings, peer).items():
            outcome = find()
            print(f"\n## {name}\n\n{outcome.page}\n", flush=True)
            if settings.output is not None:
                _keep(settings.output, settings.split, name, _about(settings, peer) | {"figures": outcome.figures})


def _parts(settings: Settings, peer: Library | None) -> dict[str, Callable[[], Outcome]]:
    """The parts asked for, each ready to be run."""
    if settings.data is None:
        return {"portfolios": lambda: _portfolios(settings.portfolios)}
    bench = Bench(settings, settings.data, peer)
    every = {part: partial(find, bench) for part, find in PARTS.items() if part in settings.parts}
    return every | ({"portfolios": lambda: _portfolios(settings.portfolios)} if settings.portfolios else {})


def _domains(bench: Bench) -> Outcome:
    return _compared(bench, [bench.domains()], bench.settings.repeats, bench.settings.budget)


def _intents(bench: Bench) -> Outcome:
    problems = [bench.draw(seed) for seed in range(bench.settings.draws)]
    return _compared(bench, problems, 0, bench.settings.budget)


def _sets(bench: Bench) -> Outcome:
    return _compared(bench, [bench.sets()], bench.settings.repeats, bench.settings.budget_of_sets)


def _compared(bench: Bench, problems: Sequence[Problem], repeats: int, budget: Budget) -> Outcome:
    """Every contestant on every problem; the table holds the means."""
    several = []
    for contestant in bench.contestants:
        began = time.perf_counter()
        several.append([figures_of(contestant, problem, repeats) for problem in problems])
        print(f"{contestant.name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    said = f"{problems[0].name}; {budget}" + (f"; means over {len(problems)} draws" if len(problems) > 1 else "")
    rows = f"{len(problems[0].train):,} training rows, {len(problems[0].calibration):,} to calibrate"
    page = f"{said}; {rows}.\n\n{figures_table([mean_of(figures) for figures in several])}"
    return Outcome(page=page, figures=[asdict(one) for figures in several for one in figures])


def _robustness(bench: Bench) -> Outcome:
    problem = bench.domains()
    rows = np.sort(np.random.default_rng(0).permutation(len(problem.judged))[:ROBUSTNESS_ROWS])
    texts = problem.judged.select(rows).texts
    typed = {name: bench.features.of("careless", changed(texts, change, 0)) for name, change in CHANGES.items()}
    found = [flips for contestant in bench.on_all_columns for flips in flips_of(contestant, problem, rows, typed)]
    page = f"{problem.name}; {len(rows):,} judged rows.\n\n{flips_table(found)}"
    return Outcome(page=page, figures=[asdict(flips) for flips in found])


def _sessions(bench: Bench) -> Outcome:
    """Conversations of judged rows; the second table holds those that stay with one intent as long as with its task."""
    problem = bench.domains()
    probabilities = Ours().fit(problem).task_probabilities(problem.judged.features)
    true, matters = problem.task_of(problem.judged), problem.judged.classes
    tables = {
        "rows of the whole task": table(probabilities, true, problem.tasks, 0),
        "rows of one intent at a time": table(probabilities, true, problem.tasks, 0, matter_of_row=matters),
    }
    page = "\n\n".join(f"{problem.name}; {name}.\n\n{markdown(rows)}" for name, rows in tables.items())
    return Outcome(page=page, figures={name: [asdict(row) for row in rows] for name, rows in tables.items()})


def _portfolios(directories: Sequence[Path]) -> Outcome:
    known = [grown(directory) for directory in directories]
    return Outcome(page=portfolios_table(known), figures=[asdict(one) | {"ratio": one.ratio} for one in known])


PARTS: dict[str, Callable[[Bench], Outcome]] = {
    "domains": _domains,
    "intents": _intents,
    "sets": _sets,
    "robustness": _robustness,
    "sessions": _sessions,
}


def _keep(file: Path, split: str, part: str, found: dict[str, Any]) -> None:
    """Put one part into the file; what it holds of other parts and the other split stays."""
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    known.setdefault(split, {})[part] = found
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def _about(settings: Settings, peer: Library | None) -> dict[str, Any]:
    """How these figures came about."""
    return {
        "command": settings.command,
        "machine": f"{platform.machine()}, {settings.threads} threads of {os.cpu_count()} cores",
        "load": [round(load, 1) for load in os.getloadavg()],
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "torch", "transformers", "faiss-cpu", "scikit-learn")},
            "peer": None if peer is None else peer.versions,
        },
        "budget": {"domains, intents": str(settings.budget), "sets": str(settings.budget_of_sets)},
    }


def _settings() -> Settings:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--split", choices=("validation", "test"), default="validation", help="whose rows are judged")
    parser.add_argument("--portfolio", type=Path, nargs="+", default=[], help="grown portfolios, for routed / oracle")
    parser.add_argument("--cache", type=Path, default=CACHE / "routing-features", help="directory for features")
    parser.add_argument("--work", type=Path, default=CACHE, help="directory for semantic-router's environment")
    parser.add_argument("--output", type=Path, help="JSON file; benchmarks/results/routing.json, or none if quick")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, help="of each timed call; default 9, quick 3")
    parser.add_argument(
        "--peer-rows", type=int, help="rows that semantic-router routes; default 1000, quick 60; 0: none"
    )
    parser.add_argument("--quick", action="store_true", help="a rough look")
    chosen = parser.parse_args()
    if unknown := sorted(set(chosen.parts) - set(PARTS)):
        parser.error(f"expected parts of {', '.join(PARTS)}; got {', '.join(unknown)}")
    parts = tuple(chosen.parts or (() if chosen.portfolio else PARTS))
    if parts and "PORTFOLIO_DATA" not in os.environ:
        parser.error("PORTFOLIO_DATA is not set; it names the folder of data sets: export PORTFOLIO_DATA=DIRECTORY")
    repeats, peer_rows = (3, 60) if chosen.quick else (9, 1000)
    return Settings(
        parts=parts,
        data=Path(os.environ["PORTFOLIO_DATA"]) if parts else None,
        split=chosen.split,
        portfolios=tuple(chosen.portfolio),
        cache=chosen.cache,
        work=chosen.work,
        output=chosen.output or (None if chosen.quick else HERE / "results" / "routing.json"),
        threads=chosen.threads,
        repeats=repeats if chosen.repeats is None else chosen.repeats,
        peer_rows=peer_rows if chosen.peer_rows is None else chosen.peer_rows,
        quick=chosen.quick,
    )


if __name__ == "__main__":
    main()
