"""Archives and folders made to do harm are refused before anything of them is believed."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from portfolio.errors import NotFound, Untrusted
from portfolio.exchange import reading
from portfolio.exchange.reading import Limits, pieces

LIMITS = Limits(files=20, bytes=1 << 20)

Member = tuple[str, bytes]


def read(source: Path, limits: Limits = LIMITS) -> dict[str, bytes]:
    return {piece.name: piece.read(limits.bytes) for piece in pieces(source, limits)}


def tar_of(path: Path, *members: tarfile.TarInfo | Member) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member, io.BytesIO(bytes(member.size)))
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return path


def zip_of(path: Path, *members: zipfile.ZipInfo | Member) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            name, data = (member, b"x") if isinstance(member, zipfile.ZipInfo) else member
            archive.writestr(name, data)
    return path


ARCHIVES = [("bundle.tar.gz", tar_of), ("bundle.zip", zip_of)]


@pytest.mark.parametrize(("name", "make"), ARCHIVES)
def test_plain_files_are_read(tmp_path: Path, name: str, make: Callable[..., Path]) -> None:
    files = {"a.json": b"{}", "blobs/ab/cd": b"1" * 3000}
    assert read(make(tmp_path / name, *files.items())) == files


@pytest.mark.parametrize(("name", "make"), ARCHIVES)
@pytest.mark.parametrize(
    "path",
    [
        *(
            "../evil",
            "a/../../evil",
            "/etc/passwd",
            "//evil",
            "C:/evil",
            "C:evil",
            "a\\b",
            "..\\evil",
            "./a",
            "a//b",
            "a/./b",
        ),
        *(
            "a/",
            "a b",
            ".hidden",
            "a/.git/b",
            "-rf",
            "a.",
            "a/b/c/d/e",
            "naïve",
            "nai\u0308ve",
            "ＲＥＡＤＭＥ.md",
            "a\nb",
            " ",
        ),
        *("x" * 129, "/".join(["x" * 100] * 3), "\u202egnp.md"),
    ],
)
def test_a_name_that_no_bundle_has_is_refused(tmp_path: Path, name: str, make: Callable[..., Path], path: str) -> None:
    with pytest.raises(Untrusted):
        read(make(tmp_path / name, ("fine", b""), (path, b"x")))


def test_a_name_with_an_end_inside_is_refused(tmp_path: Path) -> None:
    """What stands after a zero byte is seen by some programs and not by others."""
    data = zip_of(tmp_path / "bundle.zip", ("fine.sh", b"x")).read_bytes()
    (tmp_path / "bundle.zip").write_bytes(data.replace(b"fine.sh", b"fine\x00sh"))
    with pytest.raises(Untrusted):
        read(tmp_path / "bundle.zip")


@pytest.mark.parametrize(("name", "make"), ARCHIVES)
@pytest.mark.parametrize("pair", [("a.json", "a.json"), ("README.md", "readme.md"), ("b/a", "B/a")])
def test_two_files_that_some_disks_take_for_one_are_refused(
    tmp_path: Path, name: str, make: Callable[..., Path], pair: tuple[str, str]
) -> None:
    if pair[0] == pair[1] and make is zip_of:
        with pytest.warns(UserWarning, match="Duplicate"):
            source = make(tmp_path / name, *((path, b"x") for path in pair))
    else:
        source = make(tmp_path / name, *((path, b"x") for path in pair))
    with pytest.raises(Untrusted, match="two files called"):
        read(source)


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE],
)
def test_a_link_or_a_device_in_a_tar_is_refused(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("link")
    member.type, member.linkname = kind, "fine"
    with pytest.raises(Untrusted, match="a link, a device or a directory"):
        read(tar_of(tmp_path / "bundle.tar.gz", ("fine", b"x"), member))


@pytest.mark.parametrize("mode", [0o120777, 0o060644, 0o010644, 0o040755])
def test_a_link_or_a_device_in_a_zip_is_refused(tmp_path: Path, mode: int) -> None:
    member = zipfile.ZipInfo("link")
    member.create_system, member.external_attr = 3, mode << 16
    with pytest.raises(Untrusted, match="a link, a device or a directory"):
        read(zip_of(tmp_path / "bundle.zip", ("fine", b"x"), member))


def test_a_directory_in_a_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Untrusted, match="a link, a device or a directory"):
        read(zip_of(tmp_path / "bundle.zip", ("folder/", b"")))


def test_links_pipes_and_deep_folders_in_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    for number, make in enumerate(
        (
            lambda folder: (folder / "link").symlink_to(tmp_path / "secret"),
            lambda folder: (folder / "link").symlink_to(tmp_path, target_is_directory=True),
            lambda folder: (folder / "link").symlink_to("nowhere"),
            lambda folder: os.mkfifo(folder / "pipe"),
            lambda folder: (folder / "a/b/c/d/e").mkdir(parents=True),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "fine").write_text("x")
        assert read(folder) == {"fine": b"x"}
        make(folder)
        with pytest.raises(Untrusted, match="neither a file nor a directory"):
            read(folder)


@pytest.mark.parametrize(("name", "make"), ARCHIVES)
def test_too_many_files_and_too_many_bytes_are_refused(tmp_path: Path, name: str, make: Callable[..., Path]) -> None:
    source = make(tmp_path / name, *((f"f{number}", b"x" * 10) for number in range(5)))
    assert len(read(source, Limits(files=5, bytes=50))) == 5
    with pytest.raises(Untrusted, match="more than 4 files"):
        read(source, Limits(files=4, bytes=50))
    with pytest.raises(Untrusted, match="more than 49 bytes"):
        read(source, Limits(files=5, bytes=49))


@pytest.mark.parametrize(("name", "make"), ARCHIVES)
def test_a_bomb_is_refused_by_what_it_unpacks_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, make: Callable[..., Path]
) -> None:
    monkeypatch.setattr(reading, "_SLACK_BYTES", 1 << 16)
    source = make(tmp_path / name, ("zeros", bytes(4 << 20)))
    assert source.stat().st_size < 40_000
    with pytest.raises(Untrusted, match="unpacks to more than"):
        read(source, Limits(files=1, bytes=1 << 30))


def test_a_tar_whose_headers_are_the_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header of extended names is read whole by whoever reads the archive, before any file comes."""
    monkeypatch.setattr(reading, "_SLACK_BYTES", 1 << 16)
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 8 << 20
    (tmp_path / "bundle.tar.gz").write_bytes(gzip.compress(header.tobuf() + bytes(8 << 20)))
    with pytest.raises(Untrusted, match="unpacks to more than"):
        read(tmp_path / "bundle.tar.gz", Limits(files=1, bytes=1 << 30))


