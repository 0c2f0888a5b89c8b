"""The tables of remade data: how near they are to D4RL's, and the runs on them."""

from __future__ import annotations

import json

import pandas as pd
from formats import BENCHMARKS, KEPT, label, markdown, percent

from dql.tables.remade_data import comparison_table

EVIDENCE = KEPT / "evidence" / "tables"
COMPARISONS = KEPT / "evidence" / "comparisons"


def signed(value: float) -> str:
    """Return a difference with its sign, a dash where there is none."""
    return "–" if pd.isna(value) else f"{value:+.1f}"


def nearness() -> str:
    """Show the returns of remade data beside those of D4RL's sets, each set once.

    The cells are those of the kept table remade_data: numbers of its csv, which are
    rounded already, would be rounded twice. The medium half of a medium-expert set is
    the medium set, whose row it would repeat.
    """
    stored = [json.loads(path.read_text()) for path in COMPARISONS.glob("*.json")]
    runners = [content for content in stored if "maze" not in content]
    in_order = sorted(runners, key=lambda content: content["task"])
    returns = comparison_table(in_order).blocks[0].cells
    columns = {
        "task": "remade",
        "D4RL set": "beside D4RL's",
        "transitions": "transitions",
        "return": "return",
        "of D4RL": "D4RL's",
        "difference": "difference",
    }
    shown = returns[list(columns)].drop_duplicates([*columns][1:])
    spaced = shown.map(lambda cell: cell.replace("%", " %"))
    return markdown([*columns.values()], spaced.itertuples(index=False))


def mazes() -> str:
    """Show samples of remade AntMaze data: arrivals, steps, pieces beside D4RL's."""
    samples = json.loads((BENCHMARKS / "remade_mazes.json").read_text())
    rows = []
    for found in samples["tasks"]:
        million = 1e6 / found["num_transitions"]
        rows.append(
            [
                found["task"],
                found["num_episodes"],
                percent(found["arrived_share"]),
                f"{found['median_steps_to_goal']:.0f}",
                percent(found["rewarded_share"]),
                f"{found['step_mean']:.3f} ± {found['step_std']:.3f}",
                f"{million * found['num_pieces']:,.0f}",
                f"{found['of_d4rl']['num_pieces']:,}",
            ]
        )
    header = ["episodes", "arrive", "after steps", "rewarded", "step"]
    return markdown(["remade", *header, "pieces a million", "D4RL's"], rows)


def stability() -> str:
    """Show swing and chance of a run's last evaluations, and its policies at length."""
    table = pd.read_csv(EVIDENCE / "stability.csv")
    ways = [("online", 1), ("online", 50), ("ema", 1), ("ema", 50)]
    rows = []
    for (task, name, seed), found in table.groupby(
        ["task", "label", "seed"], sort=False
    ):
        first = found.iloc[0]
        played = found.set_index(["policy", "num_candidates"])
        cells = [
            f"{played.loc[way, 'score']:.1f} ± {played.loc[way, 'standard_error']:.1f}"
            if way in played.index
            else "–"
            for way in ways
        ]
        share = f"{100 * (first['noise'] / first['swing']) ** 2:.0f} %"
        swing = f"{first['swing']:.1f}"
        rows.append([task, name, seed, swing, share, *cells])
    names = ["online, 1", "online, 50", "EMA, 1", "EMA, 50"]
    header = ["method", "seed", "swing", "chance's share of it", *names]
    return markdown(["task", *header], rows)


def number(value: float) -> str:
    """Return a score; a dash where there is none."""
    return "–" if pd.isna(value) else f"{value:.1f}"


def scores() -> str:
    """Show every cell with a finished run: each selection rule, data, the paper's."""
    rows = []
    for row in pd.read_csv(EVIDENCE / "remade.csv").to_dict("records"):
        if row["num_seeds"]:
            ours = [row["mean"], row["offline_mean"], row["online_mean"]]
            rows.append(
                [
                    row["task"],
                    label(row["method"]),
                    row["num_seeds"],
                    f"{row['num_gradient_steps']:,.0f}",
                    *map(number, ours),
                    number(row["behavior_score"]),
                    number(row["published"]),
                    signed(row["difference"]),
                ]
            )
    header = ["method", "seeds", "steps", "last", "offline (L_d)", "online (best)"]
    others = ["the data", "the paper's", "difference"]
    return markdown(["task", *header, *others], rows)
