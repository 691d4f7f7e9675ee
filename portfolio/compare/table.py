"""METHODS: everything that can be compared. A new method is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from portfolio.compare.contestant import Method
from portfolio.compare.methods.ewc import EWC, EWC_FULL
from portfolio.compare.methods.frozen_means import FROZEN_MEANS
from portfolio.compare.methods.frozen_whitened import FROZEN_WHITENED
from portfolio.compare.methods.joint_adapter import JOINT_ADAPTER
from portfolio.compare.methods.joint_full import JOINT_FULL
from portfolio.compare.methods.lwf import LWF, LWF_FULL
from portfolio.compare.methods.o_lora import O_LORA
from portfolio.compare.methods.portfolio import ORACLE, PORTFOLIO
from portfolio.compare.methods.replay import REPLAY, REPLAY_FULL
from portfolio.compare.methods.sequential import SEQUENTIAL_ADAPTER, SEQUENTIAL_FULL

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        method.name: method
        for method in (
            FROZEN_MEANS,
            FROZEN_WHITENED,
            SEQUENTIAL_FULL,
            SEQUENTIAL_ADAPTER,
            REPLAY,
            REPLAY_FULL,
            EWC,
            EWC_FULL,
            LWF,
            LWF_FULL,
            O_LORA,
            PORTFOLIO,
            ORACLE,
            JOINT_ADAPTER,
            JOINT_FULL,
        )
    }
)

# What is compared where nobody names methods: all but what changes every weight of the base beside its plain form
USUAL: tuple[str, ...] = tuple(name for name in METHODS if name not in (REPLAY_FULL.name, EWC_FULL.name, LWF_FULL.name))

# These read the same training, one with the task told and one without: run it once
SAME_RUN: Mapping[str, str] = MappingProxyType({ORACLE.name: PORTFOLIO.name})
