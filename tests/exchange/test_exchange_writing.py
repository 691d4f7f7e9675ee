"""Bundles are written whole or not at all, and the same for the same contents."""

from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from portfolio.errors import ConfigError, Conflict, DamagedBlob, Unwritable
from portfolio.exchange import writing
from portfolio.exchange.opening import opened
from portfolio.exchange.writing import write_bundle

NAMES = ("bundle", "bundle.tar.gz", "bundle.TGZ", "bundle.zip")
CONTENTS = {"b.json": b"{}", "a/b": b"x" * 100_000}


@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_is_read_as_it_was_written_from_bytes_and_from_files(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"y" * 3_000_000)
    manifest = write_bundle(tmp_path / "to" / name, "adapter", {**CONTENTS, "c": tmp_path / "file"}, None)
    found = opened(tmp_path / "to" / name, "adapter", None)
    assert found.manifest == manifest
    assert found.data == {**CONTENTS, "c": b"y" * 3_000_000}
    assert not found.is_signed


@pytest.mark.parametrize("name", NAMES[1:])
def test_equal_contents_give_equal_archives_with_the_manifest_first(tmp_path: Path, name: str) -> None:
    for folder, contents in (("one", CONTENTS), ("two", dict(reversed(CONTENTS.items())))):
        write_bundle(tmp_path / folder / name, "adapter", contents, None)
    first, second = (tmp_path / folder / name for folder in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    if name.endswith(".zip"):
        with zipfile.ZipFile(first) as archive:
            names = archive.namelist()
    else:
        with tarfile.open(first) as tar:
            assert {(member.mtime, member.uid, member.uname, member.mode) for member in tar} == {(0, 0, "", 0o644)}
            names = tar.getnames()
    assert names == ["manifest.json", "a/b", "b.json"]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_there_is_never_overwritten(tmp_path: Path, name: str) -> None:
    to = tmp_path / name
    write_bundle(to, "adapter", CONTENTS, None)
    with pytest.raises(Conflict, match="bundle"):
        write_bundle(to, "adapter", {"other": b""}, None)
    assert opened(to, "adapter", None).data == CONTENTS


def test_an_empty_folder_is_taken_and_a_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_bundle(tmp_path / "empty", "adapter", CONTENTS, None)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(Conflict):
        write_bundle(tmp_path / "file", "adapter", CONTENTS, None)
    (tmp_path / "folder.zip").mkdir()
    with pytest.raises(Conflict):
        write_bundle(tmp_path / "folder.zip", "adapter", CONTENTS, None)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("function", ["fsync", "rename", "replace"])
def test_a_failed_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, function: str
) -> None:
    def fails(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    if function == ("replace" if name == "bundle" else "rename"):
        return  # of the other form
    monkeypatch.setattr(writing.os, function, fails)
    with pytest.raises(Unwritable, match="No space left"):
        write_bundle(tmp_path / name, "adapter", CONTENTS, None)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_and_a_missing_key_leave_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(DamagedBlob, match="export again"):
        write_bundle(tmp_path / name, "adapter", {"a": tmp_path / "nowhere"}, None)
    with pytest.raises(ConfigError, match="Ed25519 private key"):
        write_bundle(tmp_path / name, "adapter", CONTENTS, tmp_path / "nowhere.pem")
    assert os.listdir(tmp_path) == []
