"""Write the tables of README.md and of docs/ from the files in results/.

`python docs/tables.py` (or `make docs`) fills every block that stands between
`<!-- table: NAME -->` and `<!-- /table -->`; a test fails where a page and the files
disagree. So no number of these tables is typed by hand. A new table is a function here
and a line in `TABLES`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache, partial

import bandit_tables
import claim_tables
import environment_tables
import mode_tables
import noise_tables
import online_tables
import pandas as pd
import remade_tables
from formats import BENCHMARKS, KEPT, ROOT, label, markdown

NAMES = ("results", "short_runs", "environments")
PAGES = (ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in NAMES))
BLOCK = re.compile(r"(?s)(<!-- table: ([\w-]+) -->\n)(.*?)(<!-- /table -->)")
HOURS = "hours of the paper's table, 6 seeds, cpu"


@cache
def local_rows(folder: str) -> pd.DataFrame:
    """Return the cells of a kept table of data made here, by task and method."""
    table = pd.read_csv(KEPT / folder / "tables" / "local.csv")
    return table.set_index(["task", "method"])


def score(row: pd.Series) -> str:
    """Return a cell's last score with its standard error."""
    return f"{row['mean']:.1f} ± {row['standard_error']:.1f}"


def every_selection(folder: str) -> str:
    """Show the scores of a kept folder under each way to select an evaluation."""
    rows, table = [], local_rows(folder)
    for task, cells in table.groupby(level="task", sort=False):
        rows.append(
            [task, "the data", f"{cells['behavior_score'].iloc[0]:.1f}", "", ""]
        )
        for (_, method), row in cells.iterrows():
            others = [f"{row[f'{name}_mean']:.1f}" for name in ("offline", "online")]
            rows.append(["", label(method), score(row), *others])
    return markdown(["task", "method", "last", "offline (L_d)", "online (best)"], rows)


def two_tasks(folder: str) -> str:
    """Show the last scores of a kept folder, a column a task."""
    table = local_rows(folder)
    tasks = list(dict.fromkeys(task for task, _ in table.index))
    data = [f"{table.loc[task, 'behavior_score'].iloc[0]:.1f}" for task in tasks]
    cells = {key: score(row) for key, row in table.iterrows()}
    rows = [
        [label(m), *(cells.get((task, m), "not run") for task in tasks)]
        for m in dict.fromkeys(m for _, m in table.index)
    ]
    return markdown(["last", *tasks], [["the data", *data], *rows])


def action_modes() -> str:
    """Show how many modes policies keep in states of the data, by eta."""
    rows = []
    for name in ("@eta=0", "@eta=0.1", ""):
        files = (KEPT / "ablations" / "action_samples").glob(
            f"*/diffusion_ql{name}.csv"
        )
        samples = pd.concat(map(pd.read_csv, files))
        counts = samples["num_modes"]
        rows.append(
            [
                f"{samples['q_coefficient'].iloc[0]:g}",
                samples["state"].nunique(),
                samples["seed"].nunique(),
                f"{counts.min()} to {counts.max()}",
            ]
        )
    return markdown(["eta", "states", "seeds", "modes kept"], rows)


def recorded() -> str:
    """Show every method on recorded transitions of hopper-expert."""
    found = json.loads((BENCHMARKS / "recorded_slice.json").read_text())
    timed = json.loads((BENCHMARKS / "method_steps.json").read_text())
    rows = []
    for row in sorted(found["methods"], key=lambda row: label(row["method"])):
        scores = [f"{value:.1f}" for value in row["scores"]]
        cost = timed["milliseconds_per_step"][row["method"]]
        rows.append([label(row["method"]), *scores, f"{cost:.1f}"])
    seeds = [f"seed {seed}" for seed in found["sizes"]["seeds"]]
    return markdown(["method", *seeds, "ms per step"], rows)


