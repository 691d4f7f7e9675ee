"""Portfolios whose router sees its texts in other ways: projected, without a trunk, at the last token of a decoder, and as
it was before there was a first look. Each routes, grows and shrinks like any other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from portfolio import Portfolio
from portfolio.hosting.base import freeze
from portfolio.hosting.encode import pad
from portfolio.hosting.trunk import prepare
from portfolio.records import FirstLook, Results, RouterState
from portfolio.store.checksums import checksum
from portfolio.store.database import Database
from portfolio.store.store import Store
from routing.projection import Projection
from routing.statistics import centroids_from_bytes, centroids_to_bytes

NAMES = ("garden", "kitchen", "harbour")
TEXTS = [
    "rose fern moss",
    "spade",
    "soup pan stew ladle",
    "the old tug in a storm",
    "",
    "rose pan",
    "violin opera drum",
]


@pytest.fixture(scope="session")
def decoder(tiny_base):
    """A tiny GPT-2 that knows the same words; it is read at the last token."""
    words = [word for word in tiny_base.tokenizer.get_vocab() if word.isalpha() and word.islower()]
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", *sorted(words)])}
    made = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]")
    config = transformers.GPT2Config(
        vocab_size=len(vocabulary), n_embd=32, n_layer=4, n_head=2, n_inner=64, n_positions=64, initializer_range=0.2
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.AutoModel.from_config(config)
    return freeze("tiny-decoder", None, model, tokenizer)


@pytest.fixture(params=["projected", "projected decoder", "no trunk", "long trunk", "decoder", "older blocks"])
def kind(request):
    return request.param


@pytest.fixture
def fresh(kind, tmp_path, tiny_base, decoder):
    """`fresh(NAME)`: one more empty portfolio of this kind."""
    made = []

    def make(name):
        base = decoder if "decoder" in kind else tiny_base
        trunk = {"no trunk": 0, "long trunk": 3}.get(kind)
        portfolio = Portfolio.init(tmp_path / name / "as it would be", base, trunk=trunk)
        portfolio.close()
        contract = portfolio.contract
        if "projected" in kind:
            contract = replace(contract, router_width=8)
        if kind == "older blocks":
            contract = replace(contract, feature_blocks=(1, 3, 4))
        made.append(Portfolio(Store.create(tmp_path / name / "portfolio", contract), base))
        return made[-1]

    yield make
    for portfolio in reversed(made):
        portfolio.close()


def grow(portfolio, names, files_of, quick):
    for name in names:
        files = files_of(name)
        portfolio.add_task(name, files.train, test=files.test, training=quick)
    return portfolio


def test_the_base_says_where_its_texts_are_read(fresh, kind):
    contract = fresh("one").contract
    expected = dict.fromkeys(("no trunk", "long trunk", "older blocks"), (1, 3, 4))
    assert contract.feature_blocks == expected.get(kind, (1, 2, 3, 4))
    assert contract.pooling == ("last" if "decoder" in kind else "mean")


def test_each_kind_routes_by_all_features_of_the_bare_base_or_by_the_trunks(fresh, kind, files_of, quick, settle):
    """One text alone, in a full pass; and in one batch with the others, in two looks."""
    portfolio = grow(fresh("one"), NAMES, files_of, quick)
    settle(portfolio, temperature=3.0, first_look=FirstLook(margin=-1.0, in_scope=-1e9, temperature=3.0))
    margins = sorted(route.margin for route in portfolio.route(TEXTS))
    between = (margins[2] + margins[3]) / 2
    settle(portfolio, first_look=FirstLook(margin=between, in_scope=-1e9, temperature=3.0))
    engine = portfolio.engine()
    router = engine.refresh().router
    assert (router.first is None) == (kind == "no trunk")
    looks = set()
    for text, answer in zip(TEXTS, portfolio.predict(TEXTS, abstain=False), strict=True):
        with torch.no_grad():
            batch = pad(engine.encode([text], None), engine.host.base.pad_id)
            passed = engine.host.run(batch)
            features, trunk = engine.view(passed.features), engine.view(engine.host.run_trunk(batch).features)
        np.testing.assert_allclose(features[:, : trunk.shape[1]], trunk, rtol=0, atol=1e-6)
        assert (trunk.shape[1], features.shape[1]) == (engine.first_width, engine.router_width)
        made = router.choose(features)
        assert answer.task == router.tasks[made.choices.tasks[0]]
        assert answer.route.scores[0] == pytest.approx(made.choices.probabilities[0], abs=1e-4)
        assert answer.route.looked == ("base" if made.asked[0] else "trunk")
        upper = 4 - engine.host.trunk  # one of them is run once for both looks and the adapter
        assert answer.route.block_evaluations == (4 + upper - 1 if made.asked[0] else 4)
        assert answer.label in ("plant", "tool", "dish", "ship", "weather")
        looks.add(answer.route.looked)
    assert looks == ({"base"} if kind == "no trunk" else {"base", "trunk"})


def test_what_all_passes_begin_with_is_run_once_and_counted_once(fresh, kind, files_of, quick, settle, blocks_run):
    """The block above the trunk, for rows that are answered; routes alone do without it."""
    portfolio = grow(fresh("one"), NAMES, files_of, quick)
    settle(portfolio, temperature=3.0, first_look=FirstLook(margin=0.2, in_scope=-1e9, temperature=3.0))
    portfolio.predict(["rose"], abstain=False)
    ran = blocks_run(portfolio.engine().host)
    for top_k in (1, 2):
        said = [answer.route for answer in portfolio.predict(TEXTS, top_k=top_k, abstain=False)]
        assert len(ran) == sum(route.block_evaluations for route in said)
        ran.clear()
    routes = portfolio.route(TEXTS)
    assert len(ran) == sum(route.block_evaluations for route in routes)
    assert {route.block_evaluations for route in routes} <= {portfolio.contract.trunk, 4}


def test_each_kind_forgets_the_order_of_its_tasks_and_the_tasks_that_went(fresh, files_of, quick, same_router):
    one = grow(fresh("one"), NAMES, files_of, quick)
    other = grow(fresh("other"), ("harbour", "garden", "kitchen"), files_of, quick)
    same_router(one, other, TEXTS)
    one.remove_task("kitchen")
    never = grow(fresh("never"), ("garden", "harbour"), files_of, quick)
    same_router(one, never, TEXTS)


def test_what_each_kind_wrote_down_is_what_running_it_again_gives(fresh, files_of, quick):
    portfolio = grow(fresh("one"), NAMES[:2], files_of, quick)
    cells = portfolio.snapshot().cells
    portfolio.evaluate()
    assert portfolio.snapshot().cells == cells
    assert not any(fault.is_damage for fault in portfolio.verify())


@pytest.mark.parametrize("kind", ["projected"], indirect=True)
def test_a_projected_router_keeps_a_few_numbers_of_each_block(fresh, files_of, quick, totals_of):
    """Every block's part for itself, by one fixed projection; heads read the features as they are."""
    portfolio = grow(fresh("one"), NAMES[:1], files_of, quick)
    engine, [task] = portfolio.engine(), portfolio.tasks()
    assert (engine.router_width, engine.first_width, engine.block_width) == (32, 16, 8)
    features = prepare(engine.host, engine.encode(TEXTS, None)).features
    signs = Projection(width_in=32, width_out=8).matrix()
    blocks = [features.numpy()[:, start : start + 32] @ signs for start in (0, 32, 64, 96)]
    np.testing.assert_allclose(engine.view(features), np.concatenate(blocks, axis=1), rtol=0, atol=1e-6)
    stored = centroids_from_bytes(portfolio.store.get(task.centroids))
    assert (stored.means.shape, stored.corner.shape) == ((2, 32), (8, 8))
    assert totals_of(portfolio).within.shape == (32, 32)
    assert portfolio.snapshot().adapters[0].parameters > 2 * 128  # the head's, over all features


