"""A file of output is there whole or not at all, and no device is replaced by a file."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from portfolio.errors import Unwritable
from portfolio.reports.output import opened_lines, write_output


def test_without_a_path_it_is_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with opened_lines(None) as stream:
        stream.write("hello")
    assert capsys.readouterr().out == "hello"


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text("old")
    with opened_lines(str(path)) as stream:
        stream.write("new")
        stream.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(
    ("written", "kept"),
    [("one\ntwo\nhal", "one\ntwo\n"), ("one\n", "one\n"), ("x" * 200_000 + "\n" + "y" * 200_000, "x" * 200_000 + "\n")],
)
def test_a_body_that_fails_leaves_the_whole_lines_that_it_wrote(
    tmp_path: Path, error: type[BaseException], resume: bool, written: str, kept: str
) -> None:
    path = tmp_path / "answers.jsonl"
    with pytest.raises(error), opened_lines(str(path), resume=resume) as stream:
        stream.write(written)
        raise error
    assert path.read_text() == kept
    assert list(tmp_path.iterdir()) == [path]


def test_a_body_that_fails_before_its_first_line_leaves_what_was_there(tmp_path: Path) -> None:
    for before in (None, "old"):
        path = tmp_path / "answers.jsonl"
        if before is not None:
            path.write_text(before)
        with pytest.raises(ValueError), opened_lines(str(path)) as stream:
            stream.write("half")
            raise ValueError
        assert [one.read_text() for one in tmp_path.iterdir()] == ([] if before is None else [before])


def test_resumed_lines_are_added_in_place_after_the_whole_ones(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    for before, expected in (
        (None, "new\n"),
        ("", "new\n"),
        ("one\ntw", "one\nnew\n"),
        ("half", "new\n"),
        ("é\n", "é\nnew\n"),
    ):
        path.unlink(missing_ok=True)
        if before is not None:
            path.write_text(before)
        with opened_lines(str(path), resume=True) as stream:
            stream.write("new\n")
            stream.flush()
            assert path.read_text() == expected  # from the start, so that a killed run can be gone on with too
        assert path.read_text() == expected


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    path = tmp_path / "answers.jsonl"
    path.write_text("old")
    with pytest.raises(Unwritable, match="No space left"), opened_lines(str(path)) as stream:
        stream.write("new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_bytes_are_written_as_they_are_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "picture.png"
    write_output(path, b"\x89\r\n\x00")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unwritable, match="picture.png cannot be written: No space left"):
        write_output(path, b"other")
    assert path.read_bytes() == b"\x89\r\n\x00" and list(tmp_path.iterdir()) == [path]


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unwritable, match="No such file or directory"), opened_lines(str(tmp_path / "no" / "file")):
        pass


def test_a_link_stays_a_link_and_permissions_stay(tmp_path: Path) -> None:
    target, link, fresh = tmp_path / "target", tmp_path / "link", tmp_path / "fresh"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    for path in (link, fresh):
        with opened_lines(str(path)) as stream:
            stream.write("new")
    assert link.is_symlink() and target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    (tmp_path / "usual").touch()
    assert fresh.stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with opened_lines(str(pipe)) as stream:
        stream.write("hello")
    assert os.read(reader, 100) == b"hello"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
