"""How much a fusion attends to each of its members: as JSON, in words, and as tables.

The share of a member is its weight's mean over blocks. A label is the more telling, the further its shares p are from
those of all rows q:  distance = ½ Σ |p − q|, in [0, 1].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from portfolio.records import Attention
from portfolio.reports.tables import print_table, texts_table
from portfolio.reports.wording import count, plain, share

Shares = np.ndarray[Any, np.dtype[np.float64]]

_LISTED_LABELS = 20
_HARDLY = 0.05  # a smaller share is hardly used
_OF_EQUAL = 0.5  # so is, of many members, less than half of what each has when all are used alike
_ALIKE = 0.05  # shares that are no further apart are about equal


def attention_to_dict(attention: Attention) -> dict[str, Any]:
    """`mean` over blocks by member; `by_block` and `by_label` as (blocks, members), in the order of the first two."""
    return {
        "members": list(attention.members),
        "blocks": list(attention.blocks),
        "rows": attention.rows,
        "mean": dict(zip(attention.members, _shares(attention), strict=True)),
        "by_block": [list(weights) for weights in attention.mean],
        "by_label": {
            label: [list(weights) for weights in blocks]
            for label, blocks in zip(attention.labels, attention.by_label, strict=True)
        },
    }


def print_attention(attention: Attention, console: Console) -> None:
    """Write in words who is used, then each member's weight in each block, then the labels that differ most."""
    console.print(Text("what the fusion attends to", style="bold"))
    console.print(Text(plain(attention_in_words(attention), console)))
    console.print()
    shares = _shares(attention)
    columns = np.column_stack([shares, np.array(attention.mean).T])  # (members, 1 + blocks)
    rows = [[member, *map(share, weights)] for member, weights in zip(attention.members, columns.tolist(), strict=True)]
    headers = ["% in block", "all", *map(str, attention.blocks)]
    print_table(texts_table(headers, rows, console, texts=1), console)
    if attention.labels:
        _print_labels(attention, console)


def attention_in_words(attention: Attention) -> str:
    """Which member is used most, and which are hardly used, in a sentence or two."""
    shares = _shares(attention)
    most, least = max(shares), min(shares)
    over = f"Over {count(attention.rows, 'validation row')} and {count(len(attention.blocks), 'block')}"
    if most - least <= _ALIKE:
        members = count(len(shares), "member")
        return f"{over}, the {members} are used about equally ({share(least)} % to {share(most)} %)."
    sentences = [f"{over}, {attention.members[shares.index(most)]} is used most ({share(most)} %)."]
    limit = min(_HARDLY, _OF_EQUAL / len(shares))
    idle = [_idle(attention, member) for member, weight in enumerate(shares) if weight < limit]
    if idle:
        could = "it could be dropped" if len(idle) == 1 else "they could be dropped"
        sentences.append(f"Hardly used: {'; '.join(idle)}; {could} with --drop.")
    return " ".join(sentences)


def label_shares(attention: Attention) -> Shares:
    """Each label's shares, means over blocks; (labels, members)."""
    shape = (len(attention.labels), len(attention.blocks), len(attention.members))
    shares: Shares = np.array(attention.by_label, dtype=np.float64).reshape(shape).mean(axis=1)
    return shares


def most_telling(attention: Attention, most: int) -> list[int]:
    """So many labels at most, by their rows in `by_label`: those furthest from the mean, the furthest first."""
    distances = np.abs(label_shares(attention) - np.array(_shares(attention))).sum(axis=1) / 2
    return [int(label) for label in np.argsort(-distances, kind="stable")[:most]]


def _shares(attention: Attention) -> list[float]:
    """One a member, adding up to 1."""
    shares: list[float] = np.array(attention.mean, dtype=np.float64).mean(axis=0).tolist()
    return shares


def _idle(attention: Attention, member: int) -> str:
    """`trec6@1 (3 %, at most 8 % for label refund)`"""
    said = f"{share(_shares(attention)[member])} %"
    if attention.labels:
        by_label = label_shares(attention)[:, member]
        label = int(np.argmax(by_label))
        said += f", at most {share(float(by_label[label]))} % for label {attention.labels[label]}"
    return f"{attention.members[member]} ({said})"


def _print_labels(attention: Attention, console: Console) -> None:
    listed, shares, by_label = most_telling(attention, _LISTED_LABELS), _shares(attention), label_shares(attention)
    rows = []
    for label in listed:
        weights = by_label[label]
        member = int(np.argmax(weights))
        cells = (attention.labels[label], attention.members[member])
        rows.append([*cells, share(float(weights[member])), share(shares[member])])
    console.print()
    print_table(texts_table(["label", "attends most to", "%", "all labels"], rows, console, texts=2), console)
    if len(listed) < len(attention.labels):
        some = (
            f"Listed are the {len(listed)} of {count(len(attention.labels), 'label')} that differ most from the mean."
        )
        console.print(Text(f"{some} For all, type: portfolio show NAME --json", style="dim"))