# From before there was a first look


@pytest.fixture
def older(tmp_path, tiny_base, files_of, quick):
    """Two tasks as they were kept then: features of blocks without the trunk's last, no scatter of a task's own beside its
    means, and of the router four numbers."""
    contract = replace(Portfolio.init(tmp_path / "today", tiny_base).contract, feature_blocks=(1, 3, 4))
    today = Portfolio(Store.create(tmp_path / "as today", contract), tiny_base)
    store = Store.create(tmp_path / "older", contract)
    for number, name in enumerate(NAMES[:2]):
        grow(today, [name], files_of, quick)
        snapshot = today.snapshot()
        task, adapter = snapshot.tasks[number], snapshot.adapters[number]
        means = replace(centroids_from_bytes(today.store.get(task.centroids)), corner=None)
        for digest in (task.scatter, task.evaluation, adapter.digest, snapshot.router.totals):
            store.put(today.store.get(digest))
        router = RouterState(
            totals=snapshot.router.totals,
            threshold=snapshot.router.threshold,
            temperature=snapshot.router.temperature,
            shrinkage=snapshot.router.shrinkage,
        )
        store.commit_task(
            expected_generation=number,
            task=replace(task, centroids=store.put(centroids_to_bytes(means))),
            adapters=[adapter],
            router=router,
            results=Results(cells=tuple(cell for cell in snapshot.cells if cell.step == name)),
        )
    today.close()
    with Database(tmp_path / "older" / "portfolio.db").writing() as db:
        row = {**dict(db.execute("SELECT * FROM router").fetchone()), "more": None}
        db.execute("UPDATE router SET more = NULL, checksum = ?", (checksum(row),))
    portfolio = Portfolio.open(tmp_path / "older", base=tiny_base)
    yield portfolio
    portfolio.close()


