"""Memory that a pass frees is there for the next."""

from __future__ import annotations

import platform

import pytest
import torch

from portfolio.hosting.memory import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators are not changed")
def test_blocks_of_megabytes_are_not_asked_of_the_system_again():
    import resource

    keep_freed_memory()

    def page_faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            blocks = [torch.ones(1_500_000) for _ in range(3)]  # 6 MB each
            del blocks
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    page_faults()
    assert page_faults() < 2000  # else 3,000 a round
