"""A whole portfolio goes elsewhere: whole or not at all, and only if everything in it is as this package makes it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

import portfolio as portfolio_package
from portfolio.errors import Conflict, DamagedBlob, SchemaTooNew, Untrusted
from portfolio.exchange.manifest import MANIFEST
from portfolio.hosting.base import Base
from portfolio.portfolio import Portfolio
from portfolio.store.checksums import checksum
from portfolio.store.store import Store

TEXTS = ["rose tulip fern moss", "soup pan whisk", "ferry tug fog"]

Tree = Callable[[Path], dict[str, bytes]]
Made = Callable[..., Path]
Rewritten = Callable[..., Path]


@pytest.mark.parametrize("name", ["bundle", "bundle.tar.gz", "bundle.zip"])
def test_an_imported_portfolio_is_the_same_in_everything(
    source: Portfolio, tmp_path: Path, tiny_base: Base, name: str
) -> None:
    source.tag("garden", {"tenant": "acme"})
    (source.path / "routes.toml").write_text(
        '[[rule]]\nname = "acme"\nwhen = { tenant = "acme" }\nallow = ["garden"]\n'
    )
    held = source.export_all(tmp_path / name)
    assert Portfolio.import_portfolio(tmp_path / name, tmp_path / "to") == held
    copy = Portfolio.open(tmp_path / "to", base=tiny_base)
    assert copy.snapshot() == source.snapshot()
    assert copy.store.events() == source.store.events()
    assert copy.predict(TEXTS, abstain=False) == source.predict(TEXTS, abstain=False)
    assert copy.verify() == ()
    assert {path.name for path in copy.path.iterdir()} >= {"portfolio.db", "base.json", "blobs", "routes.toml"}
    assert not (copy.path / MANIFEST).exists()
    copy.tag("kitchen", {"tenant": "acme"})  # it can be changed, too
    copy.close()


def test_it_can_be_written_by_many_at_once_as_any_other(bundles: Path, tmp_path: Path) -> None:
    Portfolio.import_portfolio(bundles / "all", tmp_path / "to")
    with contextlib.closing(sqlite3.connect(tmp_path / "to" / "portfolio.db")) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_what_was_deleted_from_the_database_and_what_nothing_needs_stays_here(
    source: Portfolio, tmp_path: Path, tree: Tree
) -> None:
    orphan = source.store.put(b"nobody needs this")
    source.remove_task("mixed")
    assert unused(source.path / "portfolio.db") > 0
    source.export_all(tmp_path / "to")
    files = tree(tmp_path / "to")
    assert f"blobs/{orphan[:2]}/{orphan[2:]}" not in files
    assert unused(tmp_path / "to" / "portfolio.db") == 0
    assert b"weather" not in files["portfolio.db"]  # a label of the task that went


def unused(database: Path) -> int:
    """Pages that hold what was deleted, or nothing."""
    with contextlib.closing(sqlite3.connect(database)) as db:
        return int(db.execute("PRAGMA freelist_count").fetchone()[0])


def test_an_export_is_of_one_moment_while_others_change_the_portfolio(source: Portfolio, tmp_path: Path) -> None:
    stop = threading.Event()

    def change() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            source.tag("garden", {"round": str(number)})
            source.tag("kitchen", {"round": str(number)})

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for number in range(3):
            held = source.export_all(tmp_path / f"{number}.zip")
            assert Portfolio.import_portfolio(tmp_path / f"{number}.zip", tmp_path / str(number)) == held
            rounds = [int(dict(task.tags).get("round", 0)) for task in held.tasks[:2]]
            assert rounds[0] - rounds[1] in (0, 1)
    finally:
        stop.set()
        thread.join()


def test_a_dry_run_checks_everything_and_makes_nothing(bundles: Path, tmp_path: Path, reseal: Made) -> None:
    assert len(Portfolio.import_portfolio(bundles / "all", tmp_path / "to", dry_run=True).tasks) == 3
    with pytest.raises(Untrusted):
        Portfolio.import_portfolio(reseal("all", {"base.json": b"{}"}), tmp_path / "to", dry_run=True)
    assert not (tmp_path / "to").exists()


def test_a_directory_with_something_in_it_is_refused(bundles: Path, tmp_path: Path, source: Portfolio) -> None:
    with pytest.raises(Conflict, match="not empty"):
        Portfolio.import_portfolio(bundles / "all", source.path)
    assert source.verify() == ()
    (tmp_path / "empty").mkdir()
    Portfolio.import_portfolio(bundles / "all", tmp_path / "empty")
    assert Store.open(tmp_path / "empty").verify() == ()


def test_a_portfolio_with_a_damaged_or_missing_blob_is_not_exported_as_if_whole(
    source: Portfolio, tmp_path: Path
) -> None:
    [adapter] = [one for one in source.snapshot().adapters if one.name == "garden"]
    (source.path / "blobs" / adapter.digest[:2] / adapter.digest[2:]).unlink()
    with pytest.raises(DamagedBlob):
        source.export_all(tmp_path / "to.zip")
    assert not (tmp_path / "to.zip").exists()


# Refusals


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """The words of a refusal that leaves nothing, not even a hidden file."""

    def of(source: Path, error: type[Exception] = Untrusted) -> str:
        before = sorted(os.listdir(tmp_path))
        with pytest.raises(error) as raised:
            Portfolio.import_portfolio(source, tmp_path / "to")
        assert sorted(os.listdir(tmp_path)) == before
        return str(raised.value)

    return of


@pytest.fixture
def rewritten(bundles: Path, reseal: Made, tmp_path: Path) -> Rewritten:
    """`rewritten(SQL, …)`: the bundle with a database on which the statements ran; every checksum is made to agree."""

    def made(*statements: str, agree: tuple[str, ...] = (), more: dict[str, Any] | None = None) -> Path:
        path = Path(shutil.copy(bundles / "all" / "portfolio.db", tmp_path / "changed.db"))
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.row_factory = sqlite3.Row
            for statement in statements:
                db.execute(statement)
            for table in agree:
                for row in db.execute(f"SELECT rowid AS number, * FROM {table}").fetchall():
                    values = {key: row[key] for key in row.keys() if key != "number"}  # noqa: SIM118
                    db.execute(f"UPDATE {table} SET checksum = ? WHERE rowid = ?", (checksum(values), row["number"]))
        data = path.read_bytes()
        path.unlink()
        return reseal("all", {"portfolio.db": data, **(more or {})})

    return made


def test_an_untouched_portfolio_sealed_again_is_taken(rewritten: Rewritten, tmp_path: Path) -> None:
    sealed = rewritten(agree=("version", "task", "lineage"))
    assert len(Portfolio.import_portfolio(sealed, tmp_path / "to").adapters) == 4


def test_a_flipped_bit_in_any_file_is_refused(
    bundles: Path, tmp_path: Path, tree: Tree, refused: Callable[..., str]
) -> None:
    files = tree(bundles / "all")
    shutil.copytree(bundles / "all", tmp_path / "flipped")
    for number, (path, data) in enumerate(files.items()):
        for place in {0, len(data) - 1, (number * 7919) % len(data)}:
            changed = bytearray(data)
            changed[place] ^= 1 << number % 8
            (tmp_path / "flipped" / path).write_bytes(changed)
            refused(tmp_path / "flipped")
        (tmp_path / "flipped" / path).write_bytes(data)
    Portfolio.import_portfolio(tmp_path / "flipped", tmp_path / "to")  # as it was again


STATEMENTS: list[tuple[str, tuple[str, ...], tuple[str, ...], str]] = [
    ("a row that was changed", ("UPDATE version SET seed = 99",), (), "checksum differs"),
    ("a trigger", ("CREATE TRIGGER t AFTER INSERT ON task BEGIN DELETE FROM event; END",), (), "tables"),
    ("a view", ("CREATE VIEW v AS SELECT load_extension('x')",), (), "views or triggers"),
    ("another table", ("CREATE TABLE more (x)",), (), "tables"),
    ("an index on an expression", ("CREATE INDEX i ON task (lower(name))",), (), "indexes"),
    ("a table that is not there", ("DROP TABLE suite",), (), "tables"),
    ("a column too many", ("ALTER TABLE task ADD COLUMN more TEXT",), (), "tables"),
    ("no alias", ("DELETE FROM alias",), (), "no champion"),
    (
        "a name that climbs out",
        (
            "PRAGMA foreign_keys = OFF",
            *(f"UPDATE {t} SET name = '../x' WHERE name = 'garden'" for t in ("task", "alias")),
        ),
        ("task", "alias"),
        "",
    ),
    ("a colour in a note", ("UPDATE version SET notes = '[\"a\\u001b[31m\"]'",), ("version",), "control characters"),
    ("a text for a number", ("UPDATE version SET seconds = 'long'",), ("version",), "seconds: expected a number"),
    ("a score above 1", ("UPDATE version SET validation_score = 2.0",), ("version",), "[0, 1]"),
    (
        "labels that do not fit",
        tuple(f'UPDATE {table} SET labels = \'["a", "b", "c"]\'' for table in ("lineage", "task")),
        ("lineage", "task"),
        "heads of 3 labels",
    ),
    ("another count", ("UPDATE version SET parameters = 3",), ("version",), "numbers of its record"),
    ("a digest that is a path", ("UPDATE version SET digest = '../../x'",), ("version",), "SHA-256"),
    ("a blob for another", ("UPDATE lineage SET centroids = scatter",), ("lineage",), ""),
    ("a tag that may not be", ('UPDATE task SET tags = \'{"name": "x"}\'',), ("task",), "reserved"),
]


@pytest.mark.parametrize(
    ("statements", "agree", "said"), [one[1:] for one in STATEMENTS], ids=[one[0] for one in STATEMENTS]
)
def test_a_database_that_cannot_be_is_refused(
    rewritten: Rewritten,
    refused: Callable[..., str],
    statements: tuple[str, ...],
    agree: tuple[str, ...],
    said: str,
) -> None:
    assert said in refused(rewritten(*statements, agree=agree))


def test_a_later_schema_is_refused_by_its_number(rewritten: Rewritten, refused: Callable[..., str]) -> None:
    later = rewritten("INSERT INTO migration VALUES (99, 'later', '')")
    assert "schema version 99" in refused(later, SchemaTooNew)


@pytest.mark.parametrize("data", [b"", b"SQLite format 3\x00" + bytes(4080), b"text", os.urandom(5000)])
def test_what_is_no_database_is_refused(reseal: Made, refused: Callable[..., str], data: bytes) -> None:
    refused(reseal("all", {"portfolio.db": data}))


@pytest.mark.parametrize(
    ("path", "data", "said"),
    [
        ("base.json", b"{}", "differs from the contract"),
        ("base.json", None, "base.json is missing"),
        ("portfolio.db", None, "portfolio.db is missing"),
        ("README.md", None, "README.md is missing"),
        ("evil.py", b"import os", "evil.py does not belong"),
        ("portfolio.db-wal", b"x", "does not belong"),
        ("cache/standing", b"x", "does not belong"),
        ("routes.toml", b"[[rule", "routes.toml"),
        ("gates.toml", b"surprise = 1", "gates.toml"),
        (f"blobs/aa/{'b' * 62}", b"x", "not those of its name"),
    ],
)
def test_a_file_that_cannot_be_is_refused(
    reseal: Made, refused: Callable[..., str], path: str, data: bytes | None, said: str
) -> None:
    assert said in refused(reseal("all", {path: data}))


def test_a_blob_that_nothing_needs_is_refused(reseal: Made, refused: Callable[..., str]) -> None:
    digest = hashlib.sha256(b"extra").hexdigest()
    assert "nothing refers to" in refused(reseal("all", {f"blobs/{digest[:2]}/{digest[2:]}": b"extra"}))


def test_a_blob_that_is_missing_is_refused(reseal: Made, refused: Callable[..., str], bundles: Path) -> None:
    digest = json.loads((bundles / "garden" / "record.json").read_text())["adapters"][0]["digest"]
    assert "is missing" in refused(reseal("all", {f"blobs/{digest[:2]}/{digest[2:]}": None}))


def test_nan_in_the_weights_of_any_version_is_refused(
    bundles: Path, rewritten: Rewritten, refused: Callable[..., str]
) -> None:
    old = json.loads((bundles / "garden" / "record.json").read_text())["adapters"][0]
    before = (bundles / "garden" / "adapter.safetensors").read_bytes()
    arrays = load(before)
    arrays["head.bias"] = np.full(2, np.nan, np.float32)
    data = save(arrays, metadata={"config": old["config"]})
    new = hashlib.sha256(data).hexdigest()
    path = "blobs/{}/{}".format
    changed = rewritten(
        f"UPDATE version SET digest = '{new}' WHERE digest = '{old['digest']}'",
        f"UPDATE member SET member_digest = '{new}' WHERE member_digest = '{old['digest']}'",
        agree=("version", "member"),
        more={path(old["digest"][:2], old["digest"][2:]): None, path(new[:2], new[2:]): data},
    )
    assert "NaN" in refused(changed)


def test_a_blob_that_is_neither_safetensors_nor_json_is_refused(
    source: Portfolio, tmp_path: Path, reseal: Made, bundles: Path, rewritten: Rewritten, refused: Callable[..., str]
) -> None:
    """Also where no adapter is made of it: here of a suite, whose rows are JSON."""
    data = b"\x80\x04\x95cos\nsystem\n."
    digest = hashlib.sha256(data).hexdigest()
    columns = f"'suite', '{digest}', 1, 'x', '2026-01-01T00:00:00+00:00', ''"
    changed = rewritten(
        f"INSERT INTO suite (name, digest, rows, source, added_at, checksum) VALUES ({columns})",
        agree=("suite",),
        more={f"blobs/{digest[:2]}/{digest[2:]}": data},
    )
    assert f"blob {digest} is not the JSON" in refused(changed)


def test_neither_export_nor_the_import_of_a_portfolio_loads_torch(bundles: Path, tmp_path: Path) -> None:
    code = """
import sys
from portfolio.portfolio import Portfolio
source, to = sys.argv[1:]
Portfolio.import_portfolio(source, f"{to}/portfolio")
portfolio = Portfolio.open(f"{to}/portfolio")
portfolio.export("garden", f"{to}/garden.zip")
portfolio.export_all(f"{to}/all.zip")
assert not {"torch", "transformers"} & set(sys.modules)
"""
    root = Path(portfolio_package.__file__).resolve().parents[1]
    arguments = [sys.executable, "-c", code, str(bundles / "all"), str(tmp_path)]
    subprocess.run(arguments, check=True, cwd=root, timeout=120)
