"""`routes.toml` binds every answer: what it takes away, nobody and nothing brings back."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portfolio.errors import ConfigError
from portfolio.records import RouterWishes

TEXTS = ["rose fern moss", "soup pan ladle", "ferry tug storm", "violin opera", "rose soup ferry"]
NAMES = ("garden", "kitchen", "harbour")


@pytest.fixture
def rules(grown, settle):
    """`rules(TEXT)` writes the grown portfolio's `routes.toml`; nothing is out of scope by itself."""
    settle(grown, threshold=-1e9, first_look=None, temperature=5.0)

    def write(text):
        (grown.path / "routes.toml").write_text(text)

    return write


def tasks_of(portfolio, **arguments):
    return [answer.task for answer in portfolio.predict(TEXTS, **arguments)]


def test_without_a_file_every_task_may_answer(rules, grown):
    assert set(tasks_of(grown)) == set(NAMES)
    assert {route.rule for route in grown.route(TEXTS)} == {None}


def test_a_rule_takes_effect_at_the_next_call_and_ends_with_the_file(rules, grown):
    """Also where the file keeps its size and its time."""
    before, path = tasks_of(grown), grown.path / "routes.toml"
    rules('[[rule]]\ndeny = ["garden"]\n')
    stat = path.stat()
    assert "garden" not in tasks_of(grown)
    path.write_text('[[rule]]\npin = "harbour"\n##')
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert set(tasks_of(grown)) == {"harbour"}
    path.unlink()
    assert tasks_of(grown) == before


def test_a_denied_task_is_as_if_it_were_not_there(rules, grown):
    """Probabilities, margin and nearest classes leave it out."""
    everything = grown.route(TEXTS, top_k=3)
    rules('[[rule]]\nname = "not now"\ndeny = ["garden"]\n')
    for free, route in zip(everything, grown.route(TEXTS, top_k=3), strict=True):
        chances = {task: score for task, score in zip(free.tasks, free.scores, strict=True) if task != "garden"}
        assert route.tasks == tuple(chances)
        assert route.scores == pytest.approx([score / sum(chances.values()) for score in chances.values()], abs=1e-6)
        assert route.margin == pytest.approx(route.scores[0] - route.scores[1], abs=1e-9)
        assert {one.task for one in route.nearest} <= {"kitchen", "harbour"}
        assert (route.decided_by, route.rule) == ("router", "not now")
        assert route.reason.startswith("rule 'not now' denies garden; nearest class is")


def test_a_pin_answers_alone_and_says_so(rules, grown):
    rules('[[rule]]\nname = "boats"\nwhen = { tenant = "port" }\npin = "harbour"\n')
    assert len(set(tasks_of(grown))) == 3
    for answer in grown.predict(TEXTS, tenant="port", top_k=3):
        assert (answer.task, answer.route.tasks, answer.route.scores) == ("harbour", ("harbour",), (1.0,))
        assert (answer.route.decided_by, answer.route.rule) == ("pin", "boats")
        assert answer.route.margin == 1.0
        assert answer.route.reason.startswith("rule 'boats' pins harbour; ")


def test_a_pinned_task_may_refuse_what_is_out_of_scope(rules, grown, settle):
    rules('[[rule]]\npin = "harbour"\n')
    settle(grown, threshold=1e9)
    for answer in grown.predict(TEXTS):
        assert answer.abstained
        assert answer.route.tasks == ("harbour",)
    assert tasks_of(grown, abstain=False) == ["harbour"] * len(TEXTS)


def test_tags_of_tasks_and_of_the_request_decide(rules, grown):
    grown.tag("garden", {"tenant": "acme", "kind": "intent"})
    grown.tag("kitchen", {"tenant": "acme"})
    rules(
        """
        [[rule]]
        name = "own"
        when = { tenant = "acme" }
        allow = { tenant = "acme" }
        [[rule]]
        name = "no intents in chat"
        when = { channel = ["chat", "voice"] }
        deny = { kind = "intent" }
        """
    )
    assert set(tasks_of(grown, tenant="acme")) == {"garden", "kitchen"}
    assert set(tasks_of(grown, tenant="other")) == set(NAMES)
    assert set(tasks_of(grown, tenant="acme", tags={"channel": "chat"})) == {"kitchen"}
    assert set(tasks_of(grown, tags={"channel": "voice"})) == {"kitchen", "harbour"}
    grown.tag("kitchen", {"tenant": None})
    assert set(tasks_of(grown, tenant="acme")) == {"garden"}


