"""10,000 adapters in one portfolio: what they take on disk, to open, to load, and to serve within a budget of memory.

    OMP_NUM_THREADS=1 python benchmarks/many_adapters.py --portfolio DIR

DIR is made first if it is not there (`synthetic_portfolio.py`: random weights, labelled synthetic; some minutes, 6 GB).
Every part runs in a process of its own, so that neither memory nor warm caches of one help another.

open     the store, everything in its database, and the router from its cache; the base, which any program must load, apart
load     adapters from disk into the bank, against reading the same files, in turns; the files are in the system's cache
traffic  batches of 32 rows of 32 tokens, each row with its task given, tasks drawn by Zipf's law: the k-th most asked task
         in proportion to k^-1.1. A budget is a share of what all adapters take. All in memory: none, and all loaded before.

Times are processor time of one thread, medians; a first use is by the clock, as it waits for the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this file's directory, whose routing.py hides the package

import numpy as np
from many_adapters_page import page

Figures = dict[str, Any]

HERE = Path(__file__).parent
SKEW = 1.1  # s of Zipf's law
ROWS, TOKENS = 32, 32
SHARES = (0.05, 0.2, None)  # of the bytes of all adapters that the bank may take; None: all of them loaded before


def main() -> None:
    settings = _settings()
    directory: Path = settings.portfolio
    if not (directory / "portfolio.db").exists():
        from synthetic_portfolio import make_synthetic

        make_synthetic(directory, settings.tasks)
    rounds, batches, first_uses = (3, 20, 50) if settings.quick else (9, 200, 400)
    figures = {
        "command": "OMP_NUM_THREADS=1 python benchmarks/many_adapters.py --portfolio DIR",
        "date": date.today().isoformat(),
        "data": "synthetic",
        "machine": _machine(),
        "disk": _apart(_disk, directory),
        "open": _median_of([_apart(_open, directory) for _ in range(rounds)]),
        "load": _apart(_load, directory, rounds),
        "traffic": [_apart(_traffic, directory, share, batches, first_uses) for share in SHARES],
    }
    print(page(figures))
    if settings.output is not None:
        settings.output.mkdir(parents=True, exist_ok=True)
        (settings.output / "many_adapters.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        (settings.output / "many_adapters.md").write_text(page(figures), encoding="utf-8")


def _apart(work: Callable[..., Figures], *arguments: object) -> Figures:
    """What it returns in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        made = pool.submit(work, *arguments).result()
    print(json.dumps(made), file=sys.stderr, flush=True)
    return made


# The parts, each in its own process


def _disk(directory: Path) -> Figures:
    """Bytes of a task, of its largest parts and of what all tasks share."""
    from portfolio.store.blobs import Blobs
    from portfolio.store.store import Store

    snapshot = Store.open(directory).snapshot()
    blobs = Blobs(directory / "blobs")
    tasks = len(snapshot.tasks)
    parts = {
        "adapter": [one.digest for one in snapshot.adapters],
        "class_means": [one.centroids for one in snapshot.tasks],
        "evaluation": [one.evaluation for one in snapshot.tasks],
        "scatter": [one.scatter for one in snapshot.tasks],
    }
    sizes = {part: [blobs.path(digest).stat().st_size for digest in digests] for part, digests in parts.items()}
    cache = sum(path.stat().st_size for path in (directory / "cache").rglob("*") if path.is_file())
    return {
        "tasks": tasks,
        **{part: statistics.median(found) for part, found in sizes.items()},
        "scatter_is_shared": len(set(parts["scatter"])) == 1,
        "all_adapters": sum(sizes["adapter"]),
        "database": (directory / "portfolio.db").stat().st_size / tasks,
        "router_cache": cache / tasks,
    }


def _open(directory: Path) -> Figures:
    """Until the router could be asked, in a fresh process; imports are counted apart, and the base is loaded last."""
    began = time.process_time()
    from portfolio.engine import build_router
    from portfolio.hosting.base import load_base
    from portfolio.router_cache import RouterCache
    from portfolio.store.store import Store

    imported = time.process_time()
    store, open_s = _timed(lambda: Store.open(directory))
    snapshot, snapshot_s = _timed(store.snapshot)
    width = snapshot.contract.router_width or snapshot.contract.hidden_size
    first = width * len([block for block in snapshot.contract.feature_blocks if block <= snapshot.contract.trunk])
    cache = RouterCache(store.path, width * len(snapshot.contract.feature_blocks), first)
    _, router_s = _timed(lambda: build_router(store, snapshot.tasks, snapshot.router, first, cache))
    _, base_s = _timed(lambda: load_base(snapshot.contract.name, snapshot.contract.revision))
    return {
        "imports_s": imported - began,
        "open_s": open_s,
        "snapshot_s": snapshot_s,
        "router_s": router_s,
        "portfolio_s": open_s + snapshot_s + router_s,
        "base_s": base_s,
    }


