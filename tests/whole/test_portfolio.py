"""The facade: a portfolio is made, opened, grown and asked; what is refused changes nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from dataclasses import replace

import pytest

from portfolio import Portfolio, TrainingConfig
from portfolio.errors import BaseMismatch, ConfigError, Conflict, DataError, InvalidName, NotFound
from portfolio.hosting.base import load_base
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.store.store import Store


def contents(path):
    """Every file below a directory with the digest of its bytes."""
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


MUSIC = {"voice": ("opera", "choir", "flute"), "band": ("drum", "banjo", "violin")}


class Watch:
    """Progress that calls back at the first step and remembers what was said."""

    def __init__(self, at_first_step=lambda: None):
        self.said, self.steps, self.rows, self._at_first_step = [], 0, 0, at_first_step

    def prepared(self, rows):
        self.rows += rows

    def step(self, *, done, total, loss, score):
        if self.steps == 0:
            self._at_first_step()
        self.steps += 1

    def say(self, message):
        self.said.append(message)


# Making and opening


def test_a_new_portfolio_knows_its_base_and_no_task(empty, tiny_base):
    contract = empty.contract
    assert (contract.fingerprint, contract.model_type) == (tiny_base.fingerprint, "bert")
    assert (contract.hidden_size, contract.blocks, contract.trunk, contract.pooling) == (32, 4, 2, "mean")
    assert contract.max_tokens == 64  # all that this base can take
    assert json.loads((empty.path / "base.json").read_text())["fingerprint"] == tiny_base.fingerprint
    assert empty.tasks() == ()
    assert empty.report().to_dict()["tasks"] == []
    assert empty.verify() == ()


def test_trunk_pooling_and_longest_input_can_be_chosen(tmp_path, tiny_base):
    contract = Portfolio.init(tmp_path / "p", tiny_base, trunk=3, pooling="last", max_tokens=9).contract
    assert (contract.trunk, contract.pooling, contract.max_tokens) == (3, "last", 9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trunk": 4}, "trunk must be 0 to 3"),
        ({"pooling": "max"}, "pooling must be"),
        ({"max_tokens": 1}, "max_tokens"),
    ],
)
def test_a_portfolio_that_cannot_be_is_not_made(tmp_path, tiny_base, settings, message):
    with pytest.raises(ConfigError, match=message):
        Portfolio.init(tmp_path / "p", tiny_base, **settings)
    assert not (tmp_path / "p").exists()


def test_a_directory_that_holds_something_is_refused(tmp_path, tiny_base):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(Conflict):
        Portfolio.init(tmp_path, tiny_base)
    assert contents(tmp_path) == {"mine.txt": hashlib.sha256(b"mine").hexdigest()}


def test_a_base_may_be_a_path_and_is_found_again_from_anywhere(tmp_path, tiny_base_dir, grown, monkeypatch):
    monkeypatch.chdir(tiny_base_dir.parent)
    made = Portfolio.init(tmp_path / "p", tiny_base_dir.relative_to(tiny_base_dir.parent))
    assert made.contract.name == str(tiny_base_dir)
    monkeypatch.chdir(tmp_path)
    alone = Portfolio.open(grown.path)  # loads the base that the contract names
    texts = ["rose fern ivy", "ferry tug yacht"]
    assert alone.predict(texts) == grown.predict(texts)


def test_there_is_nothing_to_open_where_nothing_was_made(tmp_path):
    with pytest.raises(NotFound, match="init"):
        Portfolio.open(tmp_path)


def test_another_base_is_refused_with_an_error_that_names_both(grown, tiny_base_dir, tmp_path):
    directory = shutil.copytree(tiny_base_dir, tmp_path / "other")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-3}))
    other, before = load_base(str(directory)), contents(grown.path)
    with pytest.raises(BaseMismatch) as refused:
        Portfolio.open(grown.path, base=other).predict(["rose"])
    for part in (grown.contract.name, grown.contract.fingerprint[:16], str(directory), other.fingerprint[:16]):
        assert part in str(refused.value)
    assert contents(grown.path) == before


def test_closing_gives_a_base_back_as_it_was(tmp_path, tiny_base, files_of, quick):
    modules = {name: set(vars(module)) for name, module in tiny_base.model.named_modules()}
    hooks = sum(len(module._forward_hooks) for module in tiny_base.model.modules())  # other tests may hold it open
    portfolio, files = Portfolio.init(tmp_path / "p", tiny_base), files_of("garden")
    portfolio.add_task("garden", files.train, test=files.test, training=quick)
    portfolio.predict(["rose"])
    portfolio.close()
    assert {name: set(vars(module)) for name, module in tiny_base.model.named_modules()} == modules
    assert sum(len(module._forward_hooks) for module in tiny_base.model.modules()) == hooks


# Adding


def test_a_task_is_recorded_with_its_adapter_and_its_costs(empty, files_of):
    files, watch = files_of("garden"), Watch()
    config = BottleneckConfig(rank=3, placement="houlsby", blocks=(3,))
    training = TrainingConfig(epochs=2, batch_size=16)
    record = empty.add_task("garden", files.train, test=files.test, method=config, training=training, progress=watch)
    [adapter], [task] = empty.snapshot().adapters, empty.tasks()
    assert replace(adapter, created_at="") == record
    assert (adapter.name, adapter.version, str(adapter.ref)) == ("garden", 1, "garden@1")
    assert (adapter.method, json.loads(adapter.config)["placement"]) == ("bottleneck", "houlsby")
    assert json.loads(adapter.training)["epochs"] == 2
    head = 2 * empty.contract.hidden_size * len(empty.contract.feature_blocks) + 2
    assert adapter.parameters == 2 * (3 * 32 + 3 + 32 * 3 + 32) + head
    assert adapter.bytes == len(empty.store.get(adapter.digest))
    assert adapter.seconds > 0
    assert 0 <= adapter.validation_score <= 1
    assert (task.name, task.labels, task.has_pairs, task.columns) == (
        "garden",
        ("plant", "tool"),
        False,
        ("text", None, "label"),
    )
    rows = {source.split: (source.rows, source.held_out_of) for source in task.sources}
    assert rows == {"train": (22, None), "validation": (2, "train"), "test": (10, None)}
    assert watch.rows == 34
    assert [message.removeprefix("garden: ") for message in watch.said] == list(task.notes)
    assert any("held out of train" in note for note in task.notes)
    assert empty.verify() == ()


def test_no_text_is_stored(empty, files_of, quick):
    files = files_of("garden")
    empty.add_task("garden", files.train, test=files.test, training=quick)
    everything = b"".join(file.read_bytes() for file in empty.path.rglob("*") if file.is_file())
    for line in [*files.train.read_text().splitlines(), *files.test.read_text().splitlines()]:
        assert json.loads(line)["text"].encode() not in everything


def test_the_same_seed_gives_the_same_digest_in_another_portfolio(tmp_path, tiny_base, files_of, quick):
    files, digests = files_of("garden"), []
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        portfolio = Portfolio.init(tmp_path / name, tiny_base)
        digests.append(portfolio.add_task("garden", files.train, test=files.test, training=quick, seed=seed).digest)
        portfolio.close()
    assert digests[0] == digests[1] != digests[2]


def test_a_taken_or_impossible_name_is_refused_before_anything_is_read(grown):
    before = contents(grown.path)
    with pytest.raises(Conflict, match=r"there is a task 'garden' already.*remove-task garden"):
        grown.add_task("garden", "/nowhere/at/all.jsonl")
    for name in ("../garden", "", "a b", "-x"):
        with pytest.raises(InvalidName):
            grown.add_task(name, "/nowhere/at/all.jsonl")
    assert contents(grown.path) == before


def test_what_cannot_be_added_changes_nothing(grown, files_of, rows_file):
    train, before = files_of("kitchen").train, contents(grown.path)
    refused = [
        (DataError, "got /nowhere/at/all.jsonl, which is not there", {"train": "/nowhere/at/all.jsonl"}),
        (DataError, "expected two classes or more", {"train": rows_file("one.jsonl", [("rose", "plant")] * 5)}),
        (ConfigError, "method must be one of", {"train": train, "method": "prefix"}),
        (ConfigError, "adapters act in blocks 2 to 3", {"train": train, "method": BottleneckConfig(blocks=(0,))}),
        (ConfigError, "--unknown-labels must be one of", {"train": train, "unknown_labels": "guess"}),
    ]
    for kind, message, arguments in refused:
        with pytest.raises(kind, match=message):
            grown.add_task("more", **arguments)
    assert contents(grown.path) == before


def test_uneven_classes_are_said_and_noted(empty, rows_file, quick):
    rows = [(f"rose fern {word}", "plant") for word in "abcdefghijklmnopqrstuvwxyz"]
    rows += [("spade rake", "tool"), ("hoe rake", "tool")]
    test = rows_file("test.jsonl", [("rose moss", "plant"), ("shears", "tool")])
    watch = Watch()
    empty.add_task("garden", rows_file("train.jsonl", rows), test=test, training=quick, progress=watch)
    [note] = [note for note in empty.tasks()[0].notes if "uneven" in note or "balance" in note]
    assert f"garden: {note}" in watch.said


@pytest.mark.parametrize("split", ["validation", "test"])
def test_rows_of_labels_that_train_lacks_are_refused_dropped_or_kept_as_wrong(
    empty, files_of, rows_file, quick, split, cell_of
):
    files = files_of("garden")
    rows = [("rose moss", "plant"), ("hoe rake", "tool"), ("storm fog", "weather"), ("calm gale", "weather")]
    strange = rows_file(f"{split}.jsonl", rows)
    given = {"test": files.test, split: strange}
    with pytest.raises(DataError, match=r"2 of 4 rows.*'weather' \(2\).*--unknown-labels"):
        empty.add_task("garden", files.train, training=quick, **given)
    assert empty.tasks() == ()
    empty.add_task("dropped", files.train, training=quick, unknown_labels="drop", **given)
    kept = empty.add_task("kept", files.train, training=quick, unknown_labels="keep", **given)
    sources = {task.name: {source.split: source.rows for source in task.sources} for task in empty.tasks()}
    assert (sources["dropped"][split], sources["kept"][split]) == (2, 4)
    assert all(any("'weather' (2)" in note for note in task.notes) for task in empty.tasks())
    if split == "validation":
        assert kept.validation_score <= 0.5
    else:
        cell = cell_of(empty.snapshot(), "kept", "kept")
        assert cell.rows == 4
        assert max(cell.oracle, cell.routed, cell.floor, cell.baseline) <= 0.5
    assert [task.labels for task in empty.tasks()] == [("plant", "tool")] * 2


def test_text_pairs_are_learnt_and_answered(empty, rows_file, tmp_path, quick):
    words = ("rose", "tulip", "fern", "moss", "daisy", "ivy")
    lines = [
        json.dumps({"text": a, "text_pair": b, "label": "same" if a == b else "other"}) for a in words for b in words
    ]
    train = tmp_path / "pairs.jsonl"
    train.write_text("\n".join(lines))
    empty.add_task("pairs", train, training=quick)
    assert empty.tasks()[0].has_pairs
    answers = empty.predict(["rose", "rose"], pairs=["rose", "moss"], abstain=False)
    assert [answer.task for answer in answers] == ["pairs", "pairs"]
    alone = empty.predict(["rose"], pairs=["moss"], abstain=False)
    assert alone[0].probability == pytest.approx(answers[1].probability, abs=1e-5)


# A sequence of tasks


def write_sequence(path, tasks):
    tables = [f'[[task]]\nname = "{name}"\ntrain = "{files.train}"\ntest = "{files.test}"\n' for name, files in tasks]
    path.write_text("\n".join(['name = "toy"\nseed = 3\n', *tables]))
    return path


def test_an_interrupted_sequence_goes_on_where_it_was(empty, files_of, quick, tmp_path):
    names = ("garden", "kitchen", "harbour")
    sequence = write_sequence(tmp_path / "toy.toml", [(name, files_of(name)) for name in names])

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        empty.add_tasks(
            sequence, training=quick, progress=lambda name: Watch(interrupt) if name == "kitchen" else Watch()
        )
    assert [task.name for task in empty.tasks()] == ["garden"]
    assert empty.verify() == ()
    added = empty.add_tasks(sequence, training=quick)
    assert [record.name for record in added] == ["kitchen", "harbour"]
    assert [(task.name, task.seed) for task in empty.tasks()] == [(name, 3) for name in names]
    assert empty.add_tasks(sequence, training=quick) == []


def test_a_task_of_the_same_name_from_elsewhere_is_not_taken_for_the_sequences(empty, files_of, quick, tmp_path):
    files = files_of("garden")
    empty.add_task("garden", files.train, test=files.test, training=quick)
    other = files_of("garden", folder=tmp_path / "elsewhere")
    sequence = write_sequence(tmp_path / "toy.toml", [("kitchen", files_of("kitchen")), ("garden", other)])
    with pytest.raises(Conflict, match="task 'garden' is here already, but was read from"):
        empty.add_tasks(sequence, training=quick)
    assert [task.name for task in empty.tasks()] == ["garden"]


# Removing


def test_a_task_that_is_not_there_cannot_be_removed(grown):
    before = contents(grown.path)
    with pytest.raises(NotFound, match="no task 'cellar'; the tasks here: garden, kitchen, harbour"):
        grown.remove_task("cellar")
    assert contents(grown.path) == before


def test_a_removed_task_answers_no_more_and_its_name_is_free(grown, grown_files, quick):
    assert grown.predict(["ferry tug yacht"], task="harbour")[0].label == "ship"
    grown.remove_task("harbour")
    assert [task.name for task in grown.tasks()] == ["garden", "kitchen"]
    assert {cell.task for cell in grown.snapshot().cells} == {"garden", "kitchen"}
    assert all(answer.task != "harbour" for answer in grown.predict(["ferry tug yacht"], abstain=False))
    with pytest.raises(NotFound, match="no task 'harbour'"):
        grown.predict(["ferry"], task="harbour")
    files = grown_files["harbour"]
    grown.add_task("harbour", files.train, test=files.test, training=quick)
    assert grown.predict(["ferry tug yacht"], task="harbour")[0].label == "ship"
    assert not any(fault.is_damage for fault in grown.verify())


def test_the_last_task_can_be_removed_and_another_added(grown, files_of, quick):
    for name in ("kitchen", "harbour", "garden"):
        grown.remove_task(name)
    snapshot = grown.snapshot()
    assert (snapshot.tasks, snapshot.adapters, snapshot.cells, snapshot.router) == ((), (), (), None)
    with pytest.raises(NotFound, match="no task yet"):
        grown.predict(["rose"])
    files = files_of("garden")
    grown.add_task("garden", files.train, test=files.test, training=quick)
    assert grown.predict(["rose fern"], abstain=False)[0].task == "garden"


# More eyes and hands on one directory


def test_what_another_process_adds_or_removes_is_seen_at_the_next_question(grown, opened, files_of, quick):
    texts = ["opera drum flute"]
    assert grown.predict(texts, abstain=False)[0].task != "music"
    other = opened(grown.path)
    files = files_of("music", MUSIC, train_rows=8, test_rows=3)
    other.add_task("music", files.train, test=files.test, training=quick)
    assert grown.predict(texts, abstain=False)[0].task == "music"
    other.remove_task("music")
    assert grown.predict(texts, abstain=False)[0].task != "music"


def test_a_task_that_comes_again_under_its_old_name_answers_anew(
    grown, opened, rows_file, examples_in, grown_files, quick
):
    """`garden@1` of before and of now are two adapters."""
    text = "rose fern ivy"
    assert grown.predict([text], task="garden")[0].label == "plant"
    texts, labels = examples_in(grown_files["garden"].train)
    others = {"plant": "tool", "tool": "plant"}
    turned = rows_file("turned.jsonl", list(zip(texts, [others[label] for label in labels], strict=True)))
    other = opened(grown.path)
    other.remove_task("garden")
    other.add_task("garden", turned, training=quick)
    [answer] = grown.predict([text], task="garden")
    assert (answer.label, answer.adapter) == ("tool", "garden@1")


def test_a_task_added_by_another_while_one_is_learned_is_taken_into_account(grown, opened, files_of, quick, cell_of):
    mine, theirs = (
        files_of(name, {"one": ("opera", "choir", "flute"), "two": words}, train_rows=8, test_rows=3)
        for name, words in (("mine", ("drum", "banjo", "violin")), ("theirs", ("rose", "fog", "pan")))
    )
    other = opened(grown.path)
    watch = Watch(lambda: other.add_task("theirs", theirs.train, test=theirs.test, training=quick))
    grown.add_task("mine", mine.train, test=mine.test, training=quick, progress=watch)
    assert [task.name for task in grown.tasks()][-2:] == ["theirs", "mine"]
    snapshot = grown.snapshot()
    assert cell_of(snapshot, "mine", "theirs") is not None
    assert cell_of(snapshot, "theirs", "mine").routed is not None  # its labels were known by then
    before = grown.snapshot().cells
    grown.evaluate()
    assert grown.snapshot().cells == before


class Outrun(Store):
    """A store whose first commit is outrun by another hand."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.others = []

    def _outrun(self):
        if self.others:
            self.others.pop()()

    def commit_task(self, **arguments):
        self._outrun()
        super().commit_task(**arguments)

    def commit_removal(self, **arguments):
        self._outrun()
        super().commit_removal(**arguments)

    def commit_results(self, **arguments):
        self._outrun()
        super().commit_results(**arguments)


