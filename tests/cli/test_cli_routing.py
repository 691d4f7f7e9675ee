"""The commands about the router: `route`, `overlap`, `calibrate`, `tag`, `rules`, and what `predict` takes for it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portfolio import Portfolio
from portfolio.records import Route

Run = Callable[..., Any]
Tree = Callable[[Path], dict[str, str]]

TEXTS = ["rose fern moss ivy the", "pan ladle whisk bowl my"]
OUTSIDE = ["violin opera drum", "flute choir banjo", "opera opera choir"]
RULES = """
[[rule]]
name = "acme has no garden"
when = { tenant = "acme" }
deny = ["garden", "cellar"]

[risk.high]
allow = { safe = "yes" }
"""


def write_rows(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def judged() -> Path:
    """Texts with their true tasks, the last of them wrong on purpose."""
    rows = [
        {"text": TEXTS[0], "of": "garden"},
        {"text": TEXTS[1], "of": "kitchen"},
        {"text": TEXTS[0], "of": "kitchen"},
    ]
    return write_rows(Path("judged.jsonl"), rows)


@pytest.fixture
def outside() -> Path:
    path = Path("outside.txt")
    path.write_text("\n".join(OUTSIDE) + "\n")
    return path


@pytest.fixture
def ruled(grown: Path) -> Path:
    (grown / "routes.toml").write_text(RULES)
    return grown


# route


def test_route_prints_a_line_a_text_with_probability_margin_and_task(run: Run, grown: Path) -> None:
    routed = run("-p", grown, "route", "--always", *TEXTS)
    routes = Portfolio.open(grown).route(TEXTS, abstain=False)
    assert routed.code == 0 and routed.err == ""
    for line, text, route in zip(routed.out.splitlines(), TEXTS, routes, strict=True):
        shown, margin, task, rest = line.split(maxsplit=3)
        assert float(shown) == pytest.approx(100 * route.scores[0], abs=0.06)
        assert float(margin) == pytest.approx(100 * route.margin, abs=0.06)
        assert (task, rest) == (route.tasks[0], text)


def test_a_text_that_nobody_knows_is_shown_as_abstained(run: Run, grown: Path) -> None:
    strange = "%&/ " * 20
    assert "(abstained)" in run("-p", grown, "route", typed=strange).out
    assert "(abstained)" not in run("-p", grown, "route", "--always", typed=strange).out
    assert "abstained; the nearest is" in run("-p", grown, "route", "--explain", typed=strange).out


def test_route_as_json_has_the_text_and_every_field_of_the_route(run: Run, grown: Path) -> None:
    lines = run("-p", grown, "route", "--json", *TEXTS).lines()
    routes = Portfolio.open(grown).route(TEXTS)
    assert all(list(line) == ["text", *(field.name for field in dataclasses.fields(Route))] for line in lines)
    assert [line["text"] for line in lines] == TEXTS
    expected = json.loads(json.dumps([dataclasses.asdict(route) for route in routes]))
    for line, route in zip(lines, expected, strict=True):
        assert line["tasks"] == route["tasks"] and line["reason"] == route["reason"]
        assert line["nearest"][0]["label"] == route["nearest"][0]["label"]


def test_an_explained_route_says_what_decided_and_what_it_cost(run: Run, grown: Path) -> None:
    said = run("-p", grown, "route", "--explain", "--always", TEXTS[0]).out
    [route] = Portfolio.open(grown).route(TEXTS[:1], abstain=False)
    assert f"points over {route.runner_up}" in said
    assert f"{route.nearest[0].label} of {route.nearest[0].task} at {route.nearest[0].distance:.4g}" in said
    assert f"threshold {route.threshold:.4g}" in said
    assert f"{route.block_evaluations} block evaluations" in said
    assert "the router" in said and ("trunk alone" in said)


def test_files_lines_and_arguments_are_routed_alike(run: Run, grown: Path) -> None:
    Path("texts.txt").write_text("\n".join(TEXTS))
    by_argument = [line["tasks"] for line in run("-p", grown, "route", "--json", *TEXTS).lines()]
    assert [line["tasks"] for line in run("-p", grown, "route", "--json", "--file", "texts.txt").lines()] == by_argument
    assert [
        line["tasks"] for line in run("-p", grown, "route", "--json", typed="\n".join(TEXTS)).lines()
    ] == by_argument


def test_the_turns_of_a_session_are_told_apart_from_single_texts(run: Run, grown: Path) -> None:
    turns = run("-p", grown, "route", "--json", "--always", "--session", "s1", *TEXTS).lines()
    expected = Portfolio.open(grown).route(TEXTS, session="s1", abstain=False)
    assert [line["tasks"] for line in turns] == [list(route.tasks) for route in expected]


@pytest.mark.parametrize("command", ["route", "predict"])
def test_tenant_and_tags_reach_the_rules(run: Run, ruled: Path, command: str) -> None:
    def route_of(*arguments: str) -> Any:
        line = run("-p", ruled, command, "--always", "--json", TEXTS[0], *arguments).lines()[0]
        return line["route"] if command == "predict" else line

    assert route_of()["tasks"] == ["garden"]
    assert route_of("--tenant", "acme")["tasks"] == ["kitchen"]
    assert route_of("--tenant", "acme")["rule"] == "acme has no garden"
    forbidden = route_of("--tag", "risk=high")
    assert (forbidden["abstained"], forbidden["decided_by"], forbidden["tasks"]) == (True, "rules", [])
    assert "the rules let no task answer" in run("-p", ruled, "predict", "--tag", "risk=high", TEXTS[0]).out
    assert "(abstained)" in run("-p", ruled, "route", "--tag", "risk=high", TEXTS[0]).out


def test_a_band_narrows_a_mixture_to_doubtful_texts(run: Run, grown: Path) -> None:
    mixed = ["-p", grown, "predict", "--always", "--json", "--top-k", "2", TEXTS[0]]
    assert len(run(*mixed).lines()[0]["route"]["tasks"]) == 2
    assert len(run(*mixed, "--band", "0").lines()[0]["route"]["tasks"]) == 1


def test_predict_explains_lines_too_if_asked(run: Run, grown: Path) -> None:
    explained = run("-p", grown, "predict", "--always", "--explain", typed="\n".join(TEXTS)).out
    assert explained.count("nearest classes") == explained.count("block evaluations") == 2
    assert explained.count(", by ") == 2


# route --evaluate


def test_evaluate_compares_routes_with_true_tasks(run: Run, grown: Path, judged: Path, outside: Path) -> None:
    arguments = ["-p", grown, "route", "--evaluate", judged, "--task-column", "of", "--oos", outside]
    figures = run(*arguments, "--json").json()
    expected = Portfolio.open(grown).judge_routes(
        [TEXTS[0], TEXTS[1], TEXTS[0]], ["garden", "kitchen", "kitchen"], out_of_scope=OUTSIDE
    )
    assert expected.accuracy == pytest.approx(2 / 3)  # if not, the toy router is not what the test is about
    assert figures["accuracy"] == pytest.approx(2 / 3)
    assert figures["by_task"] == {"garden": 1.0, "kitchen": 0.5}
    assert figures["confusion"] == [[1, 0], [1, 1]]
    assert [(one["row"], one["task"], one["route"]["tasks"][0]) for one in figures["wrong"]] == [
        (3, "kitchen", "garden")
    ]
    assert expected.out_of_scope is not None
    assert figures["out_of_scope"] == pytest.approx(dataclasses.asdict(expected.out_of_scope))
    said = run(*arguments).out
    assert "66.7 %" in said and "AUROC" in said and "FPR95" in said
    assert "text 3: of kitchen, went to garden" in said and "base passes" in said
    assert "text 3" not in run(*arguments, "--wrong", "0").out


def test_all_texts_can_belong_to_one_task(run: Run, grown: Path) -> None:
    Path("texts.txt").write_text("\n".join(TEXTS))
    figures = run("-p", grown, "route", "--evaluate", "texts.txt", "--task", "garden", "--json").json()
    assert (figures["rows"], figures["accuracy"], figures["out_of_scope"]) == (2, 0.5, None)


def test_rules_have_no_say_when_routes_are_evaluated(run: Run, ruled: Path, judged: Path) -> None:
    (ruled / "routes.toml").write_text('[[rule]]\npin = "kitchen"\n')
    figures = run("-p", ruled, "route", "--evaluate", judged, "--task-column", "of", "--json").json()
    assert figures["confusion"][0] == [1, 0]


# overlap


def test_overlap_lists_pairs_and_what_a_task_took(run: Run, grown: Path, toy_task: Callable[..., Any]) -> None:
    """The new task has the garden's texts under finer labels, so that its classes are nearer to each of them."""
    rows = [json.loads(line) for line in toy_task("garden").train.read_text().splitlines()]
    finer = [{"text": row["text"], "label": f"{row['label']}: {min(row['text'].split())}"} for row in rows]
    train = write_rows(Path("shed.jsonl"), finer)
    arguments = ["--train", train, "--validation", train, "--test", train, "--epochs", "1", "--tag", "tenant=acme"]
    added = run("-p", grown, "add-task", "shed", *arguments)
    taken = run("-p", grown, "overlap", "--without", "shed", "--json").json()
    [pair] = [one for one in taken["pairs"] if {one["first"], one["second"]} == {"garden", "shed"}]
    assert pair["verdict"] == "near-duplicate"
    assert [label.split(":")[0] for label in pair["nearest_classes"]] in (["plant", "plant"], ["tool", "tool"])
    assert taken["without"] == "shed"
    said = run("-p", grown, "overlap", "--without", "shed").out
    assert "garden and shed: near-duplicate" in said and "nearest classes: " in said
    assert [one["task"] for one in taken["taken"]] == ["garden"]
    assert "% of garden's validation rows" in said and "% of garden's validation rows" in added.err
    assert f"portfolio -p {grown} overlap --without shed" in added.err
    assert run("-p", grown, "show", "shed", "--json").json()["tags"] == {"tenant": "acme"}


