"""How fast one adapter trains: ours, the libraries `adapters` and `peft`, full fine-tuning, the head alone, in one run.

    python benchmarks/add_task.py

Each library gets its own virtual environment under `--work`, made on the first run. Each process measures its own full
fine-tuning, and speeds are compared in that unit too: it takes out what versions of transformers do differently. All
contestants of a round run one after the other in changing order, so that a noisy minute hits all of them. Same base,
rows, batches, AdamW, clipping, float32 and threads for all. About 10 minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this file's directory, whose routing.py hides the package

import numpy as np
import torch
import transformers
from add_task_page import ADAPTERS, OURS, PEFT, TRUNK_PASS, Key, page, summary
from peer_process import PeerProcess, peer_python
from peers.training_rig import (
    DATA,
    FULL,
    HEAD,
    LABELS,
    LORA_RANK,
    LORAS,
    batches_of,
    clock,
    full_fine_tuning,
    head_only,
    make_rows,
)

from portfolio.hosting.base import MINILM, load_base
from portfolio.hosting.encode import Encoded
from portfolio.hosting.host import Host
from portfolio.hosting.trunk import Prepared, prepare
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.config import AdapterConfig
from portfolio.methods.lora import EVERY_LINEAR, LoraConfig
from portfolio.training import BUCKET, Labelled, TrainingConfig, train_adapter

HERE = Path(__file__).parent
CACHE = Path.home() / ".cache" / "adapter-portfolio"
PEERS = {ADAPTERS: ("adapters==1.3.0", "adapters_training.py"), PEFT: ("peft==0.21.2", "peft_training.py")}
Measure = Callable[[str], float]  # kind of data -> seconds to go through all its rows once


def main() -> None:
    settings = _settings()
    torch.set_num_threads(settings.threads)
    base = str(load_base(MINILM).model.name_or_path)  # a directory
    contestants, versions = _ours(base, settings)
    with ExitStack() as stack:
        peers = {process: stack.enter_context(Peer(process, base, settings)) for process in PEERS}
        for process, peer in peers.items():
            contestants |= {(process, name): peer.measure(name) for name in peer.names}
        seconds = _rounds(contestants, settings.rounds)
    machine = {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": settings.threads,
        "system": platform.system(),
        "load": [round(load, 1) for load in os.getloadavg()],
    }
    figures = {
        "command": settings.command,
        "date": date.today().isoformat(),
        "machine": machine,
        "versions": {
            "python": platform.python_version(),
            OURS: versions,
            **{process: peer.versions for process, peer in peers.items()},
        },
        "rounds": settings.rounds,
        "rows": settings.rows,
        "batch_size": settings.batch_size,
        "data": {data: summary(seconds[data], settings.rows, settings.ranks) for data in DATA},
        "seconds": {data: {": ".join(key): times for key, times in seconds[data].items()} for data in DATA},
    }
    print(page(figures))
    if settings.output is not None:
        settings.output.mkdir(parents=True, exist_ok=True)
        (settings.output / "add_task.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        (settings.output / "add_task.md").write_text(page(figures), encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one run measures."""

    work: Path
    output: Path | None  # a directory; None: print only
    rounds: int
    batches: int
    batch_size: int
    ranks: tuple[int, ...]
    threads: int

    @property
    def rows(self) -> int:
        return self.batches * self.batch_size

    @property
    def command(self) -> str:
        """The command that repeats this run anywhere."""
        ranks = " ".join(map(str, self.ranks))
        return (
            f"python benchmarks/add_task.py --rounds {self.rounds} --batches {self.batches} "
            f"--batch-size {self.batch_size} --ranks {ranks} --threads {self.threads}"
        )


class Own:
    """Adapters trained by `portfolio.training`, what the frozen base makes of the rows kept."""

    def __init__(self, trunk: int, rows: int, batch_size: int) -> None:
        self.host = Host(load_base(MINILM), trunk=trunk)
        # The second of two epochs is timed, so that all of its steps lie between two moments that training tells.
        self.training = TrainingConfig(epochs=2, batch_size=batch_size)
        made = {data: make_rows(data, rows) for data in DATA}
        self.encoded = {data: [Encoded(ids, (0,) * len(ids)) for ids in made[data].ids] for data in DATA}
        self.labels = {data: torch.tensor(made[data].labels) for data in DATA}
        self.prepared = {data: self._prepared(self.encoded[data]) for data in DATA}

    def trunk_pass(self, data: str) -> float:
        now = clock()
        began = now()
        self._prepared(self.encoded[data])
        return now() - began

    def learning(self, config: AdapterConfig) -> Measure:
        return lambda data: self._epoch(config, data)

    def _epoch(self, config: AdapterConfig, data: str) -> float:
        """One epoch as `train_adapter` runs it, with a validation split of one row."""
        train = Labelled(prepared=self.prepared[data], labels=self.labels[data])
        validation = Labelled(prepared=self._prepared(self.encoded[data][:1]), labels=self.labels[data][:1])
        moments = Moments()
        trained = train_adapter(self.host, config, train, validation, LABELS, self.training, moments)
        assert trained.epochs == 2 and not trained.notes, trained.notes
        steps = len(moments.at) // 2
        return moments.at[-1] - moments.at[steps - 1]

    def _prepared(self, encoded: Sequence[Encoded]) -> Prepared:
        return prepare(self.host, encoded, keep_bytes=self.training.cache_bytes)