@pytest.mark.parametrize("action", ["add", "remove", "evaluate"])
def test_what_was_measured_against_an_earlier_state_is_measured_again(
    grown, opened, tiny_base, files_of, quick, action
):
    """Another task comes after the measuring and before the commit."""
    files, other, store = (
        files_of("music", MUSIC, train_rows=8, test_rows=3),
        opened(grown.path),
        Outrun.open(grown.path),
    )
    theirs = files_of("theirs", MUSIC, train_rows=8, test_rows=3, seed=1)
    store.others.append(lambda: other.add_task("theirs", theirs.train, test=theirs.test, training=quick))
    portfolio = Portfolio(store, tiny_base)
    if action == "add":
        portfolio.add_task("music", files.train, test=files.test, training=quick)
    elif action == "remove":
        portfolio.remove_task("kitchen")
    else:
        portfolio.evaluate()
    assert store.others == []
    expected = {"add": ["harbour", "theirs", "music"], "remove": ["garden", "harbour", "theirs"]}
    names = [task.name for task in grown.tasks()]
    assert names[-3:] == expected.get(action, ["kitchen", "harbour", "theirs"])
    cells = grown.snapshot().cells
    assert {cell.task for cell in cells if cell.step == names[-1]} == set(names)
    grown.evaluate()
    assert grown.snapshot().cells == cells
    portfolio.close()


