"""How a router of many classes is made, opened, and changed: the fit is kept while tasks come and go.

    OMP_NUM_THREADS=1 python -m benchmarks.routing_scale_kept --output benchmarks/results/routing_scale_kept.json

The statistics are synthetic (routing_scale_world.py). The tasks that come after the fit, as many as ever come before it is
made anew, have another covariance than those before, so that a fresh fit is truly another.
Fitting is timed in one process; opening, adding and removing in a second, which maps what the first one wrote. Times are
processor time of one thread, so that a busy machine does not change them much; beside it, as `by_clock`, the quickest
of the repetitions by the clock. Writing, which waits for the disk, is by the clock alone.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this file's directory, whose routing.py hides the package

import faiss
import numpy as np
import numpy.typing as npt

from benchmarks.routing_scale_world import TASK, World, sum_of
from routing.calibration import choose_shrinkage
from routing.cascade import Cascade, FirstLook
from routing.cascade_calibration import calibrate_cascade
from routing.kept_space import STALE_SHARE, KeptSpace, fit_space
from routing.large_index import FLAT
from routing.router import Calibration, CentroidRouter, covariance_of
from routing.router_files import read_space, write_space
from routing.statistics import Centroids, Totals

CASES = ((10, 384), (1_000, 384), (50_000, 384), (100_000, 384), (100_000, 1536))  # classes, features
COMPARED_UP_TO = 384  # features, for the sake of time
WHOLE = Calibration(threshold=-50.0, temperature=2.0, shrinkage=0.1)
LOOK = FirstLook(margin=0.5, in_scope=-50.0, temperature=2.0)
QUERIES = 2048
REPEATS = 5

Figures = dict[str, Any]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--output", type=Path)
    arguments.add_argument("--largest", type=int, default=100_000, help="leave out more classes than this")
    arguments.add_argument("--widest", type=int, default=1536, help="leave out more features than this")
    settings = arguments.parse_args()
    cases = [case for case in CASES if case[0] <= settings.largest and case[1] <= settings.widest]
    figures = {
        "command": "OMP_NUM_THREADS=1 python -m benchmarks.routing_scale_kept",
        "data": "synthetic",
        "machine": {"cpu": platform.machine(), "cores": os.cpu_count(), "threads": 1, "load": os.getloadavg()},
        "versions": {"python": platform.python_version(), "faiss": faiss.__version__, "numpy": np.__version__},
        "cases": [_case(*case) for case in cases],
    }
    if settings.output is not None:
        settings.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _case(classes: int, width: int) -> Figures:
    with tempfile.TemporaryDirectory() as scratch:
        figures: Figures = {"classes": classes, "width": width, "first_width": _first(width), "kept": classes > FLAT}
        figures |= _apart(_make, classes, width, scratch)
        figures |= _apart(_use, classes, width, scratch)
        if classes > FLAT and width <= COMPARED_UP_TO:
            figures["after_a_tenth"] = _apart(_compare, classes, width)
    print(json.dumps(figures), flush=True)
    return figures


def _apart(work: Callable[..., Figures], *arguments: object) -> Figures:
    """What it returns in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _first(width: int) -> int:
    """Of 1,536 features the trunk of the default base makes half; 384 are one look."""
    return width // 2 if width > 384 else 0


def _widths(width: int) -> tuple[int, ...]:
    return (width, _first(width)) if _first(width) else (width,)


def _marks(tasks: Mapping[str, Centroids]) -> dict[str, str]:
    return {name: name for name in tasks}


def _cascade(totals: Totals, tasks: Mapping[str, Centroids], space: KeptSpace | None) -> Cascade:
    look = LOOK if _first(totals.width) else None
    return Cascade(CentroidRouter(totals, tasks, settings=WHOLE, space=space), _first(totals.width), look)


def _fit(totals: Totals, tasks: Mapping[str, Centroids]) -> KeptSpace:
    return fit_space(
        covariance_of(totals), tasks, _marks(tasks), shrinkage=WHOLE.shrinkage, widths=_widths(totals.width)
    )


def _opened(scratch: str, tasks: Mapping[str, Centroids]) -> KeptSpace:
    return read_space(Path(scratch) / "space").changed(_marks(tasks), {})


# What is measured


def _make(classes: int, width: int, scratch: str) -> Figures:
    """From the sums, the first time; and written."""
    faiss.omp_set_num_threads(1)
    world = World.of(width)
    tasks = world.tasks(classes, 0)
    totals = world.totals(tasks)
    if classes <= FLAT:
        return {"make_s": _worked(lambda: _cascade(totals, tasks, None))[1]}
    validation = world.validation(tasks)
    shrinkage_s = _worked(lambda: choose_shrinkage(totals, tasks, validation))[1]
    space, fit_s = _worked(lambda: _fit(totals, tasks))
    router_s = _worked(lambda: _cascade(totals, tasks, space))[1]
    start = time.perf_counter()
    write_space(Path(scratch) / "space", space)
    write_s = time.perf_counter() - start
    size = sum(path.stat().st_size for path in (Path(scratch) / "space").rglob("*") if path.is_file())
    return {"shrinkage_s": shrinkage_s, "make_s": fit_s + router_s, "write_s": write_s, "bytes": size}