def test_tasks_that_take_nothing_have_nothing_said_of_them(run: Run, grown: Path) -> None:
    report = Portfolio.open(grown).overlap()
    assert report.now.pairs == ()  # the two toy tasks share no word
    assert run("-p", grown, "overlap").out.startswith("2 tasks: no validation row went to another task")
    assert run("-p", grown, "overlap", "--json").json()["pairs"] == []
    without = run("-p", grown, "overlap", "--without", "kitchen").out
    assert "kitchen takes no validation row from a task that had it before." in without


# calibrate


def test_calibrate_keeps_what_is_wanted_and_says_what_it_reached(run: Run, grown: Path, outside: Path) -> None:
    said = run("-p", grown, "calibrate", "--oos", outside, "--recall", "1", "--fallback", "kitchen", "--shared-labels")
    assert said.code == 0
    assert "100 % of out-of-scope examples refused" in said.out and "% of validation rows kept" in said.out
    assert "the very rows that the threshold was chosen on" in " ".join(said.out.split())
    assert "before" in said.out and "after" in said.out and "% of inputs" in said.out
    router = run("-p", grown, "report", "--json").json()["router"]
    assert (router["recall_wanted"], router["fallback"], router["shared_labels"]) == (1.0, "kitchen", True)
    again = run("-p", grown, "calibrate")
    assert again.out == said.out  # nothing given: to what is wanted already
    assert run("-p", grown, "verify").out == "nothing is damaged\n"


