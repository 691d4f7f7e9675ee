"""A kept space on disk: a directory that is there whole or not at all, and that can always be made again.

    manifest.json         the digests of the next two; what is read first
    tasks.json            the tasks and where their class means stand, the widths of the looks
    fit.safetensors       the transforms
    384/classes/ …        for each look two indexes, as index_files.py writes them, memory-mapped when they are opened
    384/in-scope/ …

It is written under another name beside its own, then renamed. No pickle is read or written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from routing.index_files import sync_directory, write_whole
from routing.kept_space import Fit, KeptSpace, Look, Placed
from routing.large_index import LargeIndex
from routing.mean_noise import MeanNoise
from routing.scope import ManyMeans
from routing.whitening import Whitening

UNFINISHED = ".part-"  # what the name of a directory begins with that is not written to its end yet
FORMAT = "kept-space-2"
_MANIFEST, _TASKS, _FIT = "manifest.json", "tasks.json", "fit.safetensors"
_ADVICE = "delete it, and it is made again"


def write_space(directory: Path, space: KeptSpace) -> None:
    """Make `directory` hold this space, unless it is there already: then another process was quicker.

    Raises:
        OSError: it cannot be written, or the disk is full; nothing is left behind.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    unfinished = directory.parent / f"{UNFINISHED}{secrets.token_hex(8)}"
    try:
        unfinished.mkdir()
        _write(unfinished, space)
        with contextlib.suppress(FileExistsError):
            _rename(unfinished, directory)
            sync_directory(directory.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def read_space(directory: Path) -> KeptSpace:
    """The space that `write_space` put there, its indexes memory-mapped. It knows no centroids until it is `changed`.

    Raises:
        ValueError: there is none, or it is damaged. Numbers in the mapped files are checked only as they are used.
    """
    try:
        manifest = json.loads((directory / _MANIFEST).read_bytes())
        if manifest["format"] != FORMAT:
            raise _Damaged(f"{_MANIFEST} says {manifest['format']!r} where {FORMAT!r} was expected")
        tasks, arrays = (_checked(directory / name, manifest["sha256"][name]) for name in (_TASKS, _FIT))
        return _read(directory, json.loads(tasks), load(arrays))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, _Damaged) as error:
        raise ValueError(f"expected the whole space of a router in {directory}, got: {error}; {_ADVICE}") from error


class _Damaged(Exception):
    """A file is not what it should be."""


def _write(directory: Path, space: KeptSpace) -> None:
    for width, look in space.looks.items():
        look.classes.save(directory / str(width) / "classes")
        look.in_scope.save(directory / str(width) / "in-scope")
        sync_directory(directory / str(width))
    fit = space.fit
    arrays = {
        "origin": fit.whitening.origin,
        "matrix": fit.whitening.matrix,
        "scope_matrix": fit.scope_whitening.matrix,
        "background": fit.background.whitening,
    }
    tasks = {
        "rows": fit.rows,
        "classes": fit.classes,
        "shrinkage": fit.shrinkage,
        "widths": list(space.looks),
        "noises": [[width, noise.variance, noise.largest] for width, noise in fit.noises.items()],
        "tasks": [dataclasses.astuple(one) for one in space.placed],
    }
    files = {
        _TASKS: json.dumps(tasks).encode(),
        _FIT: save({name: np.ascontiguousarray(array) for name, array in arrays.items()}),
    }
    for name, data in files.items():
        write_whole(directory / name, data)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    write_whole(directory / _MANIFEST, json.dumps({"format": FORMAT, "sha256": digests}, indent=1).encode())


def _rename(unfinished: Path, directory: Path) -> None:
    """FileExistsError if something has that name; a directory cannot be renamed over one that holds something."""
    try:
        os.rename(unfinished, directory)
    except OSError as error:
        if directory.exists():
            raise FileExistsError(directory) from error
        raise


def _checked(path: Path, digest: str) -> bytes:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise _Damaged(f"{path.name} has another digest than {_MANIFEST} says")
    return data


def _read(directory: Path, tasks: Any, arrays: Any) -> KeptSpace:
    placed = [
        Placed(name=name, mark=mark, rows=rows, classes=classes, first=first)
        for name, mark, rows, classes, first in tasks["tasks"]
    ]
    looks = {
        width: _look(directory / str(width), width, sum(one.classes for one in placed)) for width in tasks["widths"]
    }
    origin = arrays["origin"]
    fit = Fit(
        rows=tasks["rows"],
        classes=tasks["classes"],
        shrinkage=tasks["shrinkage"],
        whitening=Whitening(origin=origin, matrix=arrays["matrix"]),
        scope_whitening=Whitening(origin=origin, matrix=arrays["scope_matrix"]),
        background=ManyMeans(whitening=arrays["background"]),
        noises={width: MeanNoise(variance=variance, largest=largest) for width, variance, largest in tasks["noises"]},
    )
    return KeptSpace(fit, placed, looks, {})


def _look(directory: Path, width: int, classes: int) -> Look:
    look = Look(classes=LargeIndex.open(directory / "classes"), in_scope=LargeIndex.open(directory / "in-scope"))
    for index, width_here in zip(look.indexes, (width + 1, width), strict=True):  # with a height, and without
        if (len(index), index.width) != (classes, width_here):
            raise _Damaged(
                f"{directory} has {len(index)} class means of {index.width} numbers, not {classes} of {width_here}"
            )
    return look