def test_a_portfolio_from_before_the_first_look_answers_by_all_features(older):
    state, engine = older.snapshot().router, older.engine()
    assert (state.first_look, state.own_share, state.ece) == (None, 0.0, None)
    assert not any(fault.is_damage for fault in older.verify())
    router = engine.refresh().router
    choices = router.whole.choose(prepare(engine.host, engine.encode(TEXTS, None)).features.numpy())
    for number, answer in enumerate(older.predict(TEXTS)):
        assert answer.route.looked == "base"
        assert answer.abstained == choices.abstain[number]
        assert answer.route.tasks == (router.tasks[choices.tasks[number]],)
        assert answer.route.block_evaluations == (4 if answer.abstained else 5)


def test_a_portfolio_from_before_the_first_look_grows_and_gets_one(older, files_of, quick, totals_of):
    sums, answers = totals_of(older), older.predict(TEXTS, task="garden")
    grow(older, ["harbour"], files_of, quick)
    state = older.snapshot().router
    assert state.first_look is not None
    assert state.ece is not None
    assert older.engine().first_width == 32  # of one block, as the trunk's last is none of these
    assert {route.looked for route in older.route(TEXTS)} == {"trunk", "base"}
    for one, other in zip(older.predict(TEXTS, task="garden"), answers, strict=True):
        assert (one.label, one.probability) == (other.label, pytest.approx(other.probability, abs=1e-6))
    corners = [centroids_from_bytes(older.store.get(task.centroids)).corner for task in older.tasks()]
    assert [corner is None for corner in corners] == [True, True, False]
    cells = older.snapshot().cells
    older.evaluate()
    assert older.snapshot().cells == cells
    older.calibrate(coverage=0.9)
    older.remove_task("harbour")
    np.testing.assert_allclose(totals_of(older).within, sums.within, rtol=0, atol=1e-9)
    np.testing.assert_allclose(totals_of(older).feature_sum, sums.feature_sum, rtol=0, atol=1e-9)
    assert older.snapshot().router.wishes.coverage == 0.9


def test_a_wide_base_is_projected_without_being_asked(tmp_path, tiny_base):
    """Four blocks of 512 numbers are more than a router takes as they are."""
    config = transformers.BertConfig(
        vocab_size=len(tiny_base.tokenizer),
        hidden_size=512,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=64,
    )
    base = freeze("wide", None, transformers.BertModel(config, add_pooling_layer=False), tiny_base.tokenizer)
    portfolio = Portfolio.init(tmp_path / "wide", base)
    assert portfolio.contract.router_width == 384
    assert Portfolio.open(tmp_path / "wide").contract == portfolio.contract
    assert (portfolio.engine().router_width, portfolio.engine().first_width) == (1536, 768)
    portfolio.close()
