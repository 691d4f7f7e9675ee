"""Which tasks a request may reach."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from routing.rules import NO_RULES, Candidate, Permit, Request, missing_tasks
from routing.rules_file import parse_rules

TASKS = [
    Candidate(name="refunds", tags={"tenant": "acme"}),
    Candidate(name="claims", tags={"tenant": "shared", "risk": "high"}),
    Candidate(name="hotels", tags={"tenant": "beta", "kind": "classification"}),
    Candidate(name="smalltalk"),
]
ALL = ("refunds", "claims", "hotels", "smalltalk")


def permit(text: str, tenant: str | None = None, tasks: Sequence[Candidate] = TASKS, /, **tags: str) -> Permit:
    return parse_rules(text).permit(Request(tenant=tenant, tags=tags), tasks)


# --- Against an oracle that goes task by task over the document, as the page describes it ---

TEXTS = st.sampled_from(["acme", "beta", "high", "web", "one", "two"])
VALUES = TEXTS | st.just("*") | st.lists(TEXTS | st.just("*"), min_size=1, max_size=3)
REQUEST_TABLES = st.dictionaries(st.sampled_from(["tenant", "risk", "channel"]), VALUES, min_size=1, max_size=2)
TASK_TABLES = st.dictionaries(st.sampled_from(["tenant", "kind", "risk", "task"]), VALUES, min_size=1, max_size=2)
SELECTIONS = st.lists(TEXTS | st.just("*"), min_size=1, max_size=3) | TASK_TABLES
ACTIONS = (
    st.fixed_dictionaries({"allow": SELECTIONS})
    | st.fixed_dictionaries({"deny": SELECTIONS})
    | st.fixed_dictionaries({"pin": TEXTS})
)
RULE_TABLES = st.builds(lambda when, action: when | action, st.just({}) | st.builds(dict, when=REQUEST_TABLES), ACTIONS)
RISK_TABLES = st.dictionaries(
    st.sampled_from(["high", "web"]), st.fixed_dictionaries({"allow": SELECTIONS}), max_size=2
)
DOCUMENTS = st.fixed_dictionaries({"rule": st.lists(RULE_TABLES, max_size=5), "risk": RISK_TABLES})
REQUESTS = st.builds(
    Request,
    tenant=st.none() | TEXTS,
    tags=st.dictionaries(st.sampled_from(["risk", "channel", "task"]), TEXTS, max_size=2),
)
CANDIDATES = st.lists(
    st.builds(Candidate, name=TEXTS, tags=st.dictionaries(st.sampled_from(["tenant", "kind", "risk"]), TEXTS)),
    max_size=5,
    unique_by=lambda candidate: candidate.name,
)


def written(document: Mapping[str, Any]) -> str:
    """The document in TOML, its tables inline."""

    def value(inner: Any) -> str:
        if isinstance(inner, dict):
            return "{ " + ", ".join(f"{key} = {value(each)}" for key, each in inner.items()) + " }"
        return json.dumps(inner)

    lines = []
    for risk, table in document["risk"].items():
        lines += [f"[risk.{risk}]", f"allow = {value(table['allow'])}"]
    for table in document["rule"]:
        lines += ["[[rule]]", *(f"{key} = {value(inner)}" for key, inner in table.items())]
    return "\n".join(lines)


def fits(value: str | list[str], actual: str | None) -> bool:
    if actual is None:
        return False
    return any(wanted in ("*", actual) for wanted in ([value] if isinstance(value, str) else value))


def concerns(table: Mapping[str, Any], request: Request) -> bool:
    when = table.get("when", {})
    return all(fits(value, request.tenant if key == "tenant" else request.tags.get(key)) for key, value in when.items())


def selects(selection: list[str] | Mapping[str, Any], task: Candidate) -> bool:
    if isinstance(selection, list):
        return fits(selection, task.name)
    return all(fits(value, task.name if key == "task" else task.tags.get(key)) for key, value in selection.items())


def may_reach(document: Mapping[str, Any], request: Request, task: Candidate) -> bool:
    """For one task alone: on the risk list, denied by none, and chosen by the first allow or pin."""
    risk = request.tags.get("risk")
    if document["risk"] and risk is not None and not selects(document["risk"][risk]["allow"], task):
        return False
    decided = False
    reachable = True
    for table in document["rule"]:
        if not concerns(table, request):
            continue
        if "deny" in table:
            reachable = reachable and not selects(table["deny"], task)
        elif not decided:
            decided = True
            chosen = table["pin"] == task.name if "pin" in table else selects(table["allow"], task)
            reachable = reachable and chosen
    return reachable


@settings(max_examples=50)
@given(document=DOCUMENTS, request=REQUESTS, candidates=CANDIDATES)
def test_a_task_is_left_just_where_the_oracle_leaves_it(document, request, candidates):
    rules = parse_rules(written(document))
    if document["risk"] and request.tags.get("risk", next(iter(document["risk"]))) not in document["risk"]:
        with pytest.raises(ValueError, match="expected one of the risk classes"):
            rules.permit(request, candidates)
        return
    result = rules.permit(request, candidates)
    assert result.allowed == tuple(task.name for task in candidates if may_reach(document, request, task))
    assert bool(result.reason) == bool(result.rules)
    if result.pinned is not None:
        assert result.allowed == (result.pinned,)
    elif result.allowed:
        first = next((rule for rule in document["rule"] if "deny" not in rule and concerns(rule, request)), {})
        assert "pin" not in first


@settings(max_examples=50)
@given(
    rules=st.lists(RULE_TABLES, max_size=6),
    high=SELECTIONS,
    tags=st.dictionaries(st.just("channel"), TEXTS),
    tenant=st.none() | TEXTS,
    candidates=CANDIDATES,
)
def test_a_high_risk_request_never_leaves_its_list(rules, high, tags, tenant, candidates):
    request = Request(tenant=tenant, tags={**tags, "risk": "high"})
    text = written({"risk": {"high": {"allow": high}}, "rule": rules})
    listed = {task.name for task in candidates if selects(high, task)}
    assert set(parse_rules(text).permit(request, candidates).allowed) <= listed


@settings(max_examples=50)
@given(
    rules=st.lists(RULE_TABLES, max_size=4),
    denied=st.lists(TEXTS, min_size=1, max_size=3),
    place=st.integers(0, 4),
    request=REQUESTS,
    candidates=CANDIDATES,
)
def test_a_denial_takes_away_its_tasks_and_no_other_wherever_it_stands(rules, denied, place, request, candidates):
    before = parse_rules(written({"risk": {}, "rule": rules})).permit(request, candidates)
    assume(before.allowed)
    with_denial = [*rules[:place], {"deny": denied}, *rules[place:]]
    after = parse_rules(written({"risk": {}, "rule": with_denial})).permit(request, candidates)
    assert after.allowed == tuple(name for name in before.allowed if name not in denied)


# --- What each part means, by eye ---


def test_without_rules_every_task_may_be_reached():
    assert NO_RULES.permit(Request(tenant="acme", tags={"risk": "high"}), TASKS) == Permit(allowed=ALL)
    assert permit("", "acme", risk="high") == Permit(allowed=ALL)


def test_a_tenant_reaches_the_tasks_of_others_unless_a_rule_says_otherwise():
    assert permit('[[rule]]\nwhen = { tenant = "beta" }\ndeny = ["smalltalk"]', "acme").allowed == ALL


def test_a_last_allow_without_when_keeps_everybody_else_out():
    text = """
    [[rule]]
    when = { tenant = "acme" }
    allow = { tenant = ["acme", "shared"] }
    [[rule]]
    allow = { tenant = "shared" }
    """
    assert permit(text, "acme").allowed == ("refunds", "claims")
    assert permit(text, "beta").allowed == permit(text).allowed == ("claims",)


def test_all_keys_of_a_table_must_fit_and_any_value_of_a_list():
    text = '[[rule]]\nwhen = { tenant = ["acme", "beta"], channel = "web" }\ndeny = { tenant = "*", risk = "high" }'
    assert permit(text, "beta", channel="web").allowed == ("refunds", "hotels", "smalltalk")
    assert permit(text, "beta").allowed == ALL
    assert permit(text, "gamma", channel="web").allowed == ALL


def test_a_star_fits_any_value_but_not_a_missing_key():
    text = '[[rule]]\nwhen = { tenant = "*" }\nallow = { tenant = "*" }'
    assert permit(text, "anybody").allowed == ("refunds", "claims", "hotels")
    assert permit(text).allowed == ALL


def test_a_pin_leaves_its_task_alone():
    result = permit('[[rule]]\nname = "form"\npin = "hotels"')
    assert result == Permit(allowed=("hotels",), pinned="hotels", rules=("form",), reason="rule 'form' pins hotels")


def test_a_pinned_task_that_is_denied_is_replaced_by_no_other():
    result = permit('[[rule]]\nname = "form"\npin = "hotels"\n[[rule]]\nname = "closed"\ndeny = ["hotels"]')
    reason = "rule 'closed' denies hotels, rule 'form' pins hotels, which was taken away, no task is left"
    assert result == Permit(allowed=(), pinned=None, rules=("closed", "form"), reason=reason)


def test_a_pinned_task_that_is_not_there_is_replaced_by_no_other():
    result = permit('[[rule]]\npin = "gone"\n[[rule]]\nallow = ["claims"]')
    reason = "rule 'rule 1' pins gone, which is no task here, no task is left"
    assert result == Permit(allowed=(), rules=("rule 1",), reason=reason)


def test_a_pinned_task_off_the_risk_list_is_replaced_by_no_other():
    result = permit('[[rule]]\npin = "hotels"\n[risk.high]\nallow = ["claims"]', risk="high")
    assert (result.allowed, result.pinned, result.rules) == ((), None, ("risk high", "rule 1"))


def test_the_first_allow_or_pin_that_fits_decides_alone():
    text = """
    [[rule]]
    when = { channel = "phone" }
    pin = "smalltalk"
    [[rule]]
    allow = ["hotels", "claims"]
    [[rule]]
    pin = "hotels"
    """
    assert permit(text, channel="web").allowed == ("claims", "hotels")
    assert permit(text, channel="web").pinned is None
    assert permit(text, channel="phone").pinned == "smalltalk"


def test_an_allow_that_selects_nothing_leaves_nothing():
    result = permit('[[rule]]\nname = "eu"\nallow = { region = "eu" }')
    assert result == Permit(allowed=(), rules=("eu",), reason="rule 'eu' allows none of these, no task is left")


def test_an_unlisted_risk_class_is_refused_with_those_there_are():
    text = '[risk.high]\nallow = ["claims"]\n[risk.low]\nallow = { task = "*" }'
    with pytest.raises(ValueError, match=r"expected one of the risk classes in routes.toml \(high, low\), got 'hihg'"):
        permit(text, risk="hihg")


def test_risk_lists_bind_only_requests_with_a_risk_class():
    assert permit('[risk.high]\nallow = ["claims"]', "acme", channel="web") == Permit(allowed=ALL)


def test_without_risk_lists_a_risk_class_is_a_tag_like_any_other():
    text = '[[rule]]\nwhen = { risk = "high" }\nallow = { risk = "high" }'
    assert permit(text, risk="high").allowed == ("claims",)
    assert permit(text, risk="unheard of").allowed == ALL


def test_a_denial_of_nothing_that_is_there_is_not_named():
    text = '[[rule]]\ndeny = ["claims"]\n[[rule]]\ndeny = { region = "eu" }\n[[rule]]\ndeny = { tenant = "shared" }'
    result = permit(text)
    assert result.rules == ("rule 1", "rule 3")
    assert result.reason == "rule 'rule 1' denies claims, rule 'rule 3' denies claims"


def test_a_reason_spells_out_three_names_and_counts_the_others():
    tasks = [Candidate(name=f"task-{number}") for number in range(9)]
    text = '[[rule]]\nname = "open"\nallow = { task = "*" }'
    assert permit(text, None, tasks).reason == "rule 'open' allows task-0, task-1, task-2 and 6 more"
    assert permit(text, None, tasks[:3]).reason == "rule 'open' allows task-0, task-1, task-2"


def test_the_tasks_keep_their_order():
    assert permit('[[rule]]\nallow = ["smalltalk", "refunds"]').allowed == ("refunds", "smalltalk")


def test_rules_that_name_no_task_there_is_are_warned_of():
    text = """
    [risk.high]
    allow = ["claims", "clams"]
    [[rule]]
    name = "form"
    pin = "refnds"
    [[rule]]
    deny = { task = ["hotels", "motels", "*"], tenant = "nobody" }
    """
    assert missing_tasks(parse_rules(text), ALL) == (
        "rule 'form' names the task 'refnds', and there is no task of that name",
        "rule 'rule 2' names the task 'motels', and there is no task of that name",
        "risk high names the task 'clams', and there is no task of that name",
    )
    assert missing_tasks(NO_RULES, ()) == ()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Request(tags={"tenant": "acme"}), "expected no tag called 'tenant', got 'acme'; give the tenant as"),
        (lambda: Request(tenant=7), "expected a tenant's name or None, got 7"),
        (lambda: Request(tags={"vip": True}), "expected tags of text, such as risk='high', got 'vip': True"),
        (lambda: Candidate(name="a", tags={"task": "b"}), "expected no tag called 'task', got 'b'"),
        (lambda: Candidate(name="a", tags={7: "b"}), "expected tags of text, such as risk='high', got 7: 'b'"),
    ],
)
def test_tags_that_no_rule_could_see_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