def _load(directory: Path, rounds: int) -> Figures:
    """One, 100 and 1,000 adapters into an empty bank; and the same files read."""
    from portfolio.hosting.bank import Bank
    from portfolio.loading import load_passes
    from portfolio.store.blobs import Blobs
    from portfolio.store.store import Store

    store, blobs = Store.open(directory), Blobs(directory / "blobs")
    adapters = store.snapshot().adapters
    order = np.random.default_rng(0).permutation(len(adapters))
    made: Figures = {}
    for count in (1, 100, 1000):
        some = [adapters[number] for number in order[:count]]

        def load(some: Sequence[Any] = some) -> None:
            bank = Bank()
            for record in some:
                for number, one in enumerate(load_passes(store, record)):
                    bank.add(f"{record.digest} {number}", one)

        def read(some: Sequence[Any] = some) -> None:
            for record in some:
                blobs.path(record.digest).read_bytes()

        def check(some: Sequence[Any] = some) -> None:
            for record in some:
                store.get(record.digest)

        for work in (read, check, load):
            work()
        times = [[_timed(work)[1] for work in (load, read, check)] for _ in range(rounds if count > 1 else 20 * rounds)]
        loading, reading, checking = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(one / other for one, other, _ in times if other)
        made[str(count)] = {"load_s": loading, "read_s": reading, "check_s": checking, "ratio": ratio}
    return made


def _traffic(directory: Path, share: float | None, batches: int, first_uses: int) -> Figures:
    """Rows a second and memory under a budget; first uses last, of adapters that are then not in memory."""
    import torch

    from portfolio.engine import Engine
    from portfolio.execution import Execution
    from portfolio.hosting.encode import Encoded, pad
    from portfolio.store.store import Store

    torch.set_num_threads(1)
    store = Store.open(directory)
    adapters = store.snapshot().adapters
    whole = sum(record.bytes for record in adapters)
    budget = None if share is None else round(share * whole)
    engine = Engine(store, execution=Execution(bank_bytes=budget))
    if share is None:
        for start in range(0, len(adapters), ROWS):
            engine.services(adapters[start : start + ROWS])
    chance = np.random.default_rng(1)
    asked = _zipf(len(adapters), (2 * batches, ROWS), chance)
    rows = [Encoded(tuple(chance.integers(1000, 20_000, TOKENS).tolist()), (0,) * TOKENS) for _ in range(ROWS)]
    batch = pad(rows, engine.host.base.pad_id)
    run_s, service_s, memory, taken_in = [], [], [], 0
    with torch.inference_mode():
        for number, some in enumerate(asked):
            records = [adapters[task] for task in some]
            before = set(engine.bank.refs)
            began = time.process_time()
            [service] = engine.services(records)
            ready = time.process_time()
            service.heads.logits(engine.host.run(batch, service.plan).features)
            ran = time.process_time()
            if number >= batches:  # the first half fills the bank
                service_s.append(ready - began)
                run_s.append(ran - ready)
                taken_in += len(set(engine.bank.refs) - before)
                memory.append(_memory())
        plain = [_timed(lambda: engine.host.run(batch))[1] for _ in range(max(9, batches // 10))]
        waits = [] if share is None else _first_uses(engine, adapters, first_uses, chance)
    spent = sum(run_s) + sum(service_s)
    return {
        "share": share,
        "budget_bytes": budget,
        "bank_bytes": engine.bank.bytes,
        "adapters_in_memory": len(engine.bank.refs),
        "rows_per_s": ROWS * batches / spent,
        "rows_per_s_plain_base": ROWS / statistics.median(plain),
        "service_ms": 1e3 * statistics.median(service_s),
        "run_ms": 1e3 * statistics.median(run_s),
        "taken_in_a_batch": taken_in / batches,
        "own_mib": {"first": memory[0], "last": memory[-1], "largest": max(memory)},
        "first_use_ms": _quantiles(waits) if waits else None,
    }


def _first_uses(engine: Any, adapters: Sequence[Any], count: int, chance: np.random.Generator) -> list[float]:
    """Milliseconds by the clock until an adapter that is not in memory is ready."""
    there = set(engine.bank.refs)
    absent = [record for record in adapters if record.digest not in there]
    waits = []
    for place in chance.permutation(len(absent))[:count]:
        began = time.perf_counter()
        engine.services([absent[place]])
        waits.append(1e3 * (time.perf_counter() - began))
    return waits


def _zipf(tasks: int, shape: tuple[int, int], chance: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Numbers of tasks; which are asked most has nothing to do with when they came."""
    weights = np.arange(1, tasks + 1, dtype=np.float64) ** -SKEW
    ranks = np.searchsorted(np.cumsum(weights) / weights.sum(), chance.random(shape))
    return np.asarray(chance.permutation(tasks)[np.minimum(ranks, tasks - 1)])


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and processor seconds."""
    began = time.process_time()
    made = work()
    return made, time.process_time() - began


def _memory() -> float:
    """MiB of this process that are its own: neither files that it maps nor what others share."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1]) / 1024


def _quantiles(values: Sequence[float]) -> Figures:
    return {"median": float(np.quantile(values, 0.5)), "p99": float(np.quantile(values, 0.99)), "count": len(values)}


def _median_of(runs: Sequence[Figures]) -> Figures:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def _machine() -> Figures:
    load = [round(one, 1) for one in os.getloadavg()]
    return {"cpu": platform.machine(), "cores": os.cpu_count(), "threads": 1, "load": load}


def _settings() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portfolio", type=Path, required=True, help="made there if it is not there yet")
    parser.add_argument("--tasks", type=int, default=10_000, help="of a portfolio that is made")
    parser.add_argument(
        "--quick", action="store_true", help="a rough look; nothing is written unless --output is given"
    )
    parser.add_argument("--output", type=Path, help="directory for the figures; by default benchmarks/results")
    settings = parser.parse_args()
    settings.output = settings.output or (None if settings.quick else HERE / "results")
    return settings


if __name__ == "__main__":
    main()
