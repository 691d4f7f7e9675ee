"""Rules that bind the router: which tasks a request may reach, whatever the scores say.

A request has a tenant and tags; a candidate (a task) has a name and tags. Of the candidates, in this order:

    1. risk         a request of risk class r keeps only the tasks on the allow-list of r; an unlisted class is refused
    2. deny         every matching deny rule takes its tasks away, wherever it stands
    3. allow, pin   the first matching one in the file decides: allow keeps what it selects, pin keeps its one task

Each step only takes away. So deny beats allow and pin, and nothing leads off the allow-list of a risk class. Where
nothing is left, nobody may answer: a pinned task that was taken away is never replaced by another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

ANY = "*"  # as a value: the key is there, with whatever value
RISK = "risk"  # the tag of a request that names its risk class
TASK = "task"  # among the facts of a candidate: its name
TENANT = "tenant"  # among the facts of a request: its tenant

_LISTED = 3  # names that a reason spells out; the others are counted
_Facts = Mapping[str, Mapping[str, str]]  # of candidates, by name


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Who asks, and what is known of the question."""

    tenant: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.tenant, str | None):
            raise ValueError(f"expected a tenant's name or None, got {self.tenant!r}")
        _check_tags(self.tags, reserved=TENANT, instead="give the tenant as tenant=")

    def facts(self) -> dict[str, str]:
        """What `when` looks at: the tags, and the tenant if there is one."""
        return dict(self.tags) if self.tenant is None else {**self.tags, TENANT: self.tenant}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A task that might answer."""

    name: str
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_tags(self.tags, reserved=TASK, instead="in rules, that is the task's name")

    def facts(self) -> dict[str, str]:
        """What allow and deny look at: the tags and the name."""
        return {**self.tags, TASK: self.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """That a key has one of these values."""

    key: str
    values: tuple[str, ...]

    def holds(self, facts: Mapping[str, str]) -> bool:
        return self.key in facts and (facts[self.key] in self.values or ANY in self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """Keep the candidates for which all conditions hold."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """Take away the candidates for which all conditions hold."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """Keep this task alone."""

    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What to do with requests for which all conditions of `when` hold; without any: with every request."""

    name: str
    when: tuple[Condition, ...] = ()
    action: Allow | Deny | Pin


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskList:
    """The only candidates that requests of one risk class may reach: those for which all conditions hold."""

    risk: str
    conditions: tuple[Condition, ...]

    @property
    def name(self) -> str:
        return f"risk {self.risk}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Which candidates a request may reach, and which rules say so."""

    allowed: tuple[str, ...]  # in the order of the candidates
    pinned: str | None = None  # the one task allowed, if that is what a pin says
    rules: tuple[str, ...] = ()  # the risk list, the denials that took something away, the allow or pin that decided
    reason: str = ""  # one sentence; empty if no rule had a say


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of a portfolio, in the order of their file."""

    rules: tuple[Rule, ...] = ()
    risks: tuple[RiskList, ...] = ()  # empty: `risk` is a tag like any other

    def permit(self, request: Request, candidates: Sequence[Candidate]) -> Permit:
        """Which of the candidates this request may reach.

        Raises:
            ValueError: there are risk lists, and the request names a risk class that has none.
        """
        asked = request.facts()
        matching = [rule for rule in self.rules if _all_hold(rule.when, asked)]
        first = next((rule for rule in matching if not isinstance(rule.action, Deny)), None)
        here = {candidate.name: candidate.facts() for candidate in candidates}
        said: list[_Said] = []

        left = _on_risk_list(self._risk_list(asked), here, said)
        left = _not_denied(matching, left, said)
        if first is not None:
            left = _decided(first, left, here, said)
        pinned = first.action.task if first is not None and isinstance(first.action, Pin) and left else None

        clauses = [one.clause for one in said] + ["no task is left"] * (bool(said) and not left)
        names = tuple(one.rule for one in said)
        return Permit(allowed=tuple(left), pinned=pinned, rules=names, reason=", ".join(clauses))

    def _risk_list(self, asked: Mapping[str, str]) -> RiskList | None:
        """That of the request's risk class, if this portfolio has risk lists and the request has a class."""
        if RISK not in asked or not self.risks:
            return None
        for risk_list in self.risks:
            if risk_list.risk == asked[RISK]:
                return risk_list
        classes = ", ".join(risk_list.risk for risk_list in self.risks)
        raise ValueError(
            f"expected one of the risk classes in routes.toml ({classes}), got {asked[RISK]!r}; "
            "correct the request's tag risk, or give this class its allow-list there"
        )