class Moments:
    """Progress that keeps when each step ended."""

    def __init__(self) -> None:
        self._now = clock()
        self.at: list[float] = []

    def prepared(self, rows: int) -> None: ...

    def step(self, *, done: int, total: int, loss: float, score: float | None) -> None:
        self.at.append(self._now())

    def say(self, message: str) -> None: ...


def _ours(base: str, settings: Settings) -> tuple[dict[Key, Measure], dict[str, str]]:
    """The contestants of this process, and the versions it runs."""
    batches = {data: batches_of(make_rows(data, settings.rows), settings.batch_size) for data in DATA}
    full, head = full_fine_tuning(base), head_only(base)
    made: dict[Key, Measure] = {
        (OURS, FULL): lambda data: full.epoch(batches[data]),
        (OURS, HEAD): lambda data: head.epoch(batches[data]),
    }
    half = full.model.config.num_hidden_layers // 2
    upper, every = (Own(trunk, settings.rows, settings.batch_size) for trunk in (half, 0))
    made[OURS, TRUNK_PASS] = upper.trunk_pass
    for rank in settings.ranks:
        config = BottleneckConfig(rank=rank)
        made[OURS, f"bottleneck r={rank}, upper half, trunk kept"] = upper.learning(config)
        made[OURS, f"bottleneck r={rank}, all blocks"] = every.learning(config)
    for name, targets in LORAS.items():
        lora = LoraConfig(rank=LORA_RANK, alpha=2.0 * LORA_RANK, targets=tuple(targets) or (EVERY_LINEAR,))
        made[OURS, f"lora r={LORA_RANK}, {name}, upper half, trunk kept"] = upper.learning(lora)
    attention = full.model.config._attn_implementation
    return made, {"torch": torch.__version__, "transformers": transformers.__version__, "attention": attention}


class Peer:
    """A library in a process of its own."""

    def __init__(self, library: str, base: str, settings: Settings) -> None:
        requirement, script = PEERS[library]
        python = peer_python(settings.work, requirement, f"torch=={torch.__version__.partition('+')[0]}")
        command = [str(python), str(HERE / "peers" / script), "--base", base, "--threads", str(settings.threads)]
        command += ["--rows", str(settings.rows), "--batch-size", str(settings.batch_size)]
        command += ["--ranks", *map(str, settings.ranks)] if library == ADAPTERS else []
        self._process = PeerProcess(f"the library {library}", command)
        hello = self._process.hello
        self.versions: dict[str, str] = hello["versions"]
        self.names: list[str] = hello["contestants"]

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.close()

    def measure(self, name: str) -> Measure:
        return lambda data: float(self._process.ask({"data": data, "name": name})["seconds"])


def _rounds(contestants: Mapping[Key, Measure], rounds: int) -> dict[str, dict[Key, list[float]]]:
    """Kind of data -> contestant -> seconds in each round. A round before the first warms up and is not kept."""
    seconds: dict[str, dict[Key, list[float]]] = {data: {key: [] for key in contestants} for data in DATA}
    order = np.random.default_rng(0)
    keys = list(contestants)
    for number in range(rounds + 1):
        began = time.perf_counter()
        for data in DATA:
            for index in order.permutation(len(keys)):
                took = contestants[keys[index]](data)
                if number:
                    seconds[data][keys[index]].append(took)
        name = f"round {number} of {rounds}" if number else "warm-up"
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return seconds


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].partition(":")[2].strip() if names else platform.processor() or platform.machine()


def _settings() -> Settings:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work", type=Path, default=CACHE, help="directory that keeps the other libraries' environments"
    )
    parser.add_argument("--output", type=Path, help="directory for the figures; benchmarks/results, or none if quick")
    parser.add_argument("--rounds", type=int, help="default 9, quick 3")
    parser.add_argument("--batches", type=int, help=f"in one epoch, at most {BUCKET}; default 4, quick 2")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--ranks", type=int, nargs="+", help="default 16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a rough look")
    chosen = parser.parse_args()
    rounds, batches = (3, 2) if chosen.quick else (9, 4)
    if (chosen.batches or batches) > BUCKET:  # beyond it, training would make other batches than the peers get
        parser.error(f"--batches must be at most {BUCKET}, got {chosen.batches}")
    return Settings(
        work=chosen.work,
        output=chosen.output or (None if chosen.quick else HERE / "results"),
        rounds=chosen.rounds or rounds,
        batches=chosen.batches or batches,
        batch_size=chosen.batch_size,
        ranks=tuple(chosen.ranks or [16]),
        threads=chosen.threads,
    )


if __name__ == "__main__":
    main()