# Nothing is allowed


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"abstain": False},
        {"top_k": 2},
        {"session": "one"},
        {"task": "garden"},
        {"task": "garden", "abstain": False},
    ],
    ids=repr,
)
@pytest.mark.parametrize("fallback", [None, "kitchen", "base"])
def test_where_no_task_is_allowed_nobody_answers_and_nothing_is_run(
    rules, grown, settle, blocks_run, fallback, arguments
):
    settle(grown, wishes=RouterWishes(fallback=fallback))
    rules('[[rule]]\nname = "closed"\ndeny = { task = "*" }\n')
    ran = blocks_run(grown.engine().host)
    for answer in grown.predict(TEXTS, **arguments):
        assert (answer.label, answer.task, answer.adapter, answer.abstained) == (None, None, None, True)
        assert (answer.route.tasks, answer.route.decided_by, answer.route.rule) == ((), "rules", "closed")
        assert "rule 'closed' denies garden, kitchen, harbour, no task is left" in answer.route.reason
        assert answer.route.block_evaluations == 0
    assert ran == []


def test_a_task_that_is_given_and_forbidden_does_not_answer(rules, grown):
    rules('[[rule]]\nname = "no garden"\ndeny = ["garden"]\n')
    for answer in grown.predict(TEXTS, task="garden", abstain=False):
        assert (answer.task, answer.abstained, answer.route.decided_by) == (None, True, "rules")
        assert answer.route.reason == "the rules do not let 'garden' answer this: rule 'no garden' denies garden"
    given = grown.predict(TEXTS, task="kitchen")
    assert {answer.task for answer in given} == {"kitchen"}
    assert {(answer.route.decided_by, answer.route.rule) for answer in given} == {("given", "no garden")}


def test_a_pin_to_another_task_forbids_the_one_that_is_given(rules, grown):
    rules('[[rule]]\npin = "kitchen"\n')
    assert tasks_of(grown, task="garden") == [None] * len(TEXTS)
    assert tasks_of(grown, task="kitchen") == ["kitchen"] * len(TEXTS)


def test_a_pin_to_no_task_leaves_nobody(rules, grown):
    rules('[[rule]]\npin = "cellar"\n')
    for answer in grown.predict(TEXTS):
        assert answer.abstained
        assert "pins cellar, which is no task here" in answer.route.reason
    assert grown.rules.warnings(grown.snapshot()) == (
        "rule 'rule 1' names the task 'cellar', and there is no task of that name",
    )


def test_a_fallback_that_the_rules_forbid_never_answers(rules, grown, settle):
    settle(grown, wishes=RouterWishes(fallback="kitchen"), threshold=1e9)
    assert set(tasks_of(grown)) == {"kitchen"}
    rules('[[rule]]\nname = "no kitchen"\ndeny = ["kitchen"]\n')
    for answer in grown.predict(TEXTS):
        assert (answer.abstained, answer.task) == (True, None)
        assert "kitchen" not in answer.route.tasks
    settle(grown, wishes=RouterWishes(fallback="base"))
    answers = grown.predict(TEXTS)
    assert {answer.route.decided_by for answer in answers} == {"fallback"}
    assert {answer.task for answer in answers} <= {"garden", "harbour"}