NO_RULES = Rules()


def missing_tasks(rules: Rules, names: Collection[str]) -> tuple[str, ...]:
    """A warning for every task that a rule names and that is not among `names`, in the order of the rules."""
    named = [(f"rule {rule.name!r}", _tasks_named(rule.action)) for rule in rules.rules]
    named += [(risk_list.name, _tasks_named(risk_list)) for risk_list in rules.risks]
    return tuple(
        f"{who} names the task {task!r}, and there is no task of that name"
        for who, tasks in named
        for task in tasks
        if task not in names
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What one rule had to say."""

    rule: str
    clause: str


def _on_risk_list(risk_list: RiskList | None, here: _Facts, said: list[_Said]) -> _Facts:
    if risk_list is None:
        return here
    left = _selected(risk_list.conditions, here)
    said.append(_Said(rule=risk_list.name, clause=f"{risk_list.name} allows {_spelled(left)}"))
    return left


def _not_denied(rules: Sequence[Rule], here: _Facts, said: list[_Said]) -> _Facts:
    gone: set[str] = set()
    for rule in rules:
        if not isinstance(rule.action, Deny):
            continue
        denied = _selected(rule.action.conditions, here)
        if denied:  # a denial of nothing that is here explains nothing
            said.append(_Said(rule=rule.name, clause=f"rule {rule.name!r} denies {_spelled(denied)}"))
        gone.update(denied)
    return {name: facts for name, facts in here.items() if name not in gone}


def _decided(rule: Rule, left: _Facts, here: _Facts, said: list[_Said]) -> _Facts:
    """What an allow or a pin keeps of those left."""
    if isinstance(rule.action, Pin):
        task = rule.action.task
        trouble = "" if task in left else ", which was taken away" if task in here else ", which is no task here"
        said.append(_Said(rule=rule.name, clause=f"rule {rule.name!r} pins {task}{trouble}"))
        return {task: left[task]} if task in left else {}
    kept = _selected(rule.action.conditions, left)
    said.append(_Said(rule=rule.name, clause=f"rule {rule.name!r} allows {_spelled(kept)}"))
    return kept


def _selected(conditions: Sequence[Condition], here: _Facts) -> _Facts:
    return {name: facts for name, facts in here.items() if _all_hold(conditions, facts)}


def _all_hold(conditions: Sequence[Condition], facts: Mapping[str, str]) -> bool:
    return all(condition.holds(facts) for condition in conditions)


def _tasks_named(action: Allow | Deny | Pin | RiskList) -> Iterable[str]:
    if isinstance(action, Pin):
        return [action.task]
    values = (value for condition in action.conditions if condition.key == TASK for value in condition.values)
    return dict.fromkeys(value for value in values if value != ANY)


def _spelled(names: Collection[str]) -> str:
    """`a, b and 7 more`"""
    if not names:
        return "none of these"
    shown = ", ".join(list(names)[:_LISTED])
    return f"{shown} and {len(names) - _LISTED} more" if len(names) > _LISTED else shown


def _check_tags(tags: Mapping[str, str], *, reserved: str, instead: str) -> None:
    for key, value in tags.items():
        if not (isinstance(key, str) and isinstance(value, str)):
            raise ValueError(f"expected tags of text, such as risk='high', got {key!r}: {value!r}")
    if reserved in tags:
        raise ValueError(f"expected no tag called {reserved!r}, got {tags[reserved]!r}; {instead}")
