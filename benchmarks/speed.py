"""What many adapters in one batch cost: ours, `adapters` and `peft`, in one run.

    python benchmarks/speed.py
    python benchmarks/speed.py --quick --only ours    # a rough look

Each process measures its own plain forward pass of the base just before every case, and a case is stated in that unit: it
takes out slow minutes of the machine and what two versions of transformers do differently. The cases of a round come in
changing order. Same base, rows, ranks, blocks, float32 and threads for all; no weight is 0. Every case's numbers are checked
against each row run alone.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this file's directory, whose routing.py hides the package

import torch
import transformers

from benchmarks.measuring import in_rounds, machine
from benchmarks.peers.fusion_rig import Pass, timed
from benchmarks.peers.speed_rig import EIGHT, LORA_RANK, ONE, PAIRS, RANKS, THIRTY_TWO, Case, Check
from benchmarks.speed_ours import our_cases
from benchmarks.speed_page import OURS, Key, Measured, page, summary
from benchmarks.speed_peer import LIBRARIES, Peer

HERE = Path(__file__).parent
CACHE = Path.home() / ".cache" / "adapter-portfolio"
PROCESSES = (OURS, *LIBRARIES)


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A case of any process."""

    timed: Callable[[], Pass]
    check: Callable[[int], Check]  # of each so many-th row


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one run measures."""

    work: Path
    output: Path | None  # a directory; None: print only
    rounds: int
    threads: int
    only: tuple[str, ...]  # processes
    quick: bool

    @property
    def command(self) -> str:
        """The command that repeats this run anywhere."""
        only = "" if set(self.only) == set(PROCESSES) else f" --only {' '.join(self.only)}"
        quick = " --quick" if self.quick else ""
        return f"python benchmarks/speed.py --rounds {self.rounds} --threads {self.threads}{only}{quick}"


def main() -> None:
    settings = _settings()
    torch.set_num_threads(settings.threads)
    contestants: dict[Key, Contestant] = {}
    versions: dict[str, object] = {"python": platform.python_version()}
    with ExitStack() as stack:
        if OURS in settings.only:
            for case, job in our_cases().items():
                contestants[Key(OURS, case)] = Contestant(timed=partial(timed, job.run, job.base), check=job.check)
            versions[OURS] = {"torch": torch.__version__, "transformers": transformers.__version__}
        for name, library in LIBRARIES.items():
            if name in settings.only:
                peer = stack.enter_context(Peer(library, settings.work, settings.threads))
                for case in peer.cases:
                    one = Contestant(timed=partial(peer.timed, case), check=partial(peer.check, case))
                    contestants[Key(name, case)] = one
                versions[name] = peer.versions
        if settings.quick:
            contestants = {key: one for key, one in contestants.items() if is_in_a_rough_look(key.case)}
        checks = _checks(contestants, every=8 if settings.quick else 1)
        passes = in_rounds({key: one.timed for key, one in contestants.items()}, settings.rounds)
        measured = Measured(checks=checks, passes=passes)
    figures: dict[str, object] = {
        "command": settings.command,
        "date": date.today().isoformat(),
        "machine": machine(settings.threads),
        "versions": versions,
        "rounds": settings.rounds,
        **summary(measured),
    }
    print(page(figures))
    if settings.output is not None:
        settings.output.mkdir(parents=True, exist_ok=True)
        (settings.output / "speed.json").write_text(json.dumps(figures) + "\n", encoding="utf-8")
        (settings.output / "speed.md").write_text(page(figures), encoding="utf-8")


def is_in_a_rough_look(case: Case) -> bool:
    """Few enough to be seen at once: the wide bottlenecks and LoRA, without what differs little."""
    return case.rank in (RANKS[0], LORA_RANK) and case.use in (ONE, EIGHT, THIRTY_TWO, PAIRS)


def _checks(contestants: Mapping[Key, Contestant], every: int) -> dict[Key, Check]:
    began = time.perf_counter()
    checks = {key: contestant.check(every) for key, contestant in contestants.items()}
    print(f"numbers checked of {len(checks)} cases: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return checks


def _settings() -> Settings:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work", type=Path, default=CACHE, help="directory that keeps the other libraries' environments"
    )
    parser.add_argument("--output", type=Path, help="directory for the figures; benchmarks/results, or none if quick")
    parser.add_argument("--rounds", type=int, help="default 11, quick 3")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=PROCESSES, default=PROCESSES, help="leave the others out")
    parser.add_argument("--quick", action="store_true", help="a rough look: fewer cases and rounds, nothing written")
    chosen = parser.parse_args()
    whole = not chosen.quick and set(chosen.only) == set(PROCESSES)
    return Settings(
        work=chosen.work,
        output=chosen.output or (HERE / "results" if whole else None),
        rounds=chosen.rounds or (3 if chosen.quick else 11),
        threads=chosen.threads,
        only=tuple(chosen.only),
        quick=chosen.quick,
    )


if __name__ == "__main__":
    main()
