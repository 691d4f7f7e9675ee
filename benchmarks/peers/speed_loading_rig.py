"""What the processes of `speed_loading.py` share: what is loaded, the clock, plain reading, how they talk.

Speaks JSON lines: first says who it is, then answers each `{"count": N}` with the seconds that each of N adapters took to
load into a fresh base, those that plain reading of the same files took, and their bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

RANK = 16  # of bottlenecks, in all blocks
LORA_RANK = 8  # beside all 36 linear layers
DEVIATION = 0.05  # of all weights


@dataclass(frozen=True)
class Loads:
    """One go."""

    seconds: tuple[float, ...]  # of each adapter, the first one into a base without any
    reading: float  # seconds to read all their files with open().read()
    bytes: int  # of one adapter's files
    safetensors: float | None = None  # seconds to read the same files with safetensors


def clock() -> float:
    """Processor time where one thread works, the files being in memory anyway: others on the machine do not lengthen it."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def each(load: Callable[[int], object], count: int) -> tuple[float, ...]:
    """Seconds of load(0), load(1), …"""
    seconds = []
    for number in range(count):
        began = clock()
        load(number)
        seconds.append(clock() - began)
    return tuple(seconds)


def reading(files: Iterable[Path]) -> float:
    """Seconds to read the files, one after the other."""
    began = clock()
    for file in files:
        with file.open("rb") as opened:
            opened.read()
    return clock() - began


def loads(load: Callable[[int], object], directories: Sequence[Path]) -> Loads:
    """Load one adapter from each directory, then read the same files plainly."""
    files = [file for directory in directories for file in sorted(directory.iterdir())]
    reading(files)  # now they are in memory
    plain = reading(files)
    size = sum(file.stat().st_size for file in directories[0].iterdir())
    return Loads(each(load, len(directories)), plain, size)


Save = Callable[[str, Path, int], list[Path]]  # base, directory, count -> a directory for each adapter
Fresh = Callable[[str, Sequence[Path]], Callable[[int], object]]  # base, their directories -> what loads the N-th


def serve(about: str, versions: Mapping[str, str], save: Save, fresh: Fresh) -> None:
    """Answers until nobody asks any more."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, help="directory of the base")
    parser.add_argument("--most", type=int, required=True, help="most adapters that will be asked for")
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints must not mix with the answers
    warnings.filterwarnings("ignore")
    torch.set_num_threads(arguments.threads)
    with TemporaryDirectory() as directory:
        saved = save(arguments.base, Path(directory), arguments.most)
        print(json.dumps({"versions": {**versions, "torch": torch.__version__}}), file=answers, flush=True)
        for line in sys.stdin:
            wanted = saved[: json.loads(line)["count"]]
            print(json.dumps(asdict(loads(fresh(arguments.base, wanted), wanted))), file=answers, flush=True)