def test_a_zip_that_lies_about_a_size_is_refused(tmp_path: Path) -> None:
    source = zip_of(tmp_path / "bundle.zip", ("file", b"x" * 5000))
    for declared in (10, 6000):
        data = source.read_bytes()
        changed = data.replace(struct.pack("<L", 5000), struct.pack("<L", declared))
        assert changed != data
        (tmp_path / "lie.zip").write_bytes(changed)
        with pytest.raises(Untrusted):
            read(tmp_path / "lie.zip")


def test_an_encrypted_or_strangely_packed_member_is_refused(tmp_path: Path) -> None:
    source = zip_of(tmp_path / "bundle.zip", ("file", b"x" * 50))
    data = bytearray(source.read_bytes())
    directory = data.index(b"PK\x01\x02")
    for place, value in ((directory + 8, 1), (directory + 10, 12)):  # flags: encrypted; method: bzip2
        changed = bytearray(data)
        changed[place] = value
        (tmp_path / "odd.zip").write_bytes(changed)
        with pytest.raises(Untrusted, match="encrypted, or packed in a way"):
            read(tmp_path / "odd.zip")


@pytest.mark.parametrize(("name", "make"), ARCHIVES)
def test_an_archive_that_is_cut_off_is_refused(tmp_path: Path, name: str, make: Callable[..., Path]) -> None:
    source = make(tmp_path / name, ("a", os.urandom(3000)), ("b", os.urandom(3000)))
    data = source.read_bytes()
    for end in (5, 100, len(data) // 2, len(data) - 9):
        source.write_bytes(data[:end])
        with pytest.raises(Untrusted):
            read(source)


def test_a_checksum_of_the_whole_that_differs_is_refused(tmp_path: Path) -> None:
    source = tar_of(tmp_path / "bundle.tar.gz", ("a", b"x"))
    data = bytearray(source.read_bytes())
    data[-8] ^= 1
    source.write_bytes(data)
    with pytest.raises(Untrusted, match="CRC"):
        read(source)


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("file")
    member.type = tarfile.GNUTYPE_SPARSE
    with pytest.raises(Untrusted):
        read(tar_of(tmp_path / "bundle.tar.gz", member))


@pytest.mark.parametrize("data", [b"", b"x", b"\x80\x04\x95pickle", b"PK", b"\x1f\x8b", b"PK\x03\x04", bytes(5000)])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bundle.zip").write_bytes(data)
    with pytest.raises(Untrusted):
        read(tmp_path / "bundle.zip")


def test_nothing_there_is_said() -> None:
    with pytest.raises(NotFound, match="no bundle at nowhere"):
        read(Path("nowhere"))
