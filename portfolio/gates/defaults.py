"""The rules that hold in a portfolio without a `gates.toml`, written as such a file is: copy them to begin with."""

from __future__ import annotations

DEFAULT_GATES = """\
[[rule]]
check = "integrity"
head_alone = true    # training may keep its starting point, where no epoch does better

[[rule]]
check = "no-worse"   # than the champion, on the test rows
delta = 0.02
alpha = 0.05

[[rule]]
check = "others"     # the other tasks, as the router would serve them
delta = 0.02
alpha = 0.05
"""
