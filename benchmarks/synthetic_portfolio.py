"""Make a portfolio of very many synthetic tasks: adapters, class means, evaluation rows and scores are drawn, not learned.

    python benchmarks/synthetic_portfolio.py --tasks 1000 --into DIR

For measuring what many adapters cost, never for what they know: every task is called `synthetic-NNNNN`, says so in its
notes, and has the tag `made = synthetic`. All else is as `portfolio add-task` leaves it, and `portfolio verify` finds
nothing wrong. The statistics are those of classes around a common point in each feature block, with one within-class
covariance for all (`synthetic_world.py`), so that router, cascade and the space that a large router keeps do their work.
Blobs are put by several threads, as a disk serves several at once; all rows are written in one transaction.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this file's directory, whose routing.py hides the package

import numpy as np
import torch
from synthetic_scores import DrawnRows
from synthetic_world import World

from portfolio.evaluation_set import EvaluationSet
from portfolio.hosting.base import MINILM, Base, load_base
from portfolio.hosting.sites import choose_sites, find_sites
from portfolio.hosting.weights import AdapterWeights, Head, to_bytes
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.config import SiteShape
from portfolio.methods.table import config_to_json
from portfolio.portfolio import Portfolio
from portfolio.records import (
    CHAMPION,
    AdapterRecord,
    BaseContract,
    Cell,
    FirstLook,
    Moment,
    RouterState,
    Source,
    TaskRecord,
    to_json,
)
from portfolio.router_cache import RouterCache, is_large
from portfolio.store import adapter_rows, release_rows, rows
from portfolio.store.blobs import Blobs
from portfolio.store.changes import iso_now, package_version
from portfolio.store.consistency import put_cells, put_router
from portfolio.store.creation import BLOBS, DATABASE
from portfolio.store.database import Database
from portfolio.store.store import Store
from portfolio.tasks.recipe import Recipe
from portfolio.training import TrainingConfig
from routing.calibration import choose_shrinkage
from routing.cascade import Cascade
from routing.cascade_calibration import calibrate_cascade
from routing.router import CentroidRouter
from routing.statistics import Centroids, Totals, centroids_to_bytes, scatter_to_bytes, totals_to_bytes

NOTE = "synthetic: weights, statistics, rows and scores are drawn at random; nothing was learned or measured"
TAG = ("made", "synthetic")
COVERAGE = 0.95
_WRITERS = 16  # threads
_WITH_CORNERS = 1_000  # tasks up to which each keeps a covariance of its own, as learned ones do: 0.3 MB each
_CALIBRATED_ON = 200  # tasks whose validation rows are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How large each task is."""

    labels: int = 10
    rank: int = 16  # of a bottleneck in every block above the trunk
    rows: int = 20  # of train, a label
    validation: int = 4
    test: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """One task on disk."""

    record: TaskRecord
    adapter: AdapterRecord
    centroids: Centroids
    validation: np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def make_synthetic(
    directory: Path,
    tasks: int,
    *,
    shape: Shape = Shape(),
    base: str | Base = MINILM,
    seed: int = 0,
    every_step: bool = False,
) -> Store:
    """A new portfolio of so many synthetic tasks.

    Args:
        every_step: with a row of the results matrices, and what became of the test rows, for each task that came, as a
            grown portfolio has them: of 1,000 tasks 500,500 cells. By default of the last one only.
    """
    loaded = base if isinstance(base, Base) else load_base(base)
    store = Portfolio.init(directory, loaded).store
    world = World.of(store.contract, seed)
    scatter = world.scatter(shape.labels * (shape.rows - 1))
    drawn = DrawnRows.of(tasks, shape.test, seed)
    scatter_digest = store.put(scatter_to_bytes(scatter))  # the same for all tasks: 4.7 MB each, otherwise
    sites = _sites(loaded, store.contract)

    def made(number: int) -> _Made:
        return _task(store, world, shape, sites, scatter_digest, drawn, number, seed, tasks <= _WITH_CORNERS)

    with ThreadPoolExecutor(_WRITERS) as pool:
        everything = list(pool.map(made, range(tasks)))
    centroids = {one.record.name: one.centroids for one in everything}
    sums = np.sum([(one.means * one.counts[:, None]).sum(axis=0) for one in centroids.values()], axis=0)
    totals = Totals(
        rows=tasks * shape.labels * shape.rows,
        classes=tasks * shape.labels,
        feature_sum=sums,
        within=tasks * scatter,
    )
    state = _router(store, world, totals, everything, centroids)
    _write_rows(store, everything, state, drawn, every_step)
    return store


