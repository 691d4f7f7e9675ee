"""How the index of class means scales: 10 to 1,000,000 of them, against looking at all and against HNSW.

    OMP_NUM_THREADS=1 python -m benchmarks.routing_scale --output benchmarks/results/routing_scale.json

The means are synthetic. Of whitened frozen-MiniLM features of 254 real classes (five sets of texts, d = 384) the class
means spread with variances that fall from 15 to .3 and sum to 204, and a row lies 320 (median, squared) from the nearest
mean. So here: means with variances 5 exp(-j / 40), half of it shared by the 15 classes of a task; queries are a mean
plus noise of variance 1 in every direction. Each size has a process of its own for building, and another for opening
and searching, so that memory can be told apart. Times are processor time of the one thread, so that a busy machine does
not change them much; what waits for the disk (opening, saving, adding a task) is by the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import faiss

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this file's directory, whose routing.py hides the package

import numpy as np
import numpy.typing as npt

from routing.large_index import FLAT, LargeIndex

WIDTH = 384
TASK = 15  # classes
NEAREST = 64
BATCH = 256
SINGLES = 100  # queries asked one by one
SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4)  # of the cells, for the table from which the share was chosen
CASES = ((10, FLAT), (1_000, FLAT), (FLAT, FLAT), (FLAT, 0), (100_000, FLAT), (1_000_000, FLAT))  # means, flat up to
GRAPHS_UP_TO = 100_000  # means for which HNSW is built as well: it takes minutes

Float32 = npt.NDArray[np.float32]
Figures = dict[str, Any]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--output", type=Path)
    arguments.add_argument("--largest", type=int, default=1_000_000, help="leave out sizes above this")
    settings = arguments.parse_args()
    figures = {
        "command": "OMP_NUM_THREADS=1 python -m benchmarks.routing_scale",
        "data": "synthetic",
        "width": WIDTH,
        "machine": {"cpu": platform.machine(), "cores": os.cpu_count(), "threads": 1, "load": os.getloadavg()},
        "versions": {"python": platform.python_version(), "faiss": faiss.__version__, "numpy": np.__version__},
        "cases": [_case(means, flat) for means, flat in CASES if means <= settings.largest],
    }
    if settings.output is not None:
        settings.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _case(means: int, flat: int) -> Figures:
    with tempfile.TemporaryDirectory() as scratch:
        built = _apart(_build, means, flat, scratch)
        figures = {"means": means, "frozen": means > flat, **built, **_apart(_use, means, flat, scratch)}
    print(json.dumps(figures), flush=True)
    return figures


def _apart(work: Callable[..., Figures], *arguments: object) -> Figures:
    """What it returns in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _build(count: int, flat: int, scratch: str) -> Figures:
    """Build and save; look at all means for the truth; whiten all of them; build the rival."""
    faiss.omp_set_num_threads(1)
    means, queries = _means(count), _queries(count)
    index, build_s = _timed(lambda: LargeIndex.build(means, flat=flat))
    directory = Path(scratch) / "index"
    _, save_s = _clocked(lambda: index.save(directory))
    nearest = min(NEAREST, count)
    (distances, columns), all_s = _timed(lambda: faiss.knn(queries, means, nearest))
    np.savez(Path(scratch) / "truth.npz", distances=distances, columns=columns)
    looking_at_all = {
        "ms_1": _singles(lambda one: faiss.knn(one, means, nearest), queries),
        "ms_256": 1e3 * all_s / BATCH,
    }
    return {
        "build_s": build_s,
        "save_s": save_s,
        "bytes": sum(path.stat().st_size for path in directory.iterdir()),
        "whiten_all_s": _timed(lambda: _whiten(means))[1],
        "looking_at_all": looking_at_all,
        "hnsw": _graph(means, queries, distances, columns) if FLAT <= count <= GRAPHS_UP_TO and count > flat else None,
    }


