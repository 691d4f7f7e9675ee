from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.errors import DamagedBlob, StoreError, Unwritable
from portfolio.store.blobs import Blobs, file_digest


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


@settings(max_examples=25, deadline=None)
@given(contents=st.lists(st.binary(max_size=300), max_size=6))
def test_any_bytes_come_back_under_their_sha_256(contents: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        blobs = Blobs(Path(directory, "blobs"))
        digests = [blobs.put(data) for data in contents]
        assert digests == [hashlib.sha256(data).hexdigest() for data in contents]
        assert [blobs.get(digest) for digest in digests] == contents
        assert {digest for _, digest in blobs.files()} == set(digests)


def test_a_blob_lies_under_the_first_two_digits_of_its_digest(blobs: Blobs) -> None:
    digest = blobs.put(b"bytes")
    assert (blobs.directory / digest[:2] / digest[2:]).read_bytes() == b"bytes"


def test_putting_leaves_no_temporary_file(blobs: Blobs) -> None:
    blobs.put(b"bytes")
    assert [digest for _, digest in blobs.files()] == [hashlib.sha256(b"bytes").hexdigest()]


def test_the_same_bytes_are_written_only_once(blobs: Blobs) -> None:
    path = blobs.path(blobs.put(b"bytes"))
    before = path.stat().st_ino
    blobs.put(b"bytes")
    assert path.stat().st_ino == before


@pytest.mark.parametrize("found", [b"", b"byte", b"bytez", b"bytes and more"])
def test_a_blob_that_changed_is_refused_and_named_until_it_is_put_again(blobs: Blobs, found: bytes) -> None:
    digest = blobs.put(b"bytes")
    blobs.path(digest).write_bytes(found)
    with pytest.raises(DamagedBlob, match=f"{digest[2:]} holds {len(found)} bytes .* restore"):
        blobs.get(digest)
    blobs.put(b"bytes")
    assert blobs.get(digest) == b"bytes"


def test_a_missing_blob_is_named(blobs: Blobs) -> None:
    with pytest.raises(DamagedBlob, match=f"{'a' * 62} is missing"):
        blobs.get("a" * 64)


def test_a_directory_in_the_place_of_a_blob_is_damage(blobs: Blobs) -> None:
    path = blobs.path("a" * 64)
    path.mkdir(parents=True)
    with pytest.raises(DamagedBlob, match="cannot be read"):
        blobs.get("a" * 64)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "a" * 63, f"{'a' * 64}\n"])
def test_what_is_no_digest_is_never_a_path(blobs: Blobs, digest: str) -> None:
    with pytest.raises(StoreError, match="expected a SHA-256"):
        blobs.get(digest)


def test_files_that_are_no_blobs_are_listed_without_a_digest(blobs: Blobs) -> None:
    digest = blobs.put(b"bytes")
    strangers = [blobs.directory / "note.txt", blobs.path(digest).parent / ".tmp-1", blobs.directory / digest]
    for path in strangers:
        path.write_bytes(b"")
    listed = dict(blobs.files())
    assert listed.pop(blobs.path(digest)) == digest
    assert listed == dict.fromkeys(strangers)


def test_the_digest_of_a_file_of_several_pieces_is_that_of_its_bytes(tmp_path: Path) -> None:
    data = os.urandom((1 << 20) + 17)
    (tmp_path / "file").write_bytes(data)
    assert file_digest(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_asking_for_room_leaves_nothing_behind(blobs: Blobs) -> None:
    blobs.require_room()
    assert list(blobs.files()) == []


def test_a_file_in_the_place_of_the_directory_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_bytes(b"")
    with pytest.raises(Unwritable, match="cannot be written"):
        Blobs(tmp_path / "blobs").put(b"bytes")
    with pytest.raises(Unwritable, match="cannot be written"):
        Blobs(tmp_path / "blobs").require_room()
