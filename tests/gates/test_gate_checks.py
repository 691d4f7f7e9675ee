"""Every check seen to block, to pass and, where it can, to find too few examples. A gate never seen to block is decoration."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest

from portfolio.errors import ConfigError, DataError, NotFound
from portfolio.gates.evidence import Cost, Integrity, OtherTask, Routed, SuiteResult, Texts, Typos
from portfolio.gates.rules import CHECKS
from portfolio.gates.rules_effects import CostCheck, IntegrityCheck, OthersCheck, RoutingCheck
from portfolio.gates.rules_examples import GoldenCheck, SliceCheck, SuiteCheck
from portfolio.gates.rules_quality import BoundCheck, CalibrationCheck, NoWorseCheck, TypoCheck
from portfolio.gates.rules_text import REFUSALS, TextCheck, is_refusal
from portfolio.gates.verdict import BLOCK, INCONCLUSIVE, OUTCOMES, PASS

CHAMPION = "banking@1"
SCHEMA = '{"type": "object", "required": ["label"], "properties": {"label": {"enum": ["yes", "no"]}}}'


def right(count, rows):
    return np.array([True] * count + [False] * (rows - count), dtype=bool)


def routed(*, others=(), unknown=(), own=(90, 100), before=(90, 100), recall=0.9, coverage=0.95):
    return Routed(
        others=others,
        unknown=unknown,
        own=right(*own),
        own_before=None if before is None else right(*before),
        oos_recall=recall,
        oos_rows=200,
        coverage=coverage,
    )


def other(before, after, rows, task="travel"):
    return OtherTask(task=task, before=right(before, rows), after=right(after, rows))


def cost(**changed):
    fields = {
        "bytes": 1000,
        "parameters": 250,
        "champion_bytes": 1000,
        "champion_parameters": 250,
        "base_ratio": 1.1,
        "champion_ratio": 1.0,
    }
    return Cost(**{**fields, **changed})


def suite(met, before, rows):
    champion = None if before is None else right(before, rows)
    numbers = tuple(range(10, 10 + rows))
    return {"style": SuiteResult(name="style", met=right(met, rows), champion_met=champion, rows=numbers, digest="s")}


def texts(*outputs, expected=None):
    wanted = tuple(expected or [None] * len(outputs))
    return {"out.jsonl": Texts(prompts=("?",) * len(outputs), outputs=outputs, expected=wanted, digest="t")}


TENANTS = {"tenant": ["acme"] * 40 + ["beta"] * 60}

# By check: a version and a rule, as (evidence made of `seen`, check).
BLOCKING = {
    "bound": lambda seen: ({"examples_at": {None: seen((89, 11))}}, BoundCheck(metric="accuracy", at_least=0.9)),
    "no-worse": lambda seen: ({"examples_at": {None: seen((70, 30), (90, 10))}}, NoWorseCheck(delta=0.05)),
    "slices": lambda seen: (
        {"examples_at": {None: seen([False] * 20 + [True] * 80, (100, 0), columns=TENANTS)}},
        SliceCheck(column="tenant", delta=0.1),
    ),
    "golden": lambda seen: ({"examples_at": {"g.jsonl": seen((9, 1))}}, GoldenCheck(file="g.jsonl")),
    "others": lambda seen: ({"routed_seen": routed(others=(other(100, 80, 100),))}, OthersCheck(delta=0.02)),
    "routing": lambda seen: ({"routed_seen": routed(own=(79, 100))}, RoutingCheck(at_least=0.8)),
    "calibration": lambda seen: ({"examples_at": {None: seen((60, 60), sure=0.99)}}, CalibrationCheck(at_most=0.1)),
    "typos": lambda seen: (
        {"typos_seen": Typos(version=right(50, 100), champion=None)},
        TypoCheck(rate=0.1, at_least=0.6),
    ),
    "cost": lambda seen: ({"cost_seen": cost(bytes=2001)}, CostCheck(bytes_to_champion=2.0)),
    "integrity": lambda seen: (
        {"integrity_seen": Integrity(faults=("NaN at 3.ffn_output",), sites=6, largest_difference=0.5)},
        IntegrityCheck(),
    ),
    "suite": lambda seen: ({"suites": suite(70, 100, 100)}, SuiteCheck(suite="style", at_least=0.8)),
    "text": lambda seen: ({"texts_at": texts("", "fine")}, TextCheck(outputs="out.jsonl", shortest=1)),
}

PASSING = {
    "bound": lambda seen: ({"examples_at": {None: seen((90, 10))}}, BoundCheck(metric="accuracy", at_least=0.9)),
    "no-worse": lambda seen: ({"examples_at": {None: seen((95, 5), (90, 10))}}, NoWorseCheck(delta=0.05)),
    "slices": lambda seen: (
        {"examples_at": {None: seen([True] * 100, [False] * 20 + [True] * 80, columns=TENANTS)}},
        SliceCheck(column="tenant", at_least=0.9, delta=0.1),
    ),
    "golden": lambda seen: ({"examples_at": {"g.jsonl": seen((10, 0))}}, GoldenCheck(file="g.jsonl")),
    "others": lambda seen: ({"routed_seen": routed(others=(other(99, 99, 100),))}, OthersCheck(delta=0.02)),
    "routing": lambda seen: ({"routed_seen": routed()}, RoutingCheck(at_least=0.8, delta=0.05, oos_recall=0.9)),
    "calibration": lambda seen: (
        {"examples_at": {None: seen((90, 10), (80, 20), sure=0.9)}},
        CalibrationCheck(at_most=0.05, delta=0.0),
    ),
    "typos": lambda seen: (
        {"typos_seen": Typos(version=right(90, 100), champion=right(80, 100))},
        TypoCheck(rate=0.1, at_least=0.6, delta=0.0),
    ),
    "cost": lambda seen: (
        {"cost_seen": cost()},
        CostCheck(
            bytes=1000,
            parameters=250,
            bytes_to_champion=1.0,
            parameters_to_champion=1.0,
            latency_to_base=1.2,
            latency_to_champion=1.05,
        ),
    ),
    "integrity": lambda seen: ({}, IntegrityCheck()),
    "suite": lambda seen: ({"suites": suite(90, 85, 100)}, SuiteCheck(suite="style", at_least=0.9, delta=0.02)),
    "text": lambda seen: (
        {"texts_at": texts('{"label": "yes"}', '{"label": "no"}'), "documents": {"s.json": SCHEMA}},
        TextCheck(outputs="out.jsonl", schema="s.json", shortest=2, longest=40, most_refusals=0.0),
    ),
}

TOO_FEW = {
    "bound": lambda seen: (
        {"examples_at": {None: seen((19, 1))}},
        BoundCheck(metric="accuracy", at_least=0.9, confidence=0.95),
    ),
    "no-worse": lambda seen: ({"examples_at": {None: seen((49, 1), (50, 0))}}, NoWorseCheck(delta=0.02)),
    "slices": lambda seen: (
        {"examples_at": {None: seen((10, 0), columns={"tenant": ["acme"] * 10})}},
        SliceCheck(column="tenant", at_least=0.5),
    ),
    "others": lambda seen: ({"routed_seen": routed(unknown=("travel",))}, OthersCheck(delta=0.02)),
    "routing": lambda seen: ({"routed_seen": routed(before=None)}, RoutingCheck(delta=0.05)),
    "calibration": lambda seen: ({"examples_at": {None: seen((50, 0))}}, CalibrationCheck(at_most=0.5)),
    "typos": lambda seen: (
        {"typos_seen": Typos(version=right(49, 50), champion=right(50, 50))},
        TypoCheck(rate=0.1, delta=0.0),
    ),
    "suite": lambda seen: ({"suites": suite(18, 20, 20)}, SuiteCheck(suite="style", delta=0.02)),
}


@pytest.fixture
def look(fake, seen):
    """The findings of a fixture, or of evidence and a check."""

    def found(made, champion=CHAMPION):
        evidence, check = made(seen)
        return check.look(fake(**evidence), champion)

    return found


def worst(found):
    return max((one.outcome for one in found), key=OUTCOMES.index)


@pytest.mark.parametrize("kind", CHECKS)
def test_every_check_was_seen_to_block_and_says_why(kind, look):
    found = look(BLOCKING[kind])
    assert worst(found) == BLOCK
    assert all(one.reason for one in found)


@pytest.mark.parametrize("kind", CHECKS)
def test_every_check_was_seen_to_pass(kind, look):
    assert worst(look(PASSING[kind])) == PASS


@pytest.mark.parametrize("kind", TOO_FEW)
def test_checks_say_when_there_are_too_few_examples(kind, look):
    assert worst(look(TOO_FEW[kind])) == INCONCLUSIVE


def test_every_fixture_belongs_to_its_check(seen):
    for fixtures in (BLOCKING, PASSING, TOO_FEW):
        assert all(type(make(seen)[1]) is CHECKS[kind] for kind, make in fixtures.items())


@pytest.mark.parametrize("kind", CHECKS)
def test_a_check_whose_evidence_is_missing_cannot_be_looked_at(kind, fake, seen):
    """`judge` makes a finding that blocks of this error."""
    _, check = PASSING[kind](seen)
    with pytest.raises((DataError, NotFound)):
        check.look(fake(integrity_seen=None), CHAMPION)


@pytest.mark.parametrize("kind", ["no-worse", "slices", "calibration", "typos", "suite"])
def test_where_the_champion_did_not_answer_the_comparison_blocks(kind, look, seen):
    silent = {
        "no-worse": lambda seen: ({"examples_at": {None: seen((100, 0))}}, NoWorseCheck(delta=0.05)),
        "slices": lambda seen: (
            {"examples_at": {None: seen((100, 0), columns=TENANTS)}},
            SliceCheck(column="tenant", delta=0.1),
        ),
        "calibration": lambda seen: (
            {"examples_at": {None: seen((100, 0), sure=1.0)}},
            CalibrationCheck(at_most=0.5, delta=0.5),
        ),
        "typos": lambda seen: (
            {"typos_seen": Typos(version=right(100, 100), champion=None)},
            TypoCheck(rate=0.1, delta=0.5),
        ),
        "suite": lambda seen: ({"suites": suite(100, None, 100)}, SuiteCheck(suite="style", delta=0.5)),
    }
    assert worst(look(silent[kind])) == BLOCK
    assert worst(look(silent[kind], champion=None)) == PASS
    assert "no champion" in look(silent[kind], champion=None)[-1].reason


# bound


@pytest.mark.parametrize(
    ("metric", "value"), [("routing", 0.9), ("coverage", 0.95), ("oos-recall", 0.85), ("accuracy", 0.5)]
)
def test_a_bound_holds_both_ways_and_at_its_very_edge(metric, value, look):
    def made(**bounds):
        return lambda seen: (
            {"examples_at": {None: seen((50, 50))}, "routed_seen": routed(recall=0.85)},
            BoundCheck(metric=metric, **bounds),
        )

    assert worst(look(made(at_least=value))) == worst(look(made(at_most=value))) == PASS
    assert worst(look(made(at_least=value + 0.01))) == worst(look(made(at_most=value - 0.01))) == BLOCK
    assert [one.outcome for one in look(made(at_least=0.0, at_most=0.1))] == [PASS, BLOCK]


@pytest.mark.parametrize(("metric", "missing"), [("coverage", {"coverage": None}), ("oos-recall", {"recall": None})])
def test_a_figure_that_the_router_lacks_is_missing_and_not_0(metric, missing, fake):
    with pytest.raises(DataError, match="got "):
        BoundCheck(metric=metric, at_most=1.0).look(fake(routed_seen=routed(**missing)), CHAMPION)


def test_a_figure_that_is_no_number_blocks_and_is_stored_as_none(fake):
    evidence = fake(routed_seen=routed(coverage=float("nan")))
    [found] = BoundCheck(metric="coverage", at_most=1.0).look(evidence, CHAMPION)
    assert (found.outcome, found.figures[0].value) == (BLOCK, None)


@pytest.mark.parametrize(("count", "outcome"), [(999, PASS), (900, INCONCLUSIVE), (800, BLOCK)])
def test_with_a_confidence_a_share_must_be_above_or_below_for_sure(count, outcome, fake, seen):
    evidence = fake(examples_at={None: seen((count, 1000 - count))})
    [least] = BoundCheck(metric="accuracy", at_least=0.9, confidence=0.95).look(evidence, CHAMPION)
    [most] = BoundCheck(metric="accuracy", at_most=0.9, confidence=0.95).look(evidence, CHAMPION)
    assert least.outcome == outcome
    assert most.outcome == {PASS: BLOCK, BLOCK: PASS, INCONCLUSIVE: INCONCLUSIVE}[outcome]


# no-worse


def test_no_worse_may_be_asked_on_a_file(fake, seen):
    evidence = fake(examples_at={None: seen((100, 0), (100, 0)), "hard.csv": seen((50, 50), (100, 0))})
    [found] = NoWorseCheck(delta=0.02, on="hard.csv").look(evidence, CHAMPION)
    assert (found.outcome, found.subject) == (BLOCK, "hard.csv")
    assert found.rows == tuple(range(51, 71))  # twenty of them


def test_a_comparison_says_its_figures_and_how_many_examples_would_tell(fake, seen):
    evidence = fake(examples_at={None: seen((190, 10), [False] * 5 + [True] * 195)})
    [found] = NoWorseCheck(delta=0.02).look(evidence, CHAMPION)
    figures = {figure.name: figure.value for figure in found.figures}
    assert (figures["rows"], figures["lost"], figures["won"], figures["loss"]) == (200, 10, 5, 0.025)
    assert found.outcome == INCONCLUSIVE
    assert "10 are lost and 5 won, a loss of 2.5 %" in found.reason and "would tell" in found.reason


def test_a_loss_that_so_few_rows_would_not_show_is_told_beside_a_pass(fake, seen):
    few, many = (fake(examples_at={None: seen((rows, 0), (rows, 0))}) for rows in (30, 200))
    assert "a loss of 8.3 % could go unseen" in NoWorseCheck(delta=0.02).look(few, CHAMPION)[0].reason
    assert "unseen" not in NoWorseCheck(delta=0.02).look(many, CHAMPION)[0].reason


# slices


def test_a_slice_that_loses_is_named_with_its_rows_though_the_whole_gains(look):
    def made(seen):
        version = [False] * 20 + [True] * 80
        champion = [True] * 40 + [False] * 60
        return {"examples_at": {None: seen(version, champion, columns=TENANTS)}}, SliceCheck(column="tenant", delta=0.1)

    acme, beta = look(made)
    assert (acme.subject, acme.outcome, acme.rows) == ("tenant acme", BLOCK, tuple(range(1, 21)))
    assert (beta.subject, beta.outcome) == ("tenant beta", PASS)


def test_a_column_that_is_not_there_is_named_with_those_that_are(fake, seen):
    evidence = fake(examples_at={None: seen((50, 0), columns=TENANTS)})
    with pytest.raises(DataError, match="expected the column 'country' in test rows; its columns: tenant"):
        SliceCheck(column="country", at_least=0.5).look(evidence, None)


def test_small_slices_are_judged_together(fake, seen):
    names = [f"t{row}" for row in range(40)] + ["large"] * 60
    evidence = fake(examples_at={None: seen([False] * 30 + [True] * 70, columns={"tenant": names})})
    large, together = SliceCheck(column="tenant", at_least=0.5).look(evidence, CHAMPION)
    assert (large.subject, large.outcome) == ("tenant large", PASS)
    assert (together.subject, together.outcome) == ("tenant: 40 small slices together", BLOCK)


def test_small_slices_are_inconclusive_by_themselves_where_the_rule_is_strict(fake, seen):
    columns = {"tenant": ["a"] * 5 + ["b"] * 5 + ["large"] * 60}
    evidence = fake(examples_at={None: seen((70, 0), columns=columns)})
    strict = SliceCheck(column="tenant", at_least=0.5, strict=True).look(evidence, CHAMPION)
    assert [(one.subject, one.outcome) for one in strict] == [
        ("tenant large", PASS),
        ("tenant a", INCONCLUSIVE),
        ("tenant b", INCONCLUSIVE),
    ]
    large, left = SliceCheck(column="tenant", at_least=0.5).look(evidence, CHAMPION)
    assert (large.outcome, left.outcome) == (PASS, PASS)
    assert left.reason == "not judged: 10 examples, fewer than the 30 asked for"


def test_lengths_are_sliced_in_buckets_and_other_columns_by_their_values(fake, seen):
    lengths = ["3"] * 30 + ["8"] * 30 + ["9"] * 30 + ["70"] * 30
    evidence = fake(examples_at={None: seen((120, 0), columns={"length": lengths, "year": lengths})})

    def subjects(**fields):
        return [one.subject for one in SliceCheck(at_least=0.5, **fields).look(evidence, None)]

    assert subjects(column="length") == ["length up to 8", "length 9-16", "length 65 or more"]
    assert subjects(column="length", buckets=(3, 8)) == ["length up to 3", "length 4-8", "length 9 or more"]
    assert subjects(column="year") == ["year 3", "year 70", "year 8", "year 9"]
    assert subjects(column="year", buckets=(50,)) == ["year up to 50", "year 51 or more"]


def test_a_value_that_fits_no_bucket_is_a_fault_and_an_empty_one_a_slice(fake, seen):
    evidence = fake(examples_at={None: seen((30, 0), columns={"length": ["few"] * 30, "tenant": [""] * 30})})
    with pytest.raises(DataError, match="whole numbers in the column 'length', got 'few'"):
        SliceCheck(column="length", at_least=0.5).look(evidence, None)
    [found] = SliceCheck(column="tenant", at_least=0.5).look(evidence, None)
    assert found.subject == "tenant (empty)"


# golden, suite


def test_golden_examples_that_are_wrong_are_named(fake, seen):
    evidence = fake(examples_at={"g.jsonl": seen([True, False, True, False])})
    [found] = GoldenCheck(file="g.jsonl").look(evidence, None)
    assert (found.rows, found.reason) == ((2, 4), "2 of 4 examples are wrong")


def test_files_and_suites_without_a_row_show_nothing(fake, seen):
    empty = fake(examples_at={"g.jsonl": seen((0, 0)), None: seen((0, 0), columns=TENANTS)}, suites=suite(0, 0, 0))
    for check in (
        GoldenCheck(file="g.jsonl"),
        SuiteCheck(suite="style", at_least=0.0),
        BoundCheck(metric="accuracy", at_least=0.0),
        BoundCheck(metric="ece", at_most=1.0),
        SliceCheck(column="tenant", at_least=0.0),
        CalibrationCheck(at_most=1.0),
    ):
        with pytest.raises(DataError):
            check.look(empty, CHAMPION)
    [found] = NoWorseCheck(delta=0.5).look(fake(examples_at={None: seen((0, 0), (0, 0))}), CHAMPION)
    assert found.outcome == BLOCK
    [found] = TypoCheck(rate=0.1, at_least=0.0).look(fake(typos_seen=Typos(version=right(0, 0), champion=None)), None)
    assert found.outcome == BLOCK


def test_rows_of_a_suite_have_their_numbers_in_the_suite_from_1(fake):
    evidence = fake(suites=suite(98, 100, 100))
    [found] = SuiteCheck(suite="style", at_least=1.0).look(evidence, CHAMPION)
    assert found.rows == (109, 110)


def test_a_suite_is_compared_with_the_champion(fake):
    [found] = SuiteCheck(suite="style", delta=0.02).look(fake(suites=suite(70, 100, 100)), CHAMPION)
    assert (found.outcome, found.subject) == (BLOCK, "style")


# others, routing


def test_every_other_task_is_judged_by_itself(fake):
    tasks = (other(100, 70, 100, "hotels"), other(100, 100, 100, "travel"), other(500, 497, 500, "weather"))
    found = OthersCheck(delta=0.02).look(fake(routed_seen=routed(others=tasks, unknown=("gone",))), None)
    assert [(one.subject, one.outcome) for one in found] == [
        ("hotels", BLOCK),
        ("travel", PASS),
        ("weather", PASS),
        ("gone", INCONCLUSIVE),
    ]


def test_without_another_task_none_can_lose(fake):
    [found] = OthersCheck(delta=0.0).look(fake(routed_seen=routed()), None)
    assert (found.outcome, found.reason) == (PASS, "there is no other task")


def test_each_part_of_routing_blocks_by_itself(fake):
    evidence = fake(routed_seen=routed(own=(60, 100), before=(90, 100), recall=0.5))
    assert [one.outcome for one in RoutingCheck(at_least=0.5, delta=0.5, oos_recall=0.4).look(evidence, CHAMPION)] == [
        PASS
    ] * 3
    for part in ({"at_least": 0.7}, {"delta": 0.1}, {"oos_recall": 0.6}):
        assert [one.outcome for one in RoutingCheck(**part).look(evidence, CHAMPION)] == [BLOCK]


# calibration, typos


def test_calibration_may_not_be_worse_than_the_champions(fake, seen):
    def examples(version, champion):
        said = seen((90, 10), sure=champion).version
        return {None: dataclasses.replace(seen((90, 10), sure=version), champion=said)}

    worse = CalibrationCheck(at_most=0.2, delta=0.01).look(fake(examples_at=examples(0.99, 0.95)), CHAMPION)
    better = CalibrationCheck(at_most=0.2, delta=0.01).look(fake(examples_at=examples(0.95, 0.99)), CHAMPION)
    assert [one.outcome for one in worse] == [PASS, BLOCK]
    assert [one.outcome for one in better] == [PASS, PASS]
    assert worse[1].figures[0].value == pytest.approx(0.04)


def test_typos_are_asked_with_the_rate_and_seed_of_the_rule(fake):
    evidence = fake(typos_seen=Typos(version=right(60, 100), champion=right(90, 100)))
    found = TypoCheck(rate=0.15, seed=4, at_least=0.5, delta=0.02).look(evidence, CHAMPION)
    assert [one.outcome for one in found] == [PASS, BLOCK]
    assert evidence.asked == [(0.15, 4)]


# cost, integrity


@pytest.mark.parametrize(
    ("field", "bound"),
    [
        ("bytes", 999),
        ("parameters", 249),
        ("bytes_to_champion", 0.9),
        ("parameters_to_champion", 0.9),
        ("latency_to_base", 1.05),
        ("latency_to_champion", 0.95),
    ],
)
def test_each_cost_has_its_bound(field, bound, fake):
    [found] = CostCheck(**{field: bound}).look(fake(cost_seen=cost()), CHAMPION)
    assert found.outcome == BLOCK
    [alone] = CostCheck(**{field: bound}).look(fake(cost_seen=cost()), None)
    assert (alone.outcome == PASS) == field.endswith("champion")


def test_a_ratio_to_a_champion_that_was_not_measured_blocks(fake):
    unmeasured = fake(cost_seen=cost(champion_bytes=None, champion_ratio=None, champion_parameters=0))
    check = CostCheck(bytes_to_champion=9.0, parameters_to_champion=9.0, latency_to_champion=9.0)
    assert [one.outcome for one in check.look(unmeasured, CHAMPION)] == [BLOCK] * 3


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"faults": ("a digest differs", "NaN")}, "a digest differs; NaN"),
        ({"sites": 0}, "it changes no site of the base"),
        ({"largest_difference": 1e-7}, "states under it differ from the base's by 1e-07 at most"),
        ({"largest_difference": float("nan")}, "states under it differ from the base's by nan at most"),
    ],
)
def test_an_adapter_that_is_broken_or_does_nothing_is_blocked(changed, reason, fake):
    seen = Integrity(**{"faults": (), "sites": 6, "largest_difference": 0.5, **changed})
    [found] = IntegrityCheck().look(fake(integrity_seen=seen), None)
    assert found.outcome == BLOCK and found.reason.startswith(reason)


def test_a_head_may_answer_alone_where_the_rule_says_so(fake):
    unchanged = fake(integrity_seen=Integrity(faults=(), sites=0, largest_difference=0.0))
    [found] = IntegrityCheck().look(unchanged, None)
    assert found.outcome == BLOCK and "head_alone = true allows that" in found.reason
    assert IntegrityCheck(head_alone=True).look(unchanged, None)[0].outcome == PASS
    broken = fake(integrity_seen=Integrity(faults=("NaN",), sites=0, largest_difference=0.0))
    assert IntegrityCheck(head_alone=True).look(broken, None)[0].outcome == BLOCK
    idle = fake(integrity_seen=Integrity(faults=(), sites=2, largest_difference=0.0))
    assert IntegrityCheck(head_alone=True).look(idle, None)[0].outcome == BLOCK


def test_how_much_an_adapter_must_change_can_be_set(fake):
    slight = fake(integrity_seen=Integrity(faults=(), sites=1, largest_difference=0.01))
    assert IntegrityCheck().look(slight, None)[0].outcome == PASS
    assert IntegrityCheck(epsilon=0.1).look(slight, None)[0].outcome == BLOCK


# text


def outcomes(fake, given, **fields):
    evidence = fake(texts_at=given, documents={"s.json": SCHEMA})
    return [one.outcome for one in TextCheck(outputs="out.jsonl", **fields).look(evidence, None)]


@pytest.mark.parametrize("output", ["yes", '{"label": "maybe"}', "{}", '{"label": "yes"', "NaN", "[" * 100_000])
def test_a_text_that_does_not_fit_the_schema_blocks(output, fake):
    assert outcomes(fake, texts('{"label": "yes"}', output), schema="s.json") == [BLOCK]


@pytest.mark.parametrize("output", ["NaN", "-Infinity", "", "{'a': 1}"])
def test_a_text_that_is_no_json_fits_not_even_a_schema_of_anything(output, fake):
    evidence = fake(texts_at=texts(output), documents={"any.json": "{}"})
    [found] = TextCheck(outputs="out.jsonl", schema="any.json").look(evidence, None)
    assert found.outcome == BLOCK


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("{", "expected a JSON schema in s.json"),
        ('{"type": "objet"}', "expected a JSON schema in s.json"),
        ('{"$ref": "https://example.invalid/s.json"}', "got one that names another"),
    ],
)
def test_what_is_no_whole_schema_is_a_fault_and_nothing_is_fetched(schema, said, fake):
    evidence = fake(texts_at=texts('{"label": "yes"}'), documents={"s.json": schema})
    with pytest.raises(DataError, match=said):
        TextCheck(outputs="out.jsonl", schema="s.json").look(evidence, None)


def test_without_the_library_a_schema_is_a_setting_that_cannot_be(fake, monkeypatch):
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(ConfigError, match=r"pip install 'adapter-portfolio\[schema\]'"):
        outcomes(fake, texts("{}"), schema="s.json")


def test_lengths_are_counted_in_characters_at_their_very_edge(fake):
    assert outcomes(fake, texts("äöü", "four"), shortest=3, longest=4) == [PASS, PASS]
    assert outcomes(fake, texts("äöü", "four"), shortest=4) == [BLOCK]
    assert outcomes(fake, texts("äöü", "four"), longest=3) == [BLOCK]


def test_the_share_of_refusals_has_a_bound(fake):
    given = texts("I can’t help with that.", "Sure: 4.", "Of course.", "Gladly.")
    assert outcomes(fake, given, most_refusals=0.25) == [PASS]
    assert outcomes(fake, given, most_refusals=0.2) == [BLOCK]
    assert outcomes(fake, given, most_refusals=0.25, refusals=("sure", "gladly")) == [BLOCK]


@pytest.mark.parametrize("phrase", REFUSALS)
def test_every_phrase_of_the_list_is_recognised_in_capitals_and_over_lines(phrase):
    assert is_refusal(f"\n{phrase.upper().replace(' ', chr(10), 1)} do that.")


@pytest.mark.parametrize("text", ["", "I can do that.", "Sure. " * 30 + "I cannot say more."])
def test_other_texts_are_no_refusals(text):
    assert not is_refusal(text)


def test_expected_texts_are_met_but_for_blanks_around_them(fake):
    given = texts("4\n", "5", "6", expected=["4", "4", None])
    assert outcomes(fake, given, exact=0.5) == [PASS]
    assert outcomes(fake, given, exact=0.6) == [BLOCK]
    evidence = fake(texts_at=given)
    assert TextCheck(outputs="out.jsonl", exact=1.0).look(evidence, None)[0].rows == (2,)
    with pytest.raises(DataError, match="with an expected answer"):
        outcomes(fake, texts("4"), exact=0.5)


def test_no_texts_show_nothing(fake):
    with pytest.raises(DataError, match="expected texts in out.jsonl, got none"):
        outcomes(fake, texts(), shortest=1)