def _use(classes: int, width: int, scratch: str) -> Figures:
    """Opened, changed, asked, calibrated, in a process that did not make it."""
    faiss.omp_set_num_threads(1)
    world = World.of(width)
    tasks, more = world.tasks(classes, 0), world.tasks(TASK, 1)
    totals = world.totals(tasks)
    queries, names = world.queries(tasks, 256)
    larger, fewer = {**tasks, **more}, dict(list(tasks.items())[1:])
    with_more = sum_of(totals, world.totals(more))
    without = world.totals(fewer)
    gc.collect()
    before = _memory()
    space: KeptSpace | None = None
    if classes > FLAT:
        space = _opened(scratch, tasks)
    router = _cascade(totals, tasks, space)
    first_s = _worked(lambda: router.choose(queries[:1]))[1]
    chosen = router.choose(queries).choices.tasks
    after = _memory()

    def change(to: Totals, now: Mapping[str, Centroids]) -> Cascade:
        return _cascade(to, now, None if space is None else space.changed(_marks(now), now))

    figures = {
        "open_s": _repeated(lambda: _cascade(totals, tasks, _opened(scratch, tasks) if space is not None else None)),
        "first_query_s": first_s,
        "right": float(np.mean([router.tasks[number] == name for number, name in zip(chosen, names, strict=True)])),
        "own_mib": after["RssAnon"] - before["RssAnon"],
        "mapped_mib": after["RssFile"] - before["RssFile"],
        "add_s": _repeated(lambda: change(with_more, larger)),
        "ms_256": 1e3 * _worked(lambda: router.choose(queries))[1] / 256,
    }
    if len(fewer):
        figures["remove_s"] = _repeated(lambda: change(without, fewer))
    if space is not None:
        validation = world.validation(tasks)
        figures["calibrate_s"] = _worked(lambda: calibrate_cascade(router, validation, 0.95))[1]
    return figures


def _compare(classes: int, width: int) -> Figures:
    """A fit with as many late tasks as ever come, against one made anew, on queries of either kind."""
    faiss.omp_set_num_threads(1)
    world = World.of(width)
    late = (int(classes * STALE_SHARE / (1 + STALE_SHARE)) // TASK) * TASK
    early_tasks, late_tasks = world.tasks(classes - late, 0), world.tasks(late, 1)
    early, both = world.totals(early_tasks), {**early_tasks, **late_tasks}
    totals = sum_of(early, world.totals(late_tasks, late=True))
    fitted = _fit(early, early_tasks)
    serves = fitted.serves(_marks(both), totals.rows)
    kept, bring_in_s = _worked(lambda: fitted.changed(_marks(both), both))
    one_more = {**both, **world.tasks(TASK, 2)}
    add_s = _repeated(lambda: kept.changed(_marks(one_more), one_more))
    figures: Figures = {
        "late_classes": late,
        "serves": serves and not kept.wants_rebuild,
        "bring_in_s": bring_in_s,
        "add_s": add_s,
    }
    asked = {
        "early": world.queries(early_tasks, QUERIES),
        "late": world.queries(late_tasks, QUERIES, late=True),
    }
    validation = world.validation(both, late_tasks)
    early_settings, _ = calibrate_cascade(_cascade(early, early_tasks, fitted), validation[: len(early_tasks)], 0.95)
    for name, space in (("kept", kept), ("fresh", _fit(totals, both))):
        router = _cascade(totals, both, space).calibrated(early_settings)
        settings, _ = calibrate_cascade(router, validation, 0.95)
        figures[name] = {kind: _judged(router, *rows) for kind, rows in asked.items()}
        figures[name]["temperature"] = settings.whole.temperature
        figures[name]["recalibrated"] = {
            kind: _judged(router.calibrated(settings), *rows) for kind, rows in asked.items()
        }
    return figures


def _judged(router: Cascade, queries: npt.NDArray[np.float32], names: list[str]) -> Figures:
    made = router.choose(queries)
    right = [router.tasks[number] == name for number, name in zip(made.choices.tasks, names, strict=True)]
    kept = ~made.choices.abstain | ~made.asked
    return {"right": float(np.mean(right)), "covered": float(kept.mean()), "asked": float(made.asked.mean())}


def _worked(work: Callable[[], Any]) -> tuple[Any, float]:
    """Processor time."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def _repeated(work: Callable[[], object]) -> dict[str, float]:
    seconds, by_clock = [], []
    for _ in range(REPEATS):
        start = time.perf_counter()
        seconds.append(_worked(work)[1])
        by_clock.append(time.perf_counter() - start)
    return {"median": statistics.median(seconds), "slowest": max(seconds), "by_clock": min(by_clock)}


def _memory() -> dict[str, float]:
    """MiB of this process: RssAnon, its own, and RssFile, mapped files that are in memory now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {
        line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("RssAnon", "RssFile"))
    }


if __name__ == "__main__":
    main()
