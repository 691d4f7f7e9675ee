"""The card of a bundle: README.md, with metadata at its head that the Hugging Face hub reads.

Source of the metadata's keys: https://huggingface.co/docs/hub/model-cards, "Model card metadata".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from portfolio.champions import champions_of
from portfolio.errors import require
from portfolio.records import AdapterRecord, BaseContract, Cell, Lineage, Snapshot

_HUB = "hub:"
_KNOWN_BASES = {"minilm": ("sentence-transformers/all-MiniLM-L6-v2", "apache-2.0")}  # name on the hub, license
_ON_HUB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)?")
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_LISTED = 40  # labels or tasks that a card lists

_ADAPTER = """\
---
{front_matter}
---

# {ref}

One adapter of a portfolio, with its head of {labels:,} labels: {parameters:,} numbers beside the frozen base {base}.
{validation}

| | |
|---|---|
| method | `{config}` |
| trunk, pooling | {trunk} of {blocks} blocks without adapters, {pooling} |
| features of blocks | {feature_blocks} |
| texts are cut to | {max_tokens:,} tokens |
| base's fingerprint | `{fingerprint}` |
| trained | {created_at}, {seconds:.0f} s, seed {seed} |
{members}
Labels: {label_list}

## Use

Needs the package `adapter-portfolio`, and a portfolio on the same base, made with the same trunk and pooling.

```
portfolio -p DIR import {name}.tar.gz --dry-run
portfolio -p DIR import {name}.tar.gz
portfolio -p DIR predict "a text" --task {name}
```

```python
from portfolio import Portfolio

portfolio = Portfolio.open("DIR")
portfolio.import_adapter("{name}.tar.gz")
print(portfolio.predict(["a text"], task="{name}"))
```

Nothing in this bundle is a program, and none of its files holds a text that the adapter was trained on.
"""

_PORTFOLIO = """\
---
{front_matter}
---

# A portfolio of {count}

Adapters on the frozen base {base}, each the answer to its own inputs; a router decides which. All versions, their history,
verdicts and results are in it.

| task | answered by | method | labels | test rows | accuracy with the task given | routed |
|---|---|---|---:|---:|---:|---:|
{rows}

## Use

Needs the package `adapter-portfolio`, and the base.

