"""A kept space on disk: there whole or not at all, mapped, and refused when anything about it is not as it was."""

from __future__ import annotations

import json
import os
import threading

import numpy as np
import pytest

from routing.kept_space import fit_space
from routing.router import CentroidRouter, covariance_of
from routing.router_files import UNFINISHED, read_space, write_space
from routing.statistics import Totals, summarise

WIDTH, FIRST, CLASSES = 5, 3, 2


@pytest.fixture(scope="module")
def tasks():
    chance = np.random.default_rng(0)
    made = {}
    for number in range(20):
        features = chance.normal(size=(12, WIDTH)) + np.repeat(chance.normal(scale=5, size=(CLASSES, WIDTH)), 6, axis=0)
        made[f"task{number}"] = summarise(features.astype(np.float32), np.repeat(np.arange(CLASSES), 6), CLASSES)
    return made


@pytest.fixture(scope="module")
def totals(tasks):
    found = Totals.zero(WIDTH)
    for centroids, scatter in tasks.values():
        found = found.add(centroids, scatter)
    return found


@pytest.fixture(scope="module")
def centroids(tasks):
    return {name: found for name, (found, _) in tasks.items()}


@pytest.fixture(params=[0, 1000], ids=["frozen", "loose"])
def space(request, totals, centroids):
    marks = {name: name for name in centroids}
    return fit_space(covariance_of(totals), centroids, marks, shrinkage=0.25, widths=(WIDTH, FIRST), flat=request.param)


def test_what_was_written_routes_to_the_bit_as_what_was_fitted(space, totals, centroids, tmp_path):
    write_space(tmp_path / "cache" / "key", space)
    found = read_space(tmp_path / "cache" / "key").changed({name: name for name in centroids}, centroids)
    queries = np.random.default_rng(1).normal(scale=5, size=(50, WIDTH)).astype(np.float32)
    ours, theirs = (CentroidRouter(totals, centroids, space=one) for one in (found, space))
    for one, other, rows in ((ours, theirs, queries), (ours.leading(FIRST), theirs.leading(FIRST), queries[:, :FIRST])):
        assert one.route(rows, top_k=3) == other.route(rows, top_k=3)
    assert (found.fit.rows, found.fit.classes, found.shrinkage) == (240, 40, 0.25)
    np.testing.assert_array_equal(ours.class_means, theirs.class_means)


def test_nothing_else_is_left_beside_it_and_the_first_to_write_it_wins(space, tmp_path):
    for _ in range(2):
        write_space(tmp_path / "key", space)
        assert [path.name for path in tmp_path.iterdir()] == ["key"]
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file())
    write_space(tmp_path / "key", space)
    assert before == sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file())


def test_two_who_write_it_at_once_leave_one_whole_space(space, tmp_path):
    writers = [threading.Thread(target=write_space, args=(tmp_path / "key", space)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert read_space(tmp_path / "key").placed == space.placed


def test_a_write_that_fails_leaves_nothing(space, tmp_path, monkeypatch):
    def fail(source, target):
        raise OSError("no space left")

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="no space left"):
        write_space(tmp_path / "key", space)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_not_taken_for_a_space(space, tmp_path, monkeypatch):
    """The whole of it but the new name."""
    renamed = []
    monkeypatch.setattr(os, "rename", lambda source, target: renamed.append(source.name))
    write_space(tmp_path / "key", space)
    assert renamed[0].startswith(UNFINISHED)
    with pytest.raises(ValueError, match="expected the whole space of a router in .*key"):
        read_space(tmp_path / "key")


FILES = ["manifest.json", "tasks.json", "fit.safetensors", "5/classes/manifest.json", "3/in-scope/manifest.json"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["gone", "cut short", "one bit", "empty"])
def test_a_damaged_space_is_refused_with_what_to_do(space, tmp_path, name, how):
    write_space(tmp_path / "key", space)
    path = tmp_path / "key" / name
    data = path.read_bytes()
    path.unlink()
    if how != "gone":
        flipped = bytes([data[len(data) // 2] ^ 0x40])
        changed = data[: len(data) // 2] + flipped + data[len(data) // 2 + 1 :]
        path.write_bytes({"cut short": data[:-9], "one bit": changed, "empty": b""}[how])
    with pytest.raises(ValueError, match="expected the whole space of a router in .*; delete it, and it is made again"):
        read_space(tmp_path / "key")


def test_a_space_of_a_later_format_is_refused_by_its_name(space, tmp_path):
    write_space(tmp_path / "key", space)
    manifest = json.loads((tmp_path / "key" / "manifest.json").read_text())
    (tmp_path / "key" / "manifest.json").write_text(json.dumps({**manifest, "format": "kept-space-9"}))
    with pytest.raises(ValueError, match="'kept-space-9' where 'kept-space-2' was expected"):
        read_space(tmp_path / "key")


def test_indexes_of_other_classes_are_refused(space, tmp_path):
    fewer = space.changed({one.name: one.mark for one in space.placed[1:]}, {})
    write_space(tmp_path / "key", space)
    fewer.looks[FIRST].classes.save(tmp_path / "key" / str(FIRST) / "classes")
    with pytest.raises(ValueError, match="38 class means of 4 numbers, not 40 of 4"):
        read_space(tmp_path / "key")
