"""The router of a portfolio, calibrated on what is kept of its tasks' validation rows and of out-of-scope inputs."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from portfolio.asking import ReadAgain, asker
from portfolio.champions import champions_of
from portfolio.engine import Engine, load_centroids, settings_of
from portfolio.errors import DataError, NotFound, require
from portfolio.evaluation import KnownTask
from portfolio.hosting.trunk import prepare
from portfolio.known import KnownTasks
from portfolio.records import (
    BARE_BASE,
    NOBODY,
    Cell,
    FirstLook,
    Results,
    RouterState,
    RouterWishes,
    Snapshot,
    TaskRecord,
)
from portfolio.refs import require_known
from portfolio.remeasuring import remeasure
from portfolio.router_cache import is_large
from portfolio.standing import Measured
from portfolio.store.changes import until_it_stands
from portfolio.store.store import Store
from portfolio.tasks.columns import GUESS
from portfolio.tasks.files import read_texts
from routing.calibration import choose_shrinkage
from routing.cascade import Cascade
from routing.cascade_calibration import Quality, calibrate_cascade
from routing.router import CentroidRouter
from routing.statistics import (
    FloatArray,
    Totals,
    features_from_bytes,
    features_to_bytes,
    scatter_from_bytes,
    totals_from_bytes,
    totals_to_bytes,
)


def known_tasks(engine: Engine, snapshot: Snapshot) -> KnownTasks:
    """Every task as the router and its measurement need it, in order."""
    return KnownTasks(engine.store, snapshot.tasks, champions_of(snapshot))


def results_of(store: Store, measured: Measured, foretold: Sequence[Cell] = ()) -> Results:
    """What a commit is told of a measurement; what became of the rows is put on disk.

    Args:
        foretold: cells of an earlier step.
    """
    return Results(cells=(*foretold, *measured.cells), outcomes=store.put(measured.outcomes.to_bytes()))


def totals_of(engine: Engine, snapshot: Snapshot) -> Totals:
    """The sums over all tasks that are there."""
    if snapshot.router is None:
        return Totals.zero(engine.router_width)
    return totals_from_bytes(engine.store.get(snapshot.router.totals))


def totals_without(engine: Engine, snapshot: Snapshot, records: Sequence[TaskRecord]) -> Totals:
    """The sums over all tasks but some of them."""
    totals = totals_of(engine, snapshot)
    for record in records:
        scatter = scatter_from_bytes(engine.store.get(record.scatter))
        totals = totals.subtract(load_centroids(engine.store, record), scatter)
    return totals


def wishes_of(snapshot: Snapshot) -> RouterWishes:
    """What was asked of the router; what is asked of any where there is no task yet."""
    return RouterWishes() if snapshot.router is None else snapshot.router.wishes


def calibrated_router(
    engine: Engine,
    totals: Totals,
    known: KnownTasks,
    wishes: RouterWishes,
) -> tuple[Cascade, RouterState, Quality]:
    """The router of these tasks, calibrated on their validation rows; what the store keeps of it; how it does there.

    While a large router keeps its fit, and the wishes are as they were, it keeps its settings, too.
    """
    router, is_fresh = _uncalibrated(engine, totals, known)
    digest = engine.store.put(totals_to_bytes(totals))
    before = engine.refresh().snapshot.router
    if (
        not is_fresh
        and before is not None
        and before.wishes == wishes
        and before.shrinkage == router.whole.settings.shrinkage
    ):
        quality = Quality(ece_before=before.ece_before, ece=before.ece, asked=before.asked)
        return router.calibrated(settings_of(before)), replace(before, totals=digest), quality
    outside = None if wishes.oos is None else features_from_bytes(engine.store.get(wishes.oos))
    return _calibrated(router, digest, known, wishes, outside)


def _uncalibrated(engine: Engine, totals: Totals, known: KnownTasks) -> tuple[Cascade, bool]:
    """The router of these tasks under settings that are still to be chosen, and whether it was fitted to them now."""
    if not is_large(totals):
        return Cascade(CentroidRouter(totals, dict(known.centroids)), engine.first_width), True
    centroids, marks = known.centroids, known.digests
    space = engine.router_cache.kept(totals, marks, centroids)
    is_fresh = space is None
    if space is None:
        shrinkage = choose_shrinkage(totals, centroids, [task.rows.validation_features for task in known])
        space = engine.router_cache.fitted(totals, marks, centroids, shrinkage)
    return Cascade(CentroidRouter(totals, centroids, space=space), engine.first_width), is_fresh


def _calibrated(
    router: Cascade, totals: str, known: Sequence[KnownTask], wishes: RouterWishes, outside: FloatArray | None
) -> tuple[Cascade, RouterState, Quality]:
    """The same without the store: given the digest of the totals, and the features of out-of-scope inputs."""
    settings, quality = calibrate_cascade(
        router,
        [task.rows.validation_features for task in known],
        wishes.coverage,
        out_of_scope=outside,
        recall=wishes.recall,
    )
    first = settings.first
    state = RouterState(
        totals=totals,
        threshold=settings.whole.threshold,
        temperature=settings.whole.temperature,
        shrinkage=settings.whole.shrinkage,
        own_share=settings.whole.own_share,
        wishes=wishes,
        first_look=None
        if first is None
        else FirstLook(margin=first.margin, in_scope=first.in_scope, temperature=first.temperature),
        ece_before=quality.ece_before,
        ece=quality.ece,
        asked=quality.asked,
    )
    return router.calibrated(settings), state, quality


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is to change of the wishes; None leaves one as it is."""

    coverage: float | None = None  # it decides the threshold again where a recall did
    oos: str | Path | None = None  # a file of out-of-scope texts; `none` forgets the earlier ones
    recall: float | None = None
    fallback: str | None = None  # `none` takes it away
    shared_labels: bool | None = None

    def __post_init__(self) -> None:
        for what, share in (("coverage", self.coverage), ("recall", self.recall)):
            require(share is None or 0 < share <= 1, f"{what} must be above 0 and at most 1, got {share}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """What a calibration chose, and how the router does with it on the rows that it was chosen on."""

    state: RouterState
    quality: Quality


def recalibrate(engine: Engine, changes: Changes, *, read_again: ReadAgain, dry_run: bool = False) -> Calibrated:
    """Calibrate the router to the changed wishes, measure the last row of the results again, and commit both.

    Args:
        dry_run: only say what would be chosen; nothing is written.

    Raises:
        NotFound: no task at all, or no such fallback.
        ConfigError, DataError: wishes or a file that cannot be.
    """
    outside = None if changes.oos is None or str(changes.oos) == NOBODY else _features_of(engine, changes.oos)
    return until_it_stands(lambda: _recalibrate(engine, changes, outside, read_again, dry_run))


def _recalibrate(
    engine: Engine, changes: Changes, outside: FloatArray | None, read_again: ReadAgain, dry_run: bool
) -> Calibrated:
    store = engine.store
    snapshot = engine.refresh().snapshot
    if snapshot.router is None:
        raise NotFound("there is no task to route to yet; add one with: portfolio add-task NAME --train FILE")
    blob = None if outside is None else features_to_bytes(outside)
    wishes = _changed(snapshot, changes, None if blob is None else hashlib.sha256(blob).hexdigest())
    if outside is None and wishes.oos is not None:
        outside = features_from_bytes(store.get(wishes.oos))
    known = known_tasks(engine, snapshot)
    router, _ = _uncalibrated(engine, totals_of(engine, snapshot), known)
    router, state, quality = _calibrated(router, snapshot.router.totals, known, wishes, outside)
    if dry_run:
        return Calibrated(state=state, quality=quality)
    if blob is not None:
        store.put(blob)
    measured = remeasure(store, snapshot.tasks[-1].name, known, router, asker(engine, snapshot, read_again))
    store.commit_router(
        expected_generation=snapshot.generation,
        router=state,
        results=results_of(store, measured),
        detail=dataclasses.asdict(wishes),
    )
    return Calibrated(state=state, quality=quality)


def _changed(snapshot: Snapshot, changes: Changes, oos: str | None) -> RouterWishes:
    """The wishes of this moment, with the changes; `oos` is the digest of new out-of-scope features."""
    if changes.fallback not in (None, BARE_BASE, NOBODY):
        require_known(changes.fallback, [task.name for task in snapshot.tasks])
    wishes = wishes_of(snapshot)
    if changes.coverage is not None:
        wishes = replace(wishes, coverage=changes.coverage, recall=None)
    if oos is not None:
        wishes = replace(wishes, oos=oos)
    elif changes.oos is not None:
        wishes = replace(wishes, oos=None, recall=None)
    if changes.recall is not None:
        require(
            wishes.oos is not None,
            "a recall needs out-of-scope texts to be reached on; give them with: --oos FILE",
        )
        wishes = replace(wishes, recall=changes.recall)
    if changes.fallback is not None:
        wishes = replace(wishes, fallback=None if changes.fallback == NOBODY else changes.fallback)
    return wishes if changes.shared_labels is None else replace(wishes, shared_labels=changes.shared_labels)


def _features_of(engine: Engine, place: str | Path) -> FloatArray:
    """What the router sees of the texts there; the texts themselves are not kept."""
    rows = list(read_texts(str(place), GUESS))
    if not rows:
        raise DataError(f"{place}: expected out-of-scope texts, got none")
    seconds = [pair for _, pair in rows if pair is not None]
    encoded = engine.encode([text for text, _ in rows], seconds or None)
    return engine.view(prepare(engine.host, encoded).features)