def test_wishes_can_be_taken_back(run: Run, grown: Path, outside: Path) -> None:
    run("-p", grown, "calibrate", "--oos", outside, "--recall", "1", "--fallback", "base", "--shared-labels")
    said = run("-p", grown, "calibrate", "--oos", "none", "--coverage", "0.9", "--fallback", "none", "--own-labels")
    assert "recall reached" not in said.out and "90.0 % of in-scope inputs" in " ".join(said.out.split())
    router = run("-p", grown, "report", "--json").json()["router"]
    assert (router["coverage_wanted"], router["recall_wanted"]) == (0.9, None)
    assert (router["fallback"], router["shared_labels"]) == (None, False)


def test_a_dry_calibration_says_what_would_hold_and_writes_nothing(
    run: Run, grown: Path, outside: Path, tree: Tree
) -> None:
    before = tree(grown)
    arguments = ["-p", grown, "calibrate", "--oos", outside, "--recall", "0.9"]
    dry = run(*arguments, "--dry-run")
    assert dry.code == 0 and "nothing was changed" in dry.err
    assert tree(grown) == before
    assert run(*arguments).out == dry.out


def test_the_bare_base_answers_where_it_is_the_fallback(run: Run, grown: Path) -> None:
    strange = "%&/ " * 20
    run("-p", grown, "calibrate", "--fallback", "base")
    answer = run("-p", grown, "predict", "--json", strange).lines()[0]
    assert answer["adapter"] is None and not answer["abstained"] and answer["label"] is not None
    assert "by the bare base" in run("-p", grown, "predict", strange).out
    assert "(base)" in run("-p", grown, "predict", typed=strange).out


