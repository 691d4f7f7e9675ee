"""What AdapterFusion costs: ours folded, while training and written out, and the `adapters` library, in one run.

    python benchmarks/fusion_speed.py
    python benchmarks/fusion_speed.py --quick    # a rough look

Each of the two processes measures its own plain forward pass of the base just before every case, and a case is stated in
that unit: it takes out slow minutes of the machine and what two versions of transformers do differently. The cases of a
round come in changing order. Same base, rows, members' rank, float32 and threads for all.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this file's directory, whose routing.py hides the package

import torch
import transformers
from torch import Tensor

from benchmarks.fusion_speed_numbers import agreement
from benchmarks.fusion_speed_ours import our_cases
from benchmarks.fusion_speed_page import LIBRARY, OURS, Key, Measured, page, summary
from benchmarks.fusion_speed_peer import Peer
from benchmarks.measuring import in_rounds, machine
from benchmarks.peers.fusion_rig import ROWS, Case, Pass, Run, peak_bytes, timed
from benchmarks.peers.training_rig import batches_of, make_rows
from portfolio.hosting.base import MINILM, Base, load_base
from portfolio.hosting.encode import Batch

HERE = Path(__file__).parent
CACHE = Path.home() / ".cache" / "adapter-portfolio"
STEPS = 20  # of training, before numbers are compared
COMPARED = 8  # rows
Contestants = Mapping[Key, Callable[[], Pass]]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one run measures."""

    work: Path
    output: Path | None  # a directory; None: print only
    rounds: int
    members: tuple[int, ...]
    trained: int  # members of a training step
    threads: int

    @property
    def command(self) -> str:
        """The command that repeats this run anywhere."""
        members = " ".join(map(str, self.members))
        return (
            f"python benchmarks/fusion_speed.py --rounds {self.rounds} --members {members} "
            f"--trained {self.trained} --threads {self.threads}"
        )


def main() -> None:
    settings = _settings()
    torch.set_num_threads(settings.threads)
    base, plain = load_base(MINILM), load_base(MINILM)  # two of them, so that the plain one has no slots
    batch, labels = _batch()
    run_base = partial(_plain_forward, plain, batch)
    ours = our_cases(base, settings.members, settings.trained, batch, labels)
    directory = str(base.model.name_or_path)
    with Peer(
        settings.work, directory, members=settings.members, trained=settings.trained, threads=settings.threads
    ) as peer:
        contestants = _contestants(ours, run_base, peer)
        passes = in_rounds(contestants, settings.rounds)
        peaks: dict[Key, int] = {Key(OURS, case): peak_bytes(run) for case, run in ours.items()}
        peaks |= {Key(LIBRARY, case): peer.peak_bytes(case) for case in peer.cases}
        base_peaks = {OURS: peak_bytes(run_base), LIBRARY: peer.base_peak_bytes()}
        numbers = agreement(
            plain, batch, labels, members=settings.trained, steps=STEPS, rows=COMPARED, library=peer.blend
        )
    measured = Measured(passes=passes, peak_bytes=peaks, base_peak_bytes=base_peaks)
    attention = plain.model.config._attn_implementation
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "attention": attention}
    figures: dict[str, object] = {
        "command": settings.command,
        "date": date.today().isoformat(),
        "machine": machine(settings.threads),
        "versions": {"python": platform.python_version(), OURS: versions, LIBRARY: peer.versions},
        "rounds": settings.rounds,
        **summary(measured),
        "numbers": asdict(numbers),
    }
    print(page(figures))
    if settings.output is not None:
        settings.output.mkdir(parents=True, exist_ok=True)
        (settings.output / "fusion_speed.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        (settings.output / "fusion_speed.md").write_text(page(figures), encoding="utf-8")


def _batch() -> tuple[Batch, Tensor]:
    """`ROWS` rows of 32 made-up tokens and their random labels."""
    [made] = batches_of(make_rows("fixed", ROWS), ROWS)
    return Batch(made.ids, made.mask, None), made.labels


def _plain_forward(base: Base, batch: Batch) -> Tensor:
    with torch.inference_mode():
        states: Tensor = base.model(**batch.inputs()).last_hidden_state
    return states


def _contestants(ours: Mapping[Case, Run], run_base: Run, peer: Peer) -> Contestants:
    mine = {Key(OURS, case): partial(timed, run, run_base) for case, run in ours.items()}
    theirs = {Key(LIBRARY, case): partial(peer.timed, case) for case in peer.cases}
    return {**mine, **theirs}


def _settings() -> Settings:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=CACHE, help="directory that keeps the other library's environment")
    parser.add_argument("--output", type=Path, help="directory for the figures; benchmarks/results, or none if quick")
    parser.add_argument("--rounds", type=int, help="default 9, quick 3")
    parser.add_argument("--members", type=int, nargs="+", help="default 2 4 8 16, quick 8")
    parser.add_argument("--trained", type=int, default=8, help="members of a training step; default 8")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a rough look")
    chosen = parser.parse_args()
    return Settings(
        work=chosen.work,
        output=chosen.output or (None if chosen.quick else HERE / "results"),
        rounds=chosen.rounds or (3 if chosen.quick else 9),
        members=tuple(chosen.members or ([8] if chosen.quick else [2, 4, 8, 16])),
        trained=chosen.trained,
        threads=chosen.threads,
    )


if __name__ == "__main__":
    main()
