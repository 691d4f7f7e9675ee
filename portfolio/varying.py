"""How members are to count in an answer, instead of as learned: from their names to each adapter's `Variation`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from portfolio.errors import NotFound
from portfolio.hosting.ready import Variation
from portfolio.records import AdapterRecord, Member


def variations_of(
    adapters: Iterable[AdapterRecord], drop: tuple[str, ...], weights: Mapping[str, float]
) -> dict[str, Variation]:
    """Digest of an adapter -> how its members count; only adapters that have a member of these names.

    Args:
        adapters: those that may answer.
        drop: `name` or `name@version` of members to do without.
        weights: constant weights of members; 0 for those not named.

    Raises:
        NotFound: no adapter has such a member.
    """
    named = {*drop, *weights}
    if not named:
        return {}
    composed = [adapter for adapter in adapters if adapter.members]
    known = {name for adapter in composed for member in adapter.members for name in _names_of(member)}
    unknown = sorted(named - known)
    if unknown:
        there = ", ".join(sorted({str(member.ref) for one in composed for member in one.members})) or "none"
        raise NotFound(
            f"no adapter that may answer has a member {', '.join(map(repr, unknown))}; members here: {there}"
        )
    return {
        adapter.digest: _variation(adapter, drop, weights)
        for adapter in composed
        if any(named & _names_of(member) for member in adapter.members)
    }


def _variation(adapter: AdapterRecord, drop: tuple[str, ...], weights: Mapping[str, float]) -> Variation:
    dropped = {place for place, member in enumerate(adapter.members) if _names_of(member) & set(drop)}
    given = [
        next((weight for name, weight in weights.items() if name in _names_of(member)), None)
        for member in adapter.members
    ]
    constant = None if all(weight is None for weight in given) else tuple(weight or 0.0 for weight in given)
    return Variation(dropped=frozenset(dropped), weights=constant)


def _names_of(member: Member) -> set[str]:
    return {member.name, str(member.ref)}