```
portfolio -p DIR import portfolio.tar.gz
portfolio -p DIR tasks
portfolio -p DIR predict "a text"
```
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What an adapter says to its own test rows."""

    rows: int
    accuracy: float  # in [0, 1]


def hub_name(base: str) -> str | None:
    """The name of a base on the hub, as far as its own says; a folder on somebody's disk is nobody else's business."""
    if base in _KNOWN_BASES:
        return _KNOWN_BASES[base][0]
    return base if _ON_HUB.fullmatch(base) and not Path(base).exists() else None


def license_of(base: str, given: str | None) -> str | None:
    """The license that is given, else that of a base that is known.

    Raises:
        ConfigError: it is not written as the hub writes licenses.
    """
    if given is None:
        return _KNOWN_BASES[base][1] if base in _KNOWN_BASES else None
    require(
        _LICENSE.fullmatch(given) is not None,
        f"expected a license as the hub names it, such as apache-2.0, mit or other; got {given[:80]!r}",
    )
    return given


def adapter_card(
    adapter: AdapterRecord, lineage: Lineage, contract: BaseContract, license: str | None, tested: Figures
) -> str:
    """The card of one version."""
    datasets = sorted(
        {source.path.removeprefix(_HUB).partition(":")[0] for source in lineage.sources if _is_hub(source.path)}
    )
    figures = [("validation accuracy", adapter.validation_score), ("test accuracy", tested.accuracy)][
        : 1 + (tested.rows > 0)
    ]
    metadata = [
        *_base_lines(contract, license),
        *_list("datasets", [name for name in datasets if _ON_HUB.fullmatch(name)]),
        "library_name: adapter-portfolio",
        "pipeline_tag: text-classification",
        *_list("tags", ["adapter-portfolio", adapter.method]),
        *_list("metrics", ["accuracy"]),
        *_results(adapter, datasets[0] if datasets else adapter.task, figures),
    ]
    said = f"It answers {adapter.validation_score:.4f} of its validation rows rightly"
    said += f", and {tested.accuracy:.4f} of {tested.rows:,} test rows." if tested.rows else "."
    made_of = ", ".join(str(member.ref) for member in adapter.members)
    return _ADAPTER.format(
        front_matter="\n".join(metadata),
        ref=adapter.ref,
        name=adapter.name,
        labels=len(lineage.labels),
        parameters=adapter.parameters,
        base=_shown_base(contract),
        validation=said,
        config=adapter.config,
        trunk=contract.trunk,
        blocks=contract.blocks,
        pooling=contract.pooling,
        feature_blocks=", ".join(map(str, contract.feature_blocks)),
        max_tokens=contract.max_tokens,
        fingerprint=contract.fingerprint,
        created_at=adapter.created_at or "at an unknown time",
        seconds=adapter.seconds,
        seed=adapter.seed,
        members=f"| made of | {made_of} |\n" if made_of else "",
        label_list=_listed(json.dumps(label, ensure_ascii=False) for label in lineage.labels),
    )


def portfolio_card(snapshot: Snapshot, license: str | None) -> str:
    """The card of a whole portfolio."""
    champions = champions_of(snapshot)
    step = snapshot.tasks[-1].name if snapshot.tasks else ""
    cells = {cell.task: cell for cell in snapshot.cells if cell.step == step}
    rows = []
    for task in snapshot.tasks[:_LISTED]:
        champion, cell = champions[task.name], cells.get(task.name, Cell(step=step, task=task.name, rows=0))
        said = [champion.ref, champion.method, len(task.labels), cell.rows, _score(cell.oracle), _score(cell.routed)]
        rows.append(f"| {task.name} | {' | '.join(map(str, said))} |")
    if len(snapshot.tasks) > _LISTED:
        rows.append(f"| and {len(snapshot.tasks) - _LISTED:,} more | | | | | | |")
    count = "1 task" if len(snapshot.tasks) == 1 else f"{len(snapshot.tasks):,} tasks"
    metadata = [
        *_base_lines(snapshot.contract, license),
        "library_name: adapter-portfolio",
        "pipeline_tag: text-classification",
        *_list("tags", ["adapter-portfolio", *sorted({adapter.method for adapter in snapshot.adapters})]),
        *_list("metrics", ["accuracy"]),
    ]
    return _PORTFOLIO.format(
        front_matter="\n".join(metadata), count=count, base=_shown_base(snapshot.contract), rows="\n".join(rows)
    )


def _base_lines(contract: BaseContract, license: str | None) -> list[str]:
    name = hub_name(contract.name)
    known = [] if name is None else [f"base_model: {json.dumps(name)}", "base_model_relation: adapter"]
    return [*known, *([] if license is None else [f"license: {license}"])]


def _list(key: str, values: Sequence[str]) -> list[str]:
    return [f"{key}:", *(f"- {json.dumps(value)}" for value in values)] if values else []


def _results(adapter: AdapterRecord, dataset: str, figures: Iterable[tuple[str, float]]) -> list[str]:
    """The figures as the hub's table of results takes them."""
    return [
        "model-index:",
        f"- name: {json.dumps(str(adapter.ref))}",
        "  results:",
        "  - task:",
        "      type: text-classification",
        "    dataset:",
        f"      name: {json.dumps(adapter.task)}",
        f"      type: {json.dumps(dataset if _ON_HUB.fullmatch(dataset) else adapter.task)}",
        "    metrics:",
        *(
            line
            for name, value in figures
            for line in ("    - type: accuracy", f"      name: {name}", f"      value: {value:.4f}")
        ),
    ]


def _shown_base(contract: BaseContract) -> str:
    name = hub_name(contract.name)
    return "from a local folder" if name is None else f"`{name}`"


def _listed(values: Iterable[str]) -> str:
    found = list(values)
    more = f" and {len(found) - _LISTED:,} more" if len(found) > _LISTED else ""
    return ", ".join(f"`{value.replace('`', chr(39))}`" for value in found[:_LISTED]) + more


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _is_hub(path: str) -> bool:
    return path.startswith(_HUB)