# tag, rules


def test_tags_are_set_and_taken_away(run: Run, grown: Path, tree: Tree) -> None:
    assert run("-p", grown, "tag", "garden", "tenant=acme", "risk=a=b").out == "garden: risk = a=b, tenant = acme\n"
    before = tree(grown)
    dry = run("-p", grown, "tag", "garden", "--remove", "risk", "--dry-run")
    assert dry.out == "garden: tenant = acme\n" and "nothing was changed" in dry.err
    assert tree(grown) == before
    assert run("-p", grown, "tag", "garden", "--remove", "risk", "--remove", "tenant").out == "garden: no tags\n"


def test_rules_say_which_tasks_a_request_may_reach(run: Run, ruled: Path) -> None:
    said = run("-p", ruled, "rules", "--tenant", "acme")
    assert said.code == 0
    assert "1 of 2 tasks" in said.out and "kitchen" in said.out and "acme has no garden" in said.out
    assert "warning: rule 'acme has no garden' names the task 'cellar'" in said.out
    run("-p", ruled, "tag", "garden", "safe=yes")
    found = run("-p", ruled, "rules", "--tag", "risk=high", "--json").json()
    assert (found["allowed"], found["rules"], found["tags"]) == (["garden"], ["risk high"], {"risk": "high"})
    assert len(found["warnings"]) == 1


def test_without_rules_every_task_may_be_reached(run: Run, grown: Path) -> None:
    said = run("-p", grown, "rules", "--tenant", "acme").out
    assert "2 of 2 tasks" in said and "garden, kitchen" in said and "there are none" in said


def test_a_sequence_gives_its_tasks_their_tags(run: Run, grown: Path, toy_files: Callable[..., Any]) -> None:
    toy_files(Path.cwd(), "harbour")
    table = '[[task]]\nname = "harbour"\ntrain = "harbour.train.jsonl"\ntags = { risk = "low", tenant = "beta" }\n'
    Path("sequence.toml").write_text(table)
    assert run("-p", grown, "add-tasks", "sequence.toml", "--epochs", "1").code == 0
    assert run("-p", grown, "show", "harbour", "--json").json()["tags"] == {"risk": "low", "tenant": "beta"}


