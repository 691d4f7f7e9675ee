"""The engine: what is read from disk when it is needed, and what is refused."""

from __future__ import annotations

from contextlib import closing

import pytest

from portfolio.champions import champion_of
from portfolio.errors import DamagedBlob, NotFound
from portfolio.execution import Execution
from portfolio.hosting.bank import Bank
from portfolio.loading import load_passes
from portfolio.portfolio import Portfolio


def damage(portfolio, digest):
    """Turn one bit of a blob."""
    path = portfolio.path / "blobs" / digest[:2] / digest[2:]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))
    return path


def test_a_damaged_adapter_is_refused_by_name_and_the_others_answer(grown):
    adapter = champion_of(grown.snapshot(), "kitchen")
    path = damage(grown, adapter.digest)
    with pytest.raises(DamagedBlob, match=str(path)):
        grown.predict(["soup"], task="kitchen")
    assert grown.predict(["rose fern"], task="garden")[0].label == "plant"
    assert [fault.subject for fault in grown.verify() if fault.is_damage]


@pytest.mark.parametrize("blob", ["totals", "centroids"])
def test_a_router_of_damaged_sums_is_refused(grown, blob):
    snapshot = grown.snapshot()
    damage(grown, snapshot.router.totals if blob == "totals" else snapshot.tasks[1].centroids)
    with pytest.raises(DamagedBlob):
        grown.predict(["soup"])


def test_an_adapter_is_read_once_and_only_when_it_is_needed(grown):
    engine, snapshot = grown.engine(), grown.snapshot()
    assert engine.bank.refs == ()
    grown.predict(["soup"], task="kitchen")
    assert engine.bank.refs == (champion_of(snapshot, "kitchen").digest,)
    damage(grown, champion_of(snapshot, "kitchen").digest)  # not read again
    assert grown.predict(["soup"], task="kitchen")[0].task == "kitchen"
    grown.predict(["rose"], task="garden")
    assert set(engine.bank.refs) == {champion_of(snapshot, name).digest for name in ("garden", "kitchen")}


def bytes_taken(portfolio, *names):
    """By a bank that holds just the adapters of these tasks."""
    bank, snapshot = Bank(), portfolio.snapshot()
    for name in names:
        record = champion_of(snapshot, name)
        for number, one in enumerate(load_passes(portfolio.store, record)):
            bank.add(f"{record.digest} {number}", one)
    bank.trim()
    return bank.bytes


def test_within_a_limit_the_least_recently_used_leave_and_answers_stay_the_same(grown, tiny_base):
    texts, limit = ["rose fern", "soup pie", "ferry fog"], bytes_taken(grown, "garden", "kitchen")
    wanted = {name: grown.predict(texts, task=name) for name in ("garden", "kitchen", "harbour")}
    with closing(Portfolio.open(grown.path, base=tiny_base, execution=Execution(bank_bytes=limit))) as tight:
        bank, snapshot = tight.engine().bank, tight.snapshot()
        digest = {name: champion_of(snapshot, name).digest for name in wanted}
        assert tight.predict(texts, task="garden") == wanted["garden"]
        assert tight.predict(texts, task="kitchen") == wanted["kitchen"]
        assert set(bank.refs) == {digest["garden"], digest["kitchen"]}
        assert tight.predict(texts, task="garden") == wanted["garden"]  # used again, so the kitchen leaves
        assert tight.predict(texts, task="harbour") == wanted["harbour"]
        assert digest["harbour"] in bank.refs
        assert digest["kitchen"] not in bank.refs
        assert bank.bytes <= limit
        assert tight.predict(texts, task="kitchen") == wanted["kitchen"]
        assert bank.bytes <= limit


def test_what_one_batch_needs_is_taken_in_whatever_the_limit(grown, tiny_base):
    texts = ["rose fern", "soup pie", "ferry fog"]
    wanted = grown.predict(texts, top_k=3, abstain=False)
    with closing(Portfolio.open(grown.path, base=tiny_base, execution=Execution(bank_bytes=0))) as tight:
        assert tight.predict(texts, top_k=3, abstain=False) == wanted


def test_adapters_of_removed_tasks_are_forgotten(grown, opened):
    grown.predict(["rose", "soup", "ferry"], top_k=3, abstain=False)
    assert len(grown.engine().bank.refs) == 3
    opened(grown.path).remove_task("kitchen")
    snapshot = grown.engine().refresh().snapshot
    assert set(grown.engine().bank.refs) == {champion_of(snapshot, name).digest for name in ("garden", "harbour")}


def test_a_moment_holds_together_whatever_comes_after_it(grown, opened):
    """Tasks and router of one moment are those of one state of the store."""
    before = grown.engine().refresh()
    opened(grown.path).remove_task("garden")
    after = grown.engine().refresh()
    for moment, names in ((before, ("garden", "kitchen", "harbour")), (after, ("kitchen", "harbour"))):
        assert moment.router.tasks == names
        assert tuple(task.name for task in moment.snapshot.tasks) == names


def test_nothing_is_read_again_while_nothing_moved(grown):
    engine = grown.engine()
    assert engine.refresh() is engine.refresh()


def test_what_serves_a_batch_outlives_the_bank(grown, opened):
    engine, snapshot = grown.engine(), grown.snapshot()
    [service] = engine.services([champion_of(snapshot, name) for name in ("garden", "kitchen")])
    other = opened(grown.path)
    other.remove_task("garden")
    other.remove_task("kitchen")
    engine.refresh()
    assert engine.bank.refs == ()
    import torch

    from portfolio.hosting.encode import pad

    batch = pad(engine.encode(["rose", "soup"], None), 0)
    with torch.no_grad():
        logits = service.heads.logits(engine.host.run(batch, service.plan).features)
    assert torch.isfinite(logits).all()


def test_the_champion_of_an_unknown_task_is_refused_with_those_there_are(grown, empty):
    with pytest.raises(NotFound, match="no task 'cellar'; the tasks here: garden, kitchen, harbour"):
        champion_of(grown.snapshot(), "cellar")
    with pytest.raises(NotFound, match="none yet; add one with"):
        champion_of(empty.snapshot(), "cellar")
