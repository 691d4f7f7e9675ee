"""What the portfolio is around one task: as long as that is the same, what was computed with a version as champion holds."""

from __future__ import annotations

import dataclasses
import hashlib
import json

from portfolio.champions import champions_of
from portfolio.records import RouterWishes, Snapshot


def surroundings(snapshot: Snapshot, name: str) -> str:
    """SHA-256 over how the base is read, what is asked of the router, and all tasks in order with who answers for them.

    Of the task `name` itself only its place counts: neither its champion nor the data that one was learned from.
    """
    champions, contract = champions_of(snapshot), snapshot.contract
    tasks = [
        [task.name]
        if task.name == name
        else [
            task.name,
            list(task.labels),
            task.centroids,
            task.evaluation,
            champions[task.name].digest,
            task.disabled,
        ]
        for task in snapshot.tasks
    ]
    wishes = RouterWishes() if snapshot.router is None else snapshot.router.wishes
    base = [
        contract.fingerprint,
        contract.trunk,
        contract.pooling,
        contract.max_tokens,
        list(contract.feature_blocks),
        contract.router_width,
    ]
    said = json.dumps([base, dataclasses.asdict(wishes), tasks], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()