# What cannot be


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("route rose --tag risk", "expected KEY=VALUE, got 'risk'"),
        ("route rose --tag a=1 --tag a=2", "expected one value for tag 'a', got '1' and '2'"),
        ("route rose --tag tenant=acme", "expected no tag called 'tenant'"),
        ("route rose --tag risk=unheard", "expected one of the risk classes in routes.toml (high), got 'unheard'"),
        ("route rose --band 2", "from 0 to 1; got 2"),
        ("route rose --top-k 0", "top_k must be 1 or more, got 0"),
        ("route rose --file texts.txt", "expected TEXT or --file, got both"),
        ("route rose --oos outside.txt --wrong 3", "expected --evaluate FILE, got --oos, --wrong without it"),
        ("route rose --evaluate judged.jsonl --tag a=b", "expected --evaluate without TEXT, --tag, got both"),
        ("route --evaluate judged.jsonl --always --top-k 2", "expected --evaluate without --always, --top-k, got both"),
        ("route --evaluate judged.jsonl --task garden --task-column of", "expected --task or --task-column, got both"),
        ("route --evaluate judged.jsonl", "no column 'task' of true tasks: name it with --task-column"),
        ("route --evaluate judged.jsonl --task sky", "there is no task 'sky'; the tasks here: garden, kitchen"),
        ("route --evaluate odd.jsonl --task-column of", "there is no task 'sky', 'sea'; the tasks here"),
        ("route --evaluate nowhere.jsonl", "nowhere.jsonl"),
        ("route --evaluate empty.txt --task garden", "empty.txt: expected texts, got none"),
        ("overlap --without sky", "there is no task 'sky'"),
        ("calibrate --coverage 0", "coverage must be above 0 and at most 1, got 0"),
        ("calibrate --oos outside.txt --recall 1.5", "recall must be above 0 and at most 1, got 1.5"),
        ("calibrate --recall 0.9", "--oos FILE"),
        ("calibrate --fallback sky", "there is no task 'sky'"),
        ("calibrate --oos outside.txt --fallback sky", "there is no task 'sky'"),
        ("calibrate --oos empty.txt", "expected out-of-scope texts, got none"),
        ("tag garden", "expected KEY=VALUE or --remove KEY, got neither"),
        ("tag sky a=b", "there is no task 'sky'"),
        ("tag garden name=b", "tag 'name' is reserved"),
        ("tag garden a=", "the value of tag 'a' is not allowed"),
        ("tag garden a= --dry-run", "the value of tag 'a' is not allowed"),
        ("tag garden a=b --remove a", "expected a value for tag 'a' or its removal, got both"),
        ("tag garden --remove a", "task 'garden' has no tag 'a' to remove; it has none"),
        ("add-task sky --train judged.jsonl --label-column of --tag task=b --dry-run", "tag 'task' is reserved"),
    ],
)
def test_bad_input_is_one_clear_error_and_changes_nothing(
    run: Run, ruled: Path, judged: Path, outside: Path, tree: Tree, command: str, message: str
) -> None:
    write_rows(
        Path("odd.jsonl"), [{"text": "a", "of": "sky"}, {"text": "b", "of": "garden"}, {"text": "c", "of": "sea"}]
    )
    Path("empty.txt").write_text("")
    before = tree(ruled)
    refused = run("-p", ruled, *command.split())
    assert (refused.code, refused.out) == (2, "")
    assert message in refused.err and refused.err.count("Error: ") == 1 and "Traceback" not in refused.err
    assert tree(ruled) == before


@pytest.mark.parametrize("command", ["rules", "route rose", "predict rose"])
def test_rules_that_cannot_be_are_an_error_that_names_the_line(run: Run, grown: Path, command: str) -> None:
    (grown / "routes.toml").write_text('[[rule]]\ndeny = ["garden"]\ntenants = "acme"\n')
    refused = run("-p", grown, *command.split())
    assert (refused.code, refused.out) == (2, "")
    assert "routes.toml:3: unknown key" in refused.err and "tenants" in refused.err


@pytest.mark.parametrize("command", ["route rose", "overlap", "calibrate", "route --evaluate a.jsonl --task b"])
def test_a_portfolio_without_tasks_says_how_to_add_one(
    run: Run, tiny_base_dir: Path, tmp_path: Path, command: str
) -> None:
    write_rows(Path("a.jsonl"), [{"text": "rose"}])
    run("-p", tmp_path / "new", "init", "--base", tiny_base_dir)
    refused = run("-p", tmp_path / "new", *command.split())
    assert refused.code == 2 and "add-task NAME --train FILE" in refused.err