def _task(
    store: Store,
    world: World,
    shape: Shape,
    sites: Mapping[str, SiteShape],
    scatter: str,
    drawn: DrawnRows,
    number: int,
    seed: int,
    with_corner: bool,
) -> _Made:
    chance = np.random.default_rng((seed, 1, number))
    name = task_name(number)
    means = world.means(shape.labels, chance)
    counts = np.full(shape.labels, shape.rows, dtype=np.int64)
    corner = world.corner(shape.labels * (shape.rows - 1)) if with_corner else None
    centroids = Centroids(counts=counts, means=means, corner=corner)
    of_validation, of_test = (chance.integers(0, shape.labels, count) for count in (shape.validation, shape.test))
    validation = world.rows(means[of_validation], chance)
    evaluation = EvaluationSet(
        validation_features=validation,
        test_features=world.rows(means[of_test], chance),
        test_labels=of_test,
        test_predictions=np.where(drawn.own_right[number], of_test, (of_test + 1) % shape.labels),
        baseline=drawn.baseline(shape.labels),
    )
    blob = to_bytes(
        _weights(BottleneckConfig(rank=shape.rank), sites, shape.labels, world.feature_width, (seed, number))
    )
    record = TaskRecord(
        name=name,
        kind="classification",
        labels=tuple(f"{name} label {label}" for label in range(shape.labels)),
        has_pairs=False,
        columns=("text", None, "label"),
        sources=tuple(
            Source(split=split, path=f"/synthetic/{name}/{split}.jsonl", sha256="0" * 64, rows=count)
            for split, count in (
                ("train", shape.labels * shape.rows),
                ("validation", shape.validation),
                ("test", shape.test),
            )
        ),
        seed=seed,
        reading=to_json(Recipe(train=f"/synthetic/{name}/train.jsonl")),
        centroids=store.put(centroids_to_bytes(centroids)),
        scatter=scatter,
        evaluation=store.put(evaluation.to_bytes()),
        notes=(NOTE,),
        tags=(TAG,),
    )
    adapter = AdapterRecord(
        name=name,
        version=1,
        task=name,
        digest=store.put(blob),
        method=BottleneckConfig.method,
        config=config_to_json(BottleneckConfig(rank=shape.rank)),
        training=to_json(TrainingConfig()),
        parameters=len(blob) // 4,
        bytes=len(blob),
        seconds=0.0,
        epochs=0,
        seed=seed,
        validation_score=float(drawn.own_right[number].mean()),
        notes=(NOTE,),
    )
    return _Made(record=record, adapter=adapter, centroids=centroids, validation=validation)


def task_name(number: int) -> str:
    """Of the task of that number, from 0."""
    return f"synthetic-{number + 1:05d}"


def _sites(base: Base, contract: BaseContract) -> dict[str, SiteShape]:
    config = BottleneckConfig()
    above = tuple(range(contract.trunk, contract.blocks))
    return {site.key: site.shape for site in choose_sites(find_sites(base.model).values(), config.site_kinds(), above)}


def _weights(
    config: BottleneckConfig, sites: Mapping[str, SiteShape], labels: int, width: int, seed: tuple[int, int]
) -> AdapterWeights:
    """Small weights everywhere, so that the adapter does something."""
    chance = np.random.default_rng((*seed, 2))

    def small(*shape: int) -> torch.Tensor:
        return torch.from_numpy(chance.standard_normal(shape, dtype=np.float32) * np.float32(0.02))

    return AdapterWeights(
        config=config,
        sites={
            key: {
                "down": small(config.rank, site.features_in),
                "down_bias": small(config.rank),
                "up": small(site.features_out, config.rank),
                "up_bias": small(site.features_out),
            }
            for key, site in sites.items()
        },
        head=Head(small(labels, width), small(labels)),
    )