def _use(count: int, flat: int, scratch: str) -> Figures:
    """Open, search, and add a task, to the index as built and to one whose loose part is full."""
    faiss.omp_set_num_threads(1)
    queries, directory = _queries(count), Path(scratch) / "index"
    with np.load(Path(scratch) / "truth.npz") as truth:
        distances, columns = truth["distances"], truth["columns"]
    nearest = columns.shape[1]
    before = _memory()
    index, open_s = _clocked(lambda: LargeIndex.open(directory))
    found = index.nearest(queries, nearest)  # also brings the file into memory, so that what follows is warm
    figures = {
        "open_s": open_s,
        "ms_1": _singles(lambda one: index.nearest(one, nearest), queries),
        "ms_256": _batches(lambda: index.nearest(queries, nearest)),
        **_quality(found.squared_distances, found.columns, distances, columns),
    }
    after = _memory()
    figures["own_mib"], figures["mapped_mib"] = (after[key] - before[key] for key in ("RssAnon", "RssFile"))
    figures["add_task"] = _added(index, queries, directory)
    if count > flat:
        full = index.with_more(_means(min(FLAT, count // 10) - TASK, seed=7))
        figures["full"] = {
            "loose": len(full) - len(index),
            "ms_1": _singles(lambda one: full.nearest(one, nearest), queries),
            "ms_256": _batches(lambda: full.nearest(queries, nearest)),
            "add_task": _added(full, queries, directory),
        }
        figures["shares"] = [_at_share(share, directory, queries, distances, columns) for share in SHARES]
    return figures


def _added(index: LargeIndex, queries: Float32, directory: Path) -> Figures:
    """One more task: whiten its means, add them, ask a first query; and save."""
    chance = np.random.default_rng(5)
    whitening, task = chance.normal(size=(WIDTH, WIDTH)), chance.normal(size=(TASK, WIDTH))

    def add() -> LargeIndex:
        larger = index.with_more((task - task.mean(axis=0)) @ whitening)
        larger.nearest(queries[:1], min(NEAREST, len(larger)))
        return larger

    times = [_clocked(add)[1] for _ in range(7)]
    larger = add()
    saving = [_clocked(lambda: larger.save(directory))[1] for _ in range(3)]
    index.save(directory)
    return {"seconds": statistics.median(times), "slowest_s": max(times), "save_s": statistics.median(saving)}


def _at_share(share: float, directory: Path, queries: Float32, distances: Float32, columns: Any) -> Figures:
    """The frozen part alone, when a query looks into that share of its cells."""
    [path] = directory.glob("frozen-*")
    index: Any = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
    lists: Any = faiss.downcast_InvertedLists(index.invlists)
    lists.prefetch_nthread = 0
    index.nprobe = max(1, round(share * index.nlist))
    found_distances, found = index.search(queries, columns.shape[1])
    return {
        "share": share,
        "cells": index.nlist,
        "ms_1": _singles(lambda one: index.search(one, columns.shape[1]), queries),
        "ms_256": _batches(lambda: index.search(queries, columns.shape[1])),
        **_quality(found_distances, found, distances, columns),
    }


def _graph(means: Float32, queries: Float32, distances: Float32, columns: Any) -> Figures:
    """HNSW with 32 neighbours a mean, faiss's default of 40 while building, 128 while searching."""
    index: Any = faiss.IndexHNSWFlat(WIDTH, 32)
    _, build_s = _timed(lambda: index.add(means))
    index.hnsw.efSearch = 128
    found_distances, found = index.search(queries, NEAREST)
    return {
        "build_s": build_s,
        "bytes": len(faiss.serialize_index(index)),
        "ms_1": _singles(lambda one: index.search(one, NEAREST), queries),
        "ms_256": _batches(lambda: index.search(queries, NEAREST)),
        **_quality(found_distances, found, distances, columns),
    }


def _means(count: int, seed: int = 0) -> Float32:
    chance = np.random.default_rng(seed)
    scales = np.sqrt(5 * np.exp(-np.arange(WIDTH) / 40) / 2).astype(np.float32)
    means = chance.standard_normal((count, WIDTH), dtype=np.float32)
    for start in range(0, count, TASK):
        means[start : start + TASK] += chance.standard_normal(WIDTH, dtype=np.float32)
    means *= scales
    return means


def _queries(count: int) -> Float32:
    """Of as many queries as a batch has; a function of the count alone, so that each process makes the same."""
    chance = np.random.default_rng(1)
    noise = chance.standard_normal((BATCH, WIDTH), dtype=np.float32)
    return np.asarray(_means(count)[chance.integers(0, count, BATCH)] + noise)


def _whiten(means: Float32) -> None:
    """What fitting the transform anew costs for all means; some at a time, for the sake of memory."""
    whitening, origin = np.random.default_rng(0).normal(size=(WIDTH, WIDTH)), np.ones(WIDTH)
    for start in range(0, len(means), 50_000):
        ((means[start : start + 50_000] - origin) @ whitening).astype(np.float32)


def _quality(found_distances: Any, found: Any, distances: Any, columns: Any) -> Figures:
    """Shares of the truth that were found: of the nearest, of the nearest 64, and of exp(-d² / 2) over those 64."""
    least = distances[:, :1].astype(np.float64)
    mass = np.exp(-(found_distances - least) / 2).sum(axis=1) / np.exp(-(distances - least) / 2).sum(axis=1)
    shared = [len(np.intersect1d(*pair)) / columns.shape[1] for pair in zip(found, columns, strict=True)]
    return {
        "recall_1": float((found[:, 0] == columns[:, 0]).mean()),
        "recall_64": float(np.mean(shared)),
        "probability_found": float(np.minimum(mass, 1).mean()),
    }


def _timed(work: Callable[[], Any], clock: Callable[[], float] = time.process_time) -> tuple[Any, float]:
    start = clock()
    result = work()
    return result, clock() - start


def _clocked(work: Callable[[], Any]) -> tuple[Any, float]:
    return _timed(work, time.perf_counter)


def _singles(search: Callable[[Float32], object], queries: Float32) -> float:
    """Milliseconds a query asked alone, the median."""
    times = []
    for one in queries[:SINGLES]:
        start = time.process_time()
        search(one[None])
        times.append(time.process_time() - start)
    return 1e3 * statistics.median(times)


def _batches(search: Callable[[], object]) -> float:
    """Milliseconds a query asked with 255 others, the median of five batches."""
    return 1e3 * statistics.median(_timed(search)[1] for _ in range(5)) / BATCH


def _memory() -> dict[str, float]:
    """MiB of this process: RssAnon, its own, and RssFile, mapped files that are in memory now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {
        line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("RssAnon", "RssFile"))
    }


if __name__ == "__main__":
    main()