# Files that cannot be


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b'[[rule]]\nname = "one"\ndeny = ["garden"]\nwhenn = { tenant = "acme" }\n', ":4: unknown key"),
        (b'[[rule]]\npin = "garden"\nallow = ["kitchen"]\n', ":3: expected one of allow, deny, pin"),
        (b"\n[[rule]\n", ":2: expected TOML, got a fault"),
        (b'[[rule]]\n# caf\xe9\npin = "garden"\n', ":2: expected text in UTF-8"),
        (b"[risk.high]\n", ":1: expected the key allow"),
    ],
    ids=["unknown key", "two actions", "no TOML", "no UTF-8", "no list"],
)
def test_a_file_that_cannot_be_is_an_error_with_its_line_and_never_no_rules(rules, grown, data, fault):
    """Not even when it is asked again, or when there were good rules before."""
    path = grown.path / "routes.toml"
    rules('[[rule]]\npin = "harbour"\n')
    assert set(tasks_of(grown)) == {"harbour"}
    path.write_bytes(data)
    for ask in (grown.predict, grown.route) * 2:
        with pytest.raises(ConfigError) as refused:
            ask(TEXTS)
        assert f"{path}{fault}" in str(refused.value)
    with pytest.raises(ConfigError):
        grown.predict(TEXTS, task="harbour", abstain=False)
    path.write_text('[[rule]]\npin = "harbour"\n')
    assert set(tasks_of(grown)) == {"harbour"}


@pytest.mark.parametrize("kind", ["a directory", "a link that leads nowhere"])
def test_a_file_that_cannot_be_read_is_an_error_and_never_no_rules(grown, kind):
    path = grown.path / "routes.toml"
    if kind == "a directory":
        path.mkdir()
    else:
        path.symlink_to(grown.path / "gone.toml")
    for ask in (grown.predict, grown.route):
        with pytest.raises(ConfigError, match=f"expected rules in {path}, got a file that cannot be read"):
            ask(TEXTS)


def test_an_empty_file_and_one_with_a_byte_order_mark_are_read(rules, grown):
    (grown.path / "routes.toml").write_bytes(b"")
    assert set(tasks_of(grown)) == set(NAMES)
    (grown.path / "routes.toml").write_bytes(b'\xef\xbb\xbf[[rule]]\npin = "garden"\n')
    assert set(tasks_of(grown)) == {"garden"}


def test_a_risk_class_that_the_file_does_not_list_is_refused(rules, grown):
    rules('[risk.high]\nallow = ["kitchen"]\n')
    with pytest.raises(ConfigError, match=r"expected one of the risk classes in routes.toml \(high\), got 'hihg'"):
        grown.predict(TEXTS, tags={"risk": "hihg"})


# A risk class never leaves its allow-list

some_tasks = st.lists(st.sampled_from([*NAMES, "cellar"]), min_size=1, max_size=3, unique=True)
some_rule = st.one_of(
    st.tuples(st.just("pin"), st.sampled_from([*NAMES, "cellar"])),
    st.tuples(st.sampled_from(["allow", "deny"]), some_tasks),
)


def toml_of(high, rules):
    lines = [f"[risk.high]\nallow = {json.dumps(high)}"]
    for (action, selected), when in rules:
        condition = 'when = { tenant = "acme" }\n' if when else ""
        lines.append(f"[[rule]]\n{condition}{action} = {json.dumps(selected)}")
    return "\n".join(lines)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    high=some_tasks,
    written=st.lists(st.tuples(some_rule, st.booleans()), max_size=3),
    fallback=st.sampled_from([None, "base", *NAMES]),
    given_task=st.sampled_from([None, None, *NAMES]),
    threshold=st.sampled_from([-1e9, 0.0, 1e9]),
    arguments=st.fixed_dictionaries(
        {
            "tenant": st.sampled_from([None, "acme"]),
            "top_k": st.integers(1, 3),
            "abstain": st.booleans(),
            "session": st.sampled_from([None, "one"]),
        }
    ),
)
def test_a_risk_class_never_leaves_its_allow_list(
    rules, grown, settle, high, written, fallback, given_task, threshold, arguments
):
    """Whatever other rules, the fallback, the session, the scores or the caller say."""
    settle(grown, wishes=RouterWishes(fallback=fallback), threshold=threshold)
    rules(toml_of(high, written))
    grown.predict(TEXTS, session="one")  # the session may have any task by now
    answers = grown.predict(TEXTS, task=given_task, tags={"risk": "high"}, **arguments)
    for answer in answers:
        assert {*answer.route.tasks, *(one.task for one in answer.route.nearest)} <= set(high)
        assert answer.task in {None, *high}
        assert answer.abstained == (answer.task is None)
        assert answer.abstained or answer.route.rule is not None
    if not set(high) & set(NAMES):
        assert all(answer.abstained for answer in answers)
