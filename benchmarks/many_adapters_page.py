"""The tables of many_adapters.py."""

from __future__ import annotations

from typing import Any

Figures = dict[str, Any]


def page(figures: Figures) -> str:
    """Markdown."""
    disk, opened = figures["disk"], figures["open"]
    lines = [
        f"# {disk['tasks']:,} adapters in one portfolio",
        "",
        f"Synthetic: random weights. `{figures['command']}`; {figures['machine']['cpu']}, one thread.",
        "",
        "| on disk, a task | bytes |",
        "|---|---:|",
    ]
    shared = "; one for all here, as large for each task that is learned" if disk["scatter_is_shared"] else ""
    for part, words in (
        ("adapter", "adapter with its head"),
        ("class_means", "class means"),
        ("evaluation", "evaluation rows"),
        ("scatter", f"scatter, read only when the task goes{shared}"),
        ("database", "rows in the database"),
        ("router_cache", "the router's cache, which can be made again"),
    ):
        lines.append(f"| {words} | {disk[part]:,.0f} |")
    lines += [
        "",
        "| to open it | s |",
        "|---|---:|",
        f"| the store and all its rows | {opened['open_s'] + opened['snapshot_s']:.2f} |",
        f"| the router, from its cache | {opened['router_s']:.2f} |",
        f"| **together** | **{opened['portfolio_s']:.2f}** |",
        f"| beside it: imports (torch, transformers, faiss); the base | {opened['imports_s']:.2f}; {opened['base_s']:.2f} |",
        "",
        "| adapters | load into the bank | read the files | read them and check their digests | load / read |",
        "|---:|---:|---:|---:|---:|",
    ]
    for count, one in figures["load"].items():
        loaded, read, checked = (f"{1e3 * one[key]:,.1f} ms" for key in ("load_s", "read_s", "check_s"))
        lines.append(f"| {int(count):,} | {loaded} | {read} | {checked} | {one['ratio']:.1f} |")
    lines += [
        "",
        "| bank may take | rows/s | of all in memory | taken in a batch | own memory, MiB: first .. last batch (largest) "
        "| first use, ms: median, p99 |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    everything = figures["traffic"][-1]["rows_per_s"]
    for one in figures["traffic"]:
        most = (
            "all in memory"
            if one["share"] is None
            else f"{100 * one['share']:.0f} %, {one['budget_bytes'] / 2**20:,.0f} MiB"
        )
        memory, wait = one["own_mib"], one["first_use_ms"]
        lines.append(
            f"| {most} | {one['rows_per_s']:.0f} | {one['rows_per_s'] / everything:.2f} | {one['taken_in_a_batch']:.1f} "
            f"| {memory['first']:,.0f} .. {memory['last']:,.0f} ({memory['largest']:,.0f}) "
            f"| {'' if wait is None else f'''{wait['median']:.1f}, {wait['p99']:.1f}'''} |"
        )
    lines += ["", f"The plain base alone: {figures['traffic'][-1]['rows_per_s_plain_base']:.0f} rows/s.", ""]
    return "\n".join(lines)
