"""The versions of a task's adapter, oldest first: what each is, what it is made of, what it was compared with."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from portfolio.records import AdapterRecord, Compared
from portfolio.reports.comparison import comparison_in_words, comparison_table
from portfolio.reports.figures import score
from portfolio.reports.tables import fields_table, print_table
from portfolio.reports.wording import count, digits, duration, moment, percent, plain, size


def versions_to_dict(adapters: Sequence[AdapterRecord]) -> list[dict[str, Any]]:
    """Every field of each, its settings and members as objects; `answers` is true of the last.

    Args:
        adapters: of one task, the version that answers last.
    """
    return [_version_fields(adapter, answers=adapter is adapters[-1]) for adapter in adapters]


def print_versions(adapters: Sequence[AdapterRecord], console: Console) -> None:
    """Write each version; where there is more than one, it is said which answers.

    Args:
        adapters: of one task, the version that answers last.
    """
    for adapter in adapters:
        answers = len(adapters) > 1 and adapter is adapters[-1]
        _print_title(
            f"adapter {adapter.ref}: {adapter.method}{', the version that answers' if answers else ''}", console
        )
        console.print(fields_table(_lines(adapter), console))
        if adapter.comparison:
            _print_title(f"what was compared before {adapter.ref} was kept", console)
            console.print(Text(comparison_in_words(adapter.comparison)))
            print_table(comparison_table(adapter.comparison, console), console)


def _version_fields(adapter: AdapterRecord, *, answers: bool) -> dict[str, Any]:
    fields = dataclasses.asdict(adapter)
    fields["attention_digest"] = fields.pop("attention")
    return {
        **fields,
        "ref": str(adapter.ref),
        "answers": answers,
        "config": json.loads(adapter.config),
        "training": json.loads(adapter.training),
        "validation_score": score(adapter.validation_score),
        "notes": list(adapter.notes),
        "members": [{**dataclasses.asdict(member), "ref": str(member.ref)} for member in adapter.members],
        "comparison": [_choice_fields(choice) for choice in adapter.comparison],
    }


def _choice_fields(choice: Compared) -> dict[str, Any]:
    return {**dataclasses.asdict(choice), "score": score(choice.score), "p_value": score(choice.p_value)}


def _lines(adapter: AdapterRecord) -> list[tuple[str, str]]:
    took = f"{duration(adapter.seconds)} for {count(adapter.epochs, 'epoch')}, seed {adapter.seed}"
    made_of = ", ".join(str(member.ref) for member in adapter.members)
    return [
        *([("made of", made_of)] if made_of else []),
        ("size", f"{count(adapter.parameters, 'parameter')}, {size(adapter.bytes)}"),
        ("trained", f"{took}; {percent(score(adapter.validation_score))} % on validation"),
        ("method", _settings(adapter.config)),
        ("training", _settings(adapter.training)),
        ("stored", f"{moment(adapter.created_at)}, sha256 {digits(adapter.digest)}"),
        *(("note", note) for note in adapter.notes),
    ]


def _settings(text: str) -> str:
    """`dropout = 0.1, rank = 48` for a JSON object."""
    return ", ".join(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in json.loads(text).items())


def _print_title(title: str, console: Console) -> None:
    console.print()
    console.print(Text(plain(title, console), style="bold"))