def _router(
    store: Store, world: World, totals: Totals, made: list[_Made], centroids: Mapping[str, Centroids]
) -> RouterState:
    """Calibrated on validation rows of some tasks, as a task that comes leaves it; the space of a large one is kept."""
    validation = [one.validation if number < _CALIBRATED_ON else one.validation[:0] for number, one in enumerate(made)]
    marks = {one.record.name: one.record.centroids for one in made}
    space = None
    if is_large(totals):
        cache = RouterCache(store.path, world.width, world.first_width)
        space = cache.fitted(totals, marks, centroids, choose_shrinkage(totals, centroids, validation))
    router = Cascade(CentroidRouter(totals, centroids, space=space), world.first_width)
    settings, quality = calibrate_cascade(router, validation, COVERAGE)
    first, whole = settings.first, settings.whole
    return RouterState(
        totals=store.put(totals_to_bytes(totals)),
        threshold=whole.threshold,
        temperature=whole.temperature,
        shrinkage=whole.shrinkage,
        own_share=whole.own_share,
        first_look=None
        if first is None
        else FirstLook(margin=first.margin, in_scope=first.in_scope, temperature=first.temperature),
        ece_before=quality.ece_before,
        ece=quality.ece,
        asked=quality.asked,
    )


def _write_rows(store: Store, made: list[_Made], state: RouterState, drawn: DrawnRows, every_step: bool) -> None:
    """All of it in one transaction."""
    now = iso_now()
    moments = list(_moments(store, [one.record.name for one in made], drawn, now, every_step))
    with Database(store.path / DATABASE).writing() as db:
        for one in made:
            rows.insert_task(db, replace(one.record, added_at=now))
            adapter_rows.insert_adapters(db, [replace(one.adapter, created_at=now)])
            release_rows.insert_lineage(
                db, release_rows.lineage_of(one.record, 1, base=store.contract.fingerprint, code=package_version())
            )
            release_rows.put_alias(db, one.adapter.name, CHAMPION, one.adapter.version)
            generation = rows.advance_generation(db)
            detail = json.dumps({"adapters": {str(one.adapter.ref): one.adapter.digest}, "generation": generation})
            rows.append_event(db, rows.Event(at=now, action="add-task", subject=one.record.name, detail=detail))
        for moment, cells in moments:
            put_cells(db, store.path, cells)
            rows.insert_moment(db, moment)
        put_router(db, Blobs(store.path / BLOBS), state)


def _moments(
    store: Store, names: list[str], drawn: DrawnRows, now: str, every_step: bool
) -> Iterator[tuple[Moment, list[Cell]]]:
    for step in range(0 if every_step else len(names) - 1, len(names)):
        moment = Moment(
            generation=step + 1,
            at=now,
            action="add-task",
            subject=names[step],
            step=names[step],
            outcomes=store.put(drawn.outcomes(names, step).to_bytes()),
        )
        yield moment, drawn.cells(names, step)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, required=True)
    parser.add_argument("--into", type=Path, required=True, help="a new or empty directory")
    parser.add_argument("--labels", type=int, default=10, help="a task")
    parser.add_argument("--rank", type=int, default=16, help="of its bottleneck")
    parser.add_argument("--validation", type=int, default=4, help="rows a task")
    parser.add_argument("--test", type=int, default=8, help="rows a task")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every-step", action="store_true", help="results of all steps, as a grown portfolio has them")
    chosen = parser.parse_args()
    shape = Shape(labels=chosen.labels, rank=chosen.rank, validation=chosen.validation, test=chosen.test)
    torch.set_num_threads(1)
    began = time.perf_counter()
    make_synthetic(chosen.into, chosen.tasks, shape=shape, seed=chosen.seed, every_step=chosen.every_step)
    taken = sum(path.stat().st_size for path in chosen.into.rglob("*") if path.is_file())
    print(f"{chosen.tasks:,} synthetic tasks, {taken / 2**20:,.0f} MiB, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
