"""The tables of environments.md: published policies, rolled out here."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from formats import BENCHMARKS, ROOT, markdown

Row = dict[str, Any]
NEITHER = "–"


@cache
def roll_outs() -> list[Row]:
    """Return what benchmarks/policy_returns.py stored."""
    path = BENCHMARKS / "policy_returns.json"
    return json.loads(path.read_text(encoding="utf-8"))["policies"]


def find(policy: str, physics: str, acting: str, seed: int = 0) -> Row | None:
    """Return a stored roll-out, None if there is none."""
    wanted = (policy, physics, acting, seed)
    names = ("policy", "physics", "acting", "seed")
    rows = (row for row in roll_outs() if tuple(row[n] for n in names) == wanted)
    return next(rows, None)


def numbers(row: Row | None, digits: int) -> list[str]:
    """Return mean with standard error, and z."""
    if row is None:
        return [NEITHER, NEITHER]
    mean, error = row["mean"], row["standard_error"]
    z = NEITHER if row["z"] is None else f"{row['z']:.1f}"
    return [f"{mean:.{digits}f} ± {error:.{digits}f}", z]


def runners() -> str:
    """Show the policies of hopper, walker2d and halfcheetah, in both physics."""
    policies = [row["policy"] for row in roll_outs() if "online" in row["policy"]]
    rows = []
    for policy in dict.fromkeys(policies):
        ours = [find(policy, physics, "draws") for physics in ("d4rl", "stock")]
        published = f"{ours[0]['published']['mean']:.1f}"
        rows.append([policy, published, *numbers(ours[0], 1), *numbers(ours[1], 1)])
    header = ["`physics: d4rl`", "z", "`physics: stock`", "z"]
    return markdown(["policy", "published", *header], rows)


def ants_and_pens() -> str:
    """Show the policies of AntMaze and of the pen, by their means and by draws."""
    policies = [row["policy"] for row in roll_outs() if "dapg" in row["policy"]]
    rows = []
    for policy in dict.fromkeys(policies):
        digits = 0 if policy.startswith("pen") else 3
        rows.append([policy, *_of_a_seed(policy, 0, digits)])
        if find(policy, "d4rl", "mean", 1):
            name = f"{policy}, ten other goals (`--seed 1`)"
            rows.append([name, *_of_a_seed(policy, 1, digits)])
    header = ["by its means, `d4rl`", "z", "by its means, `stock`", "z"]
    draws = ["by draws, `d4rl`", "by draws, `stock`"]
    return markdown(["policy", "published", *header, *draws], rows)


def own() -> str:
    """Show what SAC's snapshots return that come with the source."""
    rows = []
    for file in sorted(ROOT.glob("workflow/behavior/*/policies.json")):
        summary = json.loads(file.read_text(encoding="utf-8"))
        best = max(summary["learning_curve"], key=lambda point: point["mean_return"])
        entries = {q: e for e in summary["policies"] for q in e["qualities"]}
        points = [entries["medium"], entries["expert"], best]
        rows.append([file.parent.name, *(_snapshot(point) for point in points)])
    return markdown(["SAC in", "medium", "expert: the end", "the best"], rows)


def within(num_steps: int = 200_000, enough: float = 1500) -> str:
    """Show how soon SAC returns enough on hopper, seed by seed."""
    rows = []
    for file in (
        ROOT / "workflow" / "behavior" / "hopper" / "policies.json",
        BENCHMARKS / "sac_hopper_seed_1.json",
    ):
        summary = json.loads(file.read_text(encoding="utf-8"))
        curve = summary["learning_curve"]
        points = [one for one in curve if one["environment_step"] <= num_steps]
        good = [one for one in points if one["mean_return"] >= enough]
        best = max(points, key=lambda point: point["mean_return"])
        cells = [_snapshot(good[0]), f"{len(good)} of {len(points)}", _snapshot(best)]
        rows.append([str(summary["budget"]["seed"]), *cells])
    header = [f"first of {enough:,} or more", "such snapshots", "the best"]
    return markdown(["seed", *header], rows)


def _snapshot(point: Row) -> str:
    """Return a snapshot's return by draws, with its standard error, and its step."""
    error = point["std_return"] / point["num_episodes"] ** 0.5
    step = point["environment_step"]
    return f"{point['mean_return']:.0f} ± {error:.0f} at {step:,}"


def _of_a_seed(policy: str, seed: int, digits: int) -> list[str]:
    shown = [find(policy, "d4rl", "mean", seed), find(policy, "stock", "mean", seed)]
    published = shown[0]["published"]["mean"]
    text = f"{published:.0f}" if digits == 0 else f"{published:.2f}"
    draws = [find(policy, physics, "draws", seed) for physics in ("d4rl", "stock")]
    cells = [number for row in shown for number in numbers(row, digits)]
    return [text, *cells, *(numbers(row, digits)[0] for row in draws)]