def what_was_run() -> str:
    """List the kept folders: suites, sizes, hours of training."""
    rows = []
    for folder in sorted(path.name for path in KEPT.iterdir() if path.is_dir()):
        runs = pd.read_csv(KEPT / folder / "runs.csv")
        runs["suite"] = runs["task"].str.partition("-")[0]
        for suite, found in runs.groupby("suite"):
            together = found.drop_duplicates(["task", "method", "wall_seconds"])
            rows.append(
                [
                    f"`{folder}`",
                    suite,
                    found["task"].nunique(),
                    found["method"].nunique(),
                    found["seed"].nunique(),
                    f"{found['num_gradient_steps'].max():,}",
                    f"{together['wall_seconds'].sum() / 3600:.1f}",
                ]
            )
    header = ["suite", "tasks", "methods", "seeds", "gradient steps", "hours"]
    return markdown(["kept folder", *header], rows)


def speed() -> str:
    """Show the gradient step on two processors, from the benchmarks."""
    files = {
        "faster machine": "gradient_steps.json",
        "slower machine": "gradient_steps_avx2.json",
    }
    found = {
        name: json.loads((BENCHMARKS / file).read_text())["summary"]
        for name, file in files.items()
    }
    lines = {
        "plain PyTorch step, ms": ("plain step, ms", ".0f"),
        "times as fast here": ("times as fast as the plain step", ".1f"),
        "without the C kernels": ("times as fast, without the C kernels", ".1f"),
        "core-hours of Diffusion-QL in Table 1": (HOURS, ",.0f"),
    }
    rows = [
        [name, *(format(summary[key], form) for summary in found.values())]
        for name, (key, form) in lines.items()
    ]
    return markdown(["two cores, AMD EPYC", *found], rows)


def interaction() -> str:
    """Show what fresh interaction adds to the updates that it feeds."""
    found = json.loads((BENCHMARKS / "interaction.json").read_text())["methods"]
    rows = []
    for method in sorted(found, key=label):
        row = found[method]
        times = row["milliseconds_alone"], row["milliseconds_together"]
        cost = [f"{value:.1f}" for value in times]
        rows.append([label(method), *cost, f"{row['ratio']:.2f}"])
    header = ["ms of processor time", "an update", "with an environment step", "times"]
    return markdown(header, rows)


TABLES: dict[str, Callable[[], str]] = {
    "bandit-short": bandit_tables.bandit_short,
    "bandit-quick": bandit_tables.bandit_quick,
    "bandit-paper": bandit_tables.bandit_paper,
    "bandit-released": bandit_tables.bandit_released,
    "bandit-n": bandit_tables.bandit_denoising,
    "bandit-eta": bandit_tables.bandit_eta,
    "bandit-claims": claim_tables.bandit,
    "claims": claim_tables.counts,
    "local-quick": partial(every_selection, "quick"),
    "local-ablations": partial(every_selection, "ablations"),
    "local-methods": partial(two_tasks, "methods"),
    "local-longer": partial(every_selection, "longer"),
    "action-modes": action_modes,
    "evidence-modes": mode_tables.evidence,
    "ways": mode_tables.ways,
    "recorded": recorded,
    "online": online_tables.continued,
    "noise": noise_tables.varied,
    "noise-last": noise_tables.varied_last,
    "remade-data": remade_tables.nearness,
    "remade-mazes": remade_tables.mazes,
    "remade-scores": remade_tables.scores,
    "remade-stability": remade_tables.stability,
    "what-was-run": what_was_run,
    "speed": speed,
    "interaction": interaction,
    "policies-runners": environment_tables.runners,
    "policies-ants": environment_tables.ants_and_pens,
    "policies-own": environment_tables.own,
    "policies-within": environment_tables.within,
}


def filled(text: str) -> str:
    """Return a page with every table made anew; an unknown table raises KeyError."""
    return BLOCK.sub(lambda found: found[1] + TABLES[found[2]]() + found[4], text)


def main() -> None:
    """Rewrite the pages whose tables differ."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if (made := filled(text)) != text:
            page.write_text(made, encoding="utf-8")
            print(f"wrote {page.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
