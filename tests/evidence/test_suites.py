"""Shared evaluation suites: read, kept, run, and asked by gates."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import cli
from portfolio.commands.suites import suite as suite_commands
from portfolio.errors import DamagedBlob, DataError, InvalidName, NotFound
from portfolio.evidence.model_evidence import ModelEvidence
from portfolio.hosting.encode import pad
from portfolio.hosting.plan import Plan
from portfolio.loading import load_passes
from portfolio.portfolio import Portfolio
from portfolio.reports.suites import SuiteRun, suite_report_to_dict
from portfolio.tasks.suite_file import SuiteText, read_suite, suite_from_bytes, suite_to_bytes

EvidenceOf = Callable[[Portfolio, str], ModelEvidence]
Written = Callable[..., Path]

ROWS: Sequence[Mapping[str, object]] = (
    {"text": "rose fern moss", "label": "plant", "task": "garden"},
    {"text": "soup pie stew", "label": "dish"},
    {"text": "pan ladle bowl", "label": "tool", "never": "dish"},
    {"text": "violin opera flute", "abstain": True, "at_most": 0.6},
    {"text": "ferry tug barge", "task": "harbour", "label": "music"},
    {"text": "please now here"},
)


@pytest.fixture
def with_suite(portfolio: Portfolio, written: Written) -> Portfolio:
    """A portfolio that has the suite `shared` of ROWS."""
    portfolio.suites.add("shared", written("shared.jsonl", ROWS))
    return portfolio


def _run(portfolio: Portfolio, *refs: str) -> SuiteRun:
    [run] = portfolio.suites.run("shared", refs or None).suites
    return run


# Reading and keeping


def test_a_suite_says_what_its_file_says(written: Written, tmp_path: Path) -> None:
    table = tmp_path / "shared.csv"
    table.write_text("utterance,label,abstain,at_most,other\nhello,3,,,x\nbye,,TRUE,0.25,\n")
    rows = (SuiteText(text="hello", label="3"), SuiteText(text="bye", abstain=True, at_most=0.25))
    assert read_suite(table).rows == rows
    assert read_suite(table).source == str(table)
    fields = [{"text": "hello", "label": 3, "never": None}, {"text": "bye", "abstain": True, "at_most": 0.25}]
    assert read_suite(written("same.jsonl", fields)).rows == rows


def test_all_faults_of_a_file_are_named_together_with_their_lines(written: Written) -> None:
    rows = [
        {"text": "a", "abstain": "perhaps"},
        {"text": "b", "at_most": 2},
        {"text": " "},
        {"text": "c", "label": "x", "never": "x"},
        {"text": "d", "at_most": "much"},
    ]
    with pytest.raises(DataError) as caught:
        read_suite(written("bad.jsonl", rows))
    message = str(caught.value)
    assert "5 faults" in message
    for expected in (
        "bad.jsonl:1: expected true, false or nothing in 'abstain', got 'perhaps'",
        "bad.jsonl:2: expected a probability from 0 to 1 in 'at_most', got 2",
        "bad.jsonl:3: the text in 'text' is empty",
        "bad.jsonl:4: 'x' is expected in 'label', and 'never' forbids it",
        "bad.jsonl:5: expected a probability from 0 to 1 in 'at_most', got 'much'",
    ):
        assert expected in message


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.builds(
            SuiteText,
            text=st.text(min_size=1, max_size=9),
            pair=st.none() | st.text(min_size=1, max_size=9),
            label=st.none() | st.text(min_size=1, max_size=9),
            never=st.none() | st.text(min_size=1, max_size=9),
            task=st.none() | st.text(min_size=1, max_size=9),
            abstain=st.booleans(),
            at_most=st.none() | st.floats(0, 1),
        ),
        max_size=4,
    )
)
def test_what_is_stored_is_what_was_read(rows: list[SuiteText]) -> None:
    assert suite_from_bytes(suite_to_bytes(rows)) == tuple(rows)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"format":"suite-9","rows":[]}', b'{"format":"suite-1","rows":[{}]}']
)
def test_other_bytes_are_no_suite(data: bytes) -> None:
    with pytest.raises(DamagedBlob, match="expected the rows of a suite"):
        suite_from_bytes(data)


def test_suites_come_are_replaced_and_go(portfolio: Portfolio, written: Written) -> None:
    suites, file = portfolio.suites, written("one.jsonl", ROWS[:2])
    suites.add("one", file, dry_run=True)
    assert suites.list() == ()
    suites.add("one", file)
    added = suites.add("one", written("other.jsonl", ROWS))
    assert suites.list() == (added,)
    assert (added.rows, Path(added.source).name) == (len(ROWS), "other.jsonl")
    file.unlink()
    assert [row.text for row in suites.rows("one")] == [row["text"] for row in ROWS]  # the texts are kept
    assert suites.remove("one", dry_run=True) == added
    assert suites.list() == (added,)
    suites.remove("one")
    assert suites.list() == ()
    actions = [event.action for event in portfolio.store.events()][-3:]
    assert actions == ["add-suite", "add-suite", "remove-suite"]


def test_what_is_not_there_is_named(portfolio: Portfolio, written: Written) -> None:
    with pytest.raises(NotFound, match="there is no suite yet"):
        portfolio.suites.run()
    portfolio.suites.add("one", written("one.jsonl", ROWS))
    for look in (portfolio.suites.rows, portfolio.suites.remove, portfolio.suites.run):
        with pytest.raises(NotFound, match="there is no suite 'tow'; the suites here: one"):
            look("tow")
    with pytest.raises(NotFound, match="no task 'nobody'"):
        portfolio.suites.run("one", ["nobody"])
    with pytest.raises(InvalidName):
        portfolio.suites.add("no name", written("one.jsonl", ROWS))


# Running


def test_each_adapter_is_asked_what_it_can_say(with_suite: Portfolio) -> None:
    """Row by row, as `predict` answers with the task given."""
    run = _run(with_suite)
    assert [one.who for one in run.examined] == ["garden@1", "kitchen@1", "harbour@1", "router"]
    labels = {task.name: task.labels for task in with_suite.tasks()}
    for one in run.examined[:-1]:
        task, asked, missed = one.who.partition("@")[0], 0, []
        for number, row in enumerate(ROWS):
            [answer] = with_suite.predict([str(row["text"])], task=task)
            checks = []
            if row.get("label") in labels[task]:
                checks.append(answer.label == row["label"])
            if row.get("never") in labels[task]:
                checks.append(answer.label != row["never"])
            if "at_most" in row:
                assert answer.probability is not None
                checks.append(answer.probability <= 0.6)
            asked += bool(checks)
            if not all(checks):
                missed.append(number)
        assert (one.rows, one.missed) == (asked, tuple(missed))


def test_the_router_is_asked_where_texts_should_go(with_suite: Portfolio) -> None:
    router = _run(with_suite).examined[-1]
    missed = []
    for number, row in enumerate(ROWS):
        [route] = with_suite.route([str(row["text"])])
        [forced] = with_suite.route([str(row["text"])], abstain=False)
        wrong = ("task" in row and forced.tasks[0] != row["task"]) or ("abstain" in row and not route.abstained)
        missed += [number] if wrong else []
    assert (router.who, router.rows, router.missed) == ("router", 3, tuple(missed))


def test_divergence_is_what_two_loops_over_texts_and_adapters_find(with_suite: Portfolio) -> None:
    refs = ("garden@1", "garden@4", "kitchen@1")
    run = _run(with_suite, *refs)
    engine, snapshot = with_suite.engine(), with_suite.snapshot()
    host, hidden = engine.host, int(engine.host.base.model.config.hidden_size)
    batches = [pad(engine.encode([str(row["text"])], None), host.base.pad_id) for row in ROWS]
    states: dict[str, list[np.ndarray]] = {}
    said: dict[str, list[dict[str, float]]] = {}
    with torch.inference_mode():
        states["base"] = [host.run(batch).features[0, -hidden:].numpy() for batch in batches]
        for record in (one for one in snapshot.adapters if str(one.ref) in refs):
            [one] = load_passes(with_suite.store, record, host=host)
            features = [host.run(batch, Plan(one.updates)).features[0] for batch in batches]
            states[str(record.ref)] = [row[-hidden:].numpy() for row in features]
            logits = [(one.head.weight @ row + one.head.bias).tolist() for row in features]
            labels = with_suite.store.releases.lineage(record.ref).labels
            said[str(record.ref)] = [dict(zip(labels, row, strict=True)) for row in logits]
    assert [(pair.first, pair.second) for pair in run.divergence] == list(combinations((*refs, "base"), 2))
    for pair in run.divergence:
        ones = zip(states[pair.first], states[pair.second], strict=True)
        distances = [1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in ones]
        assert pair.distance == pytest.approx(np.mean(distances), abs=1e-5)
        shared = set(said.get(pair.first, [{}])[0]) & set(said.get(pair.second, [{}])[0])
        assert pair.shared_labels == len(shared)
        if len(shared) < 2:
            assert pair.disagreement is None
            continue
        different = [
            max(shared, key=one.__getitem__) != max(shared, key=other.__getitem__)
            for one, other in zip(said[pair.first], said[pair.second], strict=True)
        ]
        assert pair.disagreement == pytest.approx(np.mean(different))


def test_a_version_is_no_distance_from_itself_and_some_from_the_base(with_suite: Portfolio) -> None:
    [pair, *_] = _run(with_suite, "garden@1", "garden").divergence
    assert (pair.first, pair.second) == ("garden@1", "garden@1")
    assert (pair.distance, pair.disagreement) == (pytest.approx(0.0, abs=1e-6), 0.0)
    [base] = _run(with_suite, "garden@4").divergence
    assert (base.first, base.second, base.disagreement) == ("garden@4", "base", None)
    assert base.distance > 1e-3


# What gates ask


def test_gates_see_the_rows_that_change_with_the_version(with_suite: Portfolio, evidence_of: EvidenceOf) -> None:
    """`music` is a label of `garden@2` alone, so its champion cannot meet that row; nobody expects anything of the last."""
    found = evidence_of(with_suite, "garden@2").suite("shared")
    assert found.rows == (0, 2, 3, 4)
    assert found.champion_met is not None
    now = {one.who: one for one in _run(with_suite, "garden@1", "garden@2").examined}
    for place, row in enumerate(found.rows):
        met = row not in now["garden@1"].missed and row not in now["router"].missed and row != 4
        assert bool(found.champion_met[place]) == met
        if row in now["garden@2"].missed:
            assert not found.met[place]
    assert found.digest == with_suite.suites.list()[0].digest


def test_routes_are_asked_with_the_version_as_champion(
    with_suite: Portfolio, evidence_of: EvidenceOf, written: Written
) -> None:
    """`garden@2` learned the kitchen's dishes: with it, they go to the garden."""
    texts = [
        {"text": f"{one} {other}", "task": "kitchen"}
        for one, other in combinations(("soup", "stew", "pie", "salad"), 2)
    ]
    with_suite.suites.add("dishes", written("dishes.jsonl", texts))
    found = evidence_of(with_suite, "garden@2").suite("dishes")
    assert found.champion_met is not None
    assert found.champion_met.sum() > found.met.sum()
    own = evidence_of(with_suite, "garden@1").suite("dishes")
    assert own.champion_met is None
    assert own.met.tolist() == found.champion_met.tolist()