def test_a_name_taken_by_another_while_one_is_learned_is_refused(grown, opened, files_of, quick):
    files = files_of("music", MUSIC, train_rows=8, test_rows=3)
    other = opened(grown.path)
    watch = Watch(lambda: other.add_task("music", files.train, test=files.test, training=quick, seed=5))
    with pytest.raises(Conflict, match="there is a task 'music' already"):
        grown.add_task("music", files.train, test=files.test, training=quick, progress=watch)
    assert [(task.name, task.seed) for task in grown.tasks()][3:] == [("music", 5)]
    assert not any(fault.is_damage for fault in grown.verify())


def test_a_task_removed_by_another_meanwhile_is_named(grown, opened):
    from portfolio.growth import remove_tasks

    opened(grown.path).remove_task("garden")
    with pytest.raises(NotFound, match="no task 'garden'; the tasks here: kitchen, harbour"):
        remove_tasks(grown.engine(), ["garden"], read_again=lambda task: None)


def test_threads_may_ask_at_once_while_tasks_come_and_go(grown, opened, files_of, quick, examples_in, grown_files):
    """Answers for a given task never depend on what happens to others."""
    texts = examples_in(grown_files["harbour"].test)[0]
    expected = grown.predict(texts, task="kitchen")
    failures, done = [], threading.Event()

    def ask():
        try:
            while not done.is_set():
                for answer, wanted in zip(grown.predict(texts, task="kitchen"), expected, strict=True):
                    assert (answer.label, answer.text) == (wanted.label, wanted.text)
                    assert abs(answer.probability - wanted.probability) < 1e-5
                assert all(answer.label is not None for answer in grown.predict(texts, top_k=2, abstain=False))
        except BaseException as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    other, files = opened(grown.path), files_of("music", MUSIC, train_rows=8, test_rows=3)
    other.add_task("music", files.train, test=files.test, training=quick)
    other.remove_task("garden")
    other.remove_task("music")
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
