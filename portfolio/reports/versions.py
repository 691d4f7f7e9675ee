"""The versions of a task's adapter, oldest first: what each is, what it is made of, what it was compared with."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from portfolio.champions import champions_of
from portfolio.gates.verdict import Verdict
from portfolio.records import CHAMPION, AdapterRecord, Compared, Lineage, Snapshot, Source
from portfolio.refs import Ref
from portfolio.reports.comparison import comparison_in_words, comparison_table
from portfolio.reports.figures import score
from portfolio.reports.history import NOT_RECORDED
from portfolio.reports.tables import fields_table, print_table
from portfolio.reports.wording import count, digits, duration, moment, percent, plain, size


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version with what is known of it."""

    record: AdapterRecord
    answers: bool
    is_only: bool  # whether its task has no other
    aliases: tuple[str, ...]
    lineage: Lineage | None  # None: it was not handed in
    verdicts: tuple[Verdict, ...]  # newest first


def versions_by_task(
    snapshot: Snapshot, lineages: Sequence[Lineage] = (), verdicts: Sequence[Verdict] = ()
) -> dict[str, list[Version]]:
    """All versions of each task, oldest first.

    Args:
        lineages: of any versions, in any order.
        verdicts: on any versions, oldest first; those on an earlier task of the same name are left out.
    """
    answering, origins = champions_of(snapshot), {lineage.ref: lineage for lineage in lineages}
    count_of = Counter(adapter.task for adapter in snapshot.adapters)
    aliases: dict[Ref, list[str]] = {}
    for alias in snapshot.aliases:
        aliases.setdefault(alias.ref, []).append(alias.alias)
    judged: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in reversed(verdicts):
        judged.setdefault((verdict.ref, verdict.adapter), []).append(verdict)
    found: dict[str, list[Version]] = {}
    for one in sorted(snapshot.adapters, key=lambda one: one.version):
        version = Version(
            record=one,
            answers=one is answering.get(one.task),
            is_only=count_of[one.task] == 1,
            aliases=tuple(aliases.get(one.ref, ())),
            lineage=origins.get(one.ref),
            verdicts=tuple(judged.get((str(one.ref), one.digest), ())),
        )
        found.setdefault(one.task, []).append(version)
    return found


def versions_to_dict(versions: Sequence[Version]) -> list[dict[str, Any]]:
    """Every field of each, its settings and members as objects; lineage and verdicts as far as they were handed in."""
    return [_version_fields(version) for version in versions]


def print_versions(versions: Sequence[Version], console: Console) -> None:
    """Write each version with its newest verdict; where its task has more than one, it is said which answers."""
    for version in versions:
        record = version.record
        answers = version.answers and not version.is_only
        _print_title(f"adapter {record.ref}: {record.method}{', the version that answers' if answers else ''}", console)
        console.print(fields_table(_lines(version), console))
        if record.comparison:
            _print_title(f"what was compared before {record.ref} was kept", console)
            console.print(Text(comparison_in_words(record.comparison)))
            print_table(comparison_table(record.comparison, console), console)
        if version.verdicts:
            from portfolio.reports.gate_verdict import print_gate

            console.print()
            print_gate(version.verdicts[0], console)


def _version_fields(version: Version) -> dict[str, Any]:
    adapter = version.record
    fields = dataclasses.asdict(adapter)
    fields["attention_digest"] = fields.pop("attention")
    return {
        **fields,
        **_told(version),
        "ref": str(adapter.ref),
        "answers": version.answers,
        "aliases": list(version.aliases),
        "config": json.loads(adapter.config),
        "training": json.loads(adapter.training),
        "validation_score": score(adapter.validation_score),
        "notes": list(adapter.notes),
        "members": [{**dataclasses.asdict(member), "ref": str(member.ref)} for member in adapter.members],
        "comparison": [_choice_fields(choice) for choice in adapter.comparison],
    }


def _told(version: Version) -> dict[str, Any]:
    """Lineage and verdicts, where they were handed in."""
    told: dict[str, Any] = {}
    if version.lineage is not None:
        told["lineage"] = dataclasses.asdict(version.lineage)
    if version.verdicts:
        from portfolio.reports.gate_verdict import gate_to_dict

        told["verdicts"] = [gate_to_dict(verdict) for verdict in version.verdicts]
    return told


def _choice_fields(choice: Compared) -> dict[str, Any]:
    return {**dataclasses.asdict(choice), "score": score(choice.score), "p_value": score(choice.p_value)}


def _lines(version: Version) -> list[tuple[str, str]]:
    adapter, aliases = version.record, [alias for alias in version.aliases if alias != CHAMPION]
    took = f"{duration(adapter.seconds)} for {count(adapter.epochs, 'epoch')}, seed {adapter.seed}"
    made_of = ", ".join(str(member.ref) for member in adapter.members)
    return [
        *([("deprecated", adapter.deprecated)] if adapter.deprecated is not None else []),
        *([("aliases", ", ".join(aliases))] if aliases else []),
        *([("made of", made_of)] if made_of else []),
        ("size", f"{count(adapter.parameters, 'parameter')}, {size(adapter.bytes)}"),
        ("trained", f"{took}; {percent(score(adapter.validation_score))} % on validation"),
        ("method", _settings(adapter.config)),
        ("training", _settings(adapter.training)),
        ("stored", f"{moment(adapter.created_at)}, sha256 {digits(adapter.digest)}"),
        *([] if version.lineage is None else _origin(version.lineage)),
        *(("judged before", f"{moment(said.at)}: {said.outcome}") for said in version.verdicts[1:]),
        *(("note", note) for note in adapter.notes),
    ]


def _origin(lineage: Lineage) -> list[tuple[str, str]]:
    """What a version was learned from, and with what."""
    return [
        ("learned from", ", ".join(map(_source, lineage.sources))),
        ("base", f"fingerprint {digits(lineage.base)}" if lineage.base else NOT_RECORDED),
        ("code", lineage.code or NOT_RECORDED),
        *([("parent", lineage.parent)] if lineage.parent is not None else []),
    ]


def _source(source: Source) -> str:
    return f"{source.split} {count(source.rows, 'row')} {digits(source.sha256)}"


def _settings(text: str) -> str:
    """`dropout = 0.1, rank = 48` for a JSON object."""
    return ", ".join(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in json.loads(text).items())


def _print_title(title: str, console: Console) -> None:
    console.print()
    console.print(Text(plain(title, console), style="bold"))
