from __future__ import annotations

import errno
import os
from pathlib import Path
from types import ModuleType

import pytest

from portfolio.errors import Conflict, NotFound, StoreError
from portfolio.records import BaseContract, to_json
from portfolio.store.store import Store


@pytest.fixture
def contract(synthetic: ModuleType) -> BaseContract:
    contract: BaseContract = synthetic.CONTRACT
    return contract


def test_a_new_portfolio_is_three_things_and_leaves_nothing_beside_it(tmp_path: Path, contract: BaseContract) -> None:
    Store.create(tmp_path / "support", contract)
    assert sorted(os.listdir(tmp_path)) == ["support"]
    assert sorted(os.listdir(tmp_path / "support")) == ["base.json", "blobs", "portfolio.db"]
    assert (tmp_path / "support" / "base.json").read_text() == to_json(contract)


def test_a_new_portfolio_is_empty_and_opens_with_the_same_contract(tmp_path: Path, contract: BaseContract) -> None:
    created = Store.create(tmp_path / "support", contract)
    with Store.open(tmp_path / "support") as opened:
        assert opened.path == created.path == tmp_path / "support"
        assert opened.contract == created.contract == contract
        snapshot = opened.snapshot()
        assert (snapshot.generation, snapshot.tasks, snapshot.router) == (0, (), None)
        assert [event.action for event in opened.events()] == ["init"]
        assert opened.verify() == ()


def test_directories_above_are_made(tmp_path: Path, contract: BaseContract) -> None:
    Store.create(tmp_path / "a" / "b", contract)
    assert Store.open(tmp_path / "a" / "b").contract == contract


def test_an_empty_directory_is_filled_and_stays_the_same_directory(tmp_path: Path, contract: BaseContract) -> None:
    """A shell may stand in it, or it may be a mount point."""
    before = tmp_path.stat().st_ino
    Store.create(tmp_path, contract)
    assert tmp_path.stat().st_ino == before
    assert Store.open(tmp_path).contract == contract


def test_a_path_is_taken_literally(
    tmp_path: Path, contract: BaseContract, synthetic: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store.create(Path("50% of #1? yes&no=ü"), contract)
    synthetic.add_task(store, "first")
    monkeypatch.chdir("/")  # a relative path means the directory it was given in
    assert synthetic.whole_tasks(store) == ["first"]
    assert os.listdir(tmp_path) == ["50% of #1? yes&no=ü"]


def test_a_contract_that_names_a_path_outside_utf_8_survives(tmp_path: Path, synthetic: ModuleType) -> None:
    fields = {name: getattr(synthetic.CONTRACT, name) for name in BaseContract.__dataclass_fields__}
    contract = BaseContract(**{**fields, "name": "/models/caf\udce9"})
    Store.create(tmp_path / "support", contract)
    store = Store.open(tmp_path / "support")
    assert store.contract == contract
    assert store.verify() == ()


def test_a_directory_that_holds_something_is_refused_and_unchanged(tmp_path: Path, contract: BaseContract) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(Conflict, match=r"not empty \(it holds 'notes.txt'\)"):
        Store.create(tmp_path, contract)
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_a_portfolio_is_not_made_over_another(store: Store, contract: BaseContract) -> None:
    with pytest.raises(Conflict, match="already holds a portfolio"):
        Store.create(store.path, contract)
    assert store.verify() == ()


def test_a_file_is_refused_and_unchanged(tmp_path: Path, contract: BaseContract) -> None:
    (tmp_path / "support").write_text("mine")
    with pytest.raises(Conflict, match="is a file"):
        Store.create(tmp_path / "support", contract)
    assert (tmp_path / "support").read_text() == "mine"


def test_what_a_killed_creation_left_does_not_stand_in_the_way(tmp_path: Path, contract: BaseContract) -> None:
    left = tmp_path / ".init-0123456789abcdef"
    left.mkdir()
    (left / "portfolio.db").write_bytes(b"half")
    store = Store.create(tmp_path, contract)
    assert [(fault.kind, fault.is_damage) for fault in store.verify()] == [("temporary", False)]


def test_of_two_creations_at_once_the_slower_is_refused(
    tmp_path: Path, contract: BaseContract, synthetic: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = os.link

    def link_after_another(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", original)
        synthetic.add_task(Store.create(tmp_path, contract), "theirs")
        original(source, target)

    monkeypatch.setattr(os, "link", link_after_another)
    with pytest.raises(Conflict, match="by another process just now"):
        Store.create(tmp_path, contract)
    store = Store.open(tmp_path)
    assert synthetic.whole_tasks(store) == ["theirs"]
    assert store.verify() == ()


def test_a_file_system_without_hard_links_will_do(
    tmp_path: Path, contract: BaseContract, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_links)
    store = Store.create(tmp_path, contract)
    assert store.verify() == ()
    with pytest.raises(Conflict, match="already holds a portfolio"):
        Store.create(tmp_path, contract)


@pytest.mark.parametrize("name", ["nowhere", "with space"])
def test_where_there_is_no_portfolio_the_message_says_how_to_make_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound, match=r"make one with: portfolio -p '?/.*'? init"):
        Store.open(tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"no database " * 1000, b"SQLite format 3\0"])
def test_a_database_that_is_none_is_an_error_of_the_store(store: Store, content: bytes) -> None:
    (store.path / "portfolio.db").write_bytes(content)
    with pytest.raises(StoreError, match=r"portfolio\.db"):
        Store.open(store.path)


def test_a_lost_base_json_is_written_again(two_tasks: Store, contract: BaseContract) -> None:
    (two_tasks.path / "base.json").unlink()
    Store.open(two_tasks.path)
    assert (two_tasks.path / "base.json").read_text() == to_json(contract)
