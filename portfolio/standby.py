"""What it takes to let another version answer without a model: the stack of champions, the router's sums, checked bytes.

No torch: a rollback must be quick, and possible where the models cannot even be loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from portfolio.errors import DamagedBlob
from portfolio.evaluation_set import EvaluationSet
from portfolio.records import AdapterRecord, Cell, Lineage, Ready, Results, RouterState, Snapshot
from portfolio.store.rows import Event
from portfolio.store.store import Store
from routing.statistics import (
    Totals,
    centroids_from_bytes,
    scatter_from_bytes,
    totals_from_bytes,
    totals_to_bytes,
)


def promoted_before(events: Iterable[Event], name: str) -> tuple[int, ...]:
    """The versions that answered for a task before the present one, oldest first: those that a rollback went past left out."""
    stack: list[int] = []
    for event in events:
        if event.subject != name:
            continue
        if event.action == "add-task":
            adapters = json.loads(event.detail).get("adapters", {})
            stack = [max((int(ref.rpartition("@")[2]) for ref in adapters), default=1)]
        elif event.action == "remove-task":
            stack = []
        elif event.action in ("promote", "rollback"):
            version = int(json.loads(event.detail)["to"].rpartition("@")[2])
            if event.action == "rollback" and version in stack:
                stack = stack[: len(stack) - stack[::-1].index(version)]
            else:
                stack.append(version)
    return tuple(stack[:-1])


def load_checked(store: Store, record: AdapterRecord) -> None:
    """Read an adapter and its members as they lie on disk.

    Raises:
        DamagedBlob: bytes that are missing, of another digest, no safetensors, or not finite.
    """
    for ref, digest in ((record.ref, record.digest), *((member.ref, member.digest) for member in record.members)):
        try:
            tensors = load(store.get(digest))
        except SafetensorError as error:
            raise DamagedBlob(f"expected the tensors of adapter {ref}, got bytes that are none: {error}") from error
        broken = [name for name, tensor in tensors.items() if not np.isfinite(tensor).all()]
        if broken:
            raise DamagedBlob(f"expected finite numbers in adapter {ref}, got others in {', '.join(broken)}")


def ready_now(snapshot: Snapshot, name: str, surroundings: str) -> Ready | None:
    """What the portfolio is with the champion that it has; None where not all of it is measured."""
    champion = next(alias.version for alias in snapshot.aliases if alias.name == name and alias.alias == "champion")
    last = snapshot.tasks[-1].name
    cells = tuple(cell for cell in snapshot.cells if cell.step == last)
    is_whole = len(cells) == len(snapshot.tasks) and all(cell.rows == 0 or cell.routing is not None for cell in cells)
    if snapshot.router is None or not snapshot.moments or not is_whole:
        return None
    return Ready(
        name=name,
        version=champion,
        surroundings=surroundings,
        router=snapshot.router,
        cells=cells,
        outcomes=snapshot.moments[-1].outcomes,
    )


def results_of_ready(ready: Ready) -> Results:
    return Results(cells=ready.cells, outcomes=ready.outcomes)


def moved(store: Store, snapshot: Snapshot, to: Lineage) -> tuple[RouterState, Results]:
    """The router's state with another version's data in the place of the champion's, and what is known of the results then.

    The sums are exact; thresholds and temperatures stay as they are. Of the task itself the oracle score is known; routed
    scores are where the router's sums are the same and no row of another task can have changed, which only models can tell:
    so they are not measured any more.
    """
    assert snapshot.router is not None
    [now] = [task for task in snapshot.tasks if task.name == to.name]
    router = snapshot.router
    if (now.centroids, now.scatter) != (to.centroids, to.scatter):
        totals = _exchanged(store, totals_from_bytes(store.get(router.totals)), (now.centroids, now.scatter), to)
        router = replace(router, totals=store.put(totals_to_bytes(totals)))
    last = snapshot.tasks[-1].name
    rows = EvaluationSet.from_bytes(store.get(to.evaluation))
    own = Cell(
        step=last,
        task=to.name,
        rows=len(rows.test_labels),
        oracle=float((rows.test_predictions == rows.test_labels).mean()) if len(rows.test_labels) else None,
        baseline=rows.baseline,
    )
    others = [
        Cell(step=last, task=cell.task, rows=cell.rows, oracle=cell.oracle, baseline=cell.baseline)
        for cell in snapshot.cells
        if cell.step == last and cell.task != to.name
    ]
    return router, Results(cells=(*others, own))


def _exchanged(store: Store, totals: Totals, old: Sequence[str], new: Lineage) -> Totals:
    centroids, scatter = (centroids_from_bytes, scatter_from_bytes)
    rest = totals.subtract(centroids(store.get(old[0])), scatter(store.get(old[1])))
    return rest.add(centroids(store.get(new.centroids)), scatter(store.get(new.scatter)))