def test_a_suite_that_gates_name_and_nobody_added_is_not_found(portfolio: Portfolio, evidence_of: EvidenceOf) -> None:
    with pytest.raises(NotFound, match="there is no suite 'tone'; add it with: portfolio suite add tone FILE"):
        evidence_of(portfolio, "garden@2").suite("tone")


# On the command line


def test_each_command_prints_what_the_library_says(portfolio: Portfolio, written: Written) -> None:
    file = str(written("shared.jsonl", ROWS))

    def run(*arguments: str) -> str:
        typed = ["-p", str(portfolio.path), "suite", *arguments]
        ran = CliRunner().invoke(cli.commands, typed, catch_exceptions=False)
        assert ran.exit_code == 0
        return ran.stdout

    assert "There is no suite yet" in run("list")
    assert run("add", "shared", file, "--dry-run") == run("add", "shared", file)
    assert [one["name"] for one in json.loads(run("list", "--json"))] == ["shared"]
    assert "shared" in run("list")
    shown = run("show", "shared")
    assert "says plant, goes to garden" in shown
    assert "at most 60.0 % sure, is refused" in shown
    assert [row["row"] for row in json.loads(run("show", "shared", "--json"))] == [1, 2, 3, 4, 5, 6]
    report = portfolio.suites.run("shared")
    assert json.loads(run("run", "shared", "--json")) == suite_report_to_dict(report)
    table = run("run", "shared", "--ref", "garden@1", "--ref", "kitchen")
    assert "garden@1 and kitchen@1" in table
    assert "would go" in run("remove", "shared", "--dry-run")
    run("remove", "shared")
    assert portfolio.suites.list() == ()


def test_the_group_and_each_command_end_with_examples() -> None:
    for command in (suite_commands, *suite_commands.commands.values()):
        assert "portfolio -p support suite" in (command.help or "").split("Example")[-1]
