"""The log of a campaign: what is finished, where and with what code, what comes next.

A campaign is a scale with stages: its runs take days, and machines in turn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dql import paths
from dql.config.online import is_online, offline_method
from dql.config.project import Project, RunKey, load_project
from dql.config.scale_schema import Stage
from dql.errors import UserError
from dql.results.files import UnusableRunError, read_csv, read_json
from dql.results.fingerprint import code_of_run
from dql.results.run_archives import finished_runs
from dql.results.runs import config_differences

NUM_NEXT = 8
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Finished:
    """A finished run as its files tell."""

    processor: str
    code: str
    seconds: float
    date: str
    difference: str
    is_current_code: bool


def find_campaign(root: Path) -> Project | None:
    """Return the scale of the runs below `root` if it has stages, else None."""
    for directory in finished_runs(root).values():
        scale = read_json(directory / paths.CONFIG_FILE)["scale"]
        try:
            project = load_project(scale=scale)
        except UserError:
            continue  # a scale that is no more
        if any(suite.stages for suite in project.scale.suites.values()):
            return project
    return None


def stages_of(project: Project) -> list[Stage]:
    """Return the stages of a campaign's suites, in order."""
    return [stage for suite in project.scale.suites.values() for stage in suite.stages]


def runs_to_go_on(project: Project, finished: Collection[RunKey]) -> set[RunKey]:
    """Return the finished runs whose online continuation still wants their checkpoint.

    Archives have none: where such a run was restored, its continuation could not start.
    """
    waiting = [run for run in project.runs() if run not in finished]
    return {
        run._replace(method=offline_method(run.method))
        for run in waiting
        if is_online(run.method)
    } & set(finished)


def campaign_log(project: Project, root: Path, waiting: Collection[RunKey] = ()) -> str:
    """Return the log of a campaign in Markdown; `waiting` runs are not archived yet."""
    finished = {
        run: _describe(project, run, directory)
        for run, directory in finished_runs(root).items()
    }
    runs = list(dict.fromkeys(r for s in stages_of(project) for r in _runs(s)))
    done = [run for run in runs if run in finished]
    scale = project.config.scale
    hours = sum(one.seconds for one in finished.values()) / SECONDS_PER_HOUR
    lines = [
        f"# Campaign `{scale}`",
        "",
        f"{project.scale.description.strip()}",
        "",
        f"{len(done)} of {len(runs)} runs are finished, {hours:.1f} hours of training. "
        f"`runs/` holds what each left but its checkpoint; `make {scale}` puts that "
        "back on any machine, goes on with the rest, and writes this file.",
        "",
        *_not_archived(waiting),
        *_table(("stage", "tasks", "methods", "seeds", "finished"),
                _stage_rows(project, finished)),
        "",
        "## Made on",
        "",
        *_table(("processor", "code of training", "runs", "hours", "last finished"),
                _maker_rows(finished.values())),
        "",
        "A code marked * is not today's: these runs stand as the evidence they are.",
        "",
        *_foreign(finished),
        "## Next",
        "",
        *_next(runs, finished, root),
    ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


def _not_archived(waiting: Collection[RunKey]) -> list[str]:
    """Name the finished runs that are no archive yet."""
    if not waiting:
        return []
    names = "; ".join(f"{run.task}, {run.method}, seed {run.seed}"
                      for run in sorted(waiting))  # fmt: skip
    return [f"Not in it yet, for they go on online first: {names}.", ""]


def _runs(stage: Stage) -> list[RunKey]:
    return [RunKey(*run) for run in stage.runs()]


def _describe(project: Project, run: RunKey, directory: Path) -> Finished:
    """Read how a run was made, and whether the configuration would make it today."""
    made = read_json(directory / paths.PROVENANCE_FILE)
    config = read_json(directory / paths.CONFIG_FILE)
    try:
        wanted = project.run_config(*run)
        differences = config_differences(config, wanted.model_dump(mode="json"))
        code = code_of_run(wanted.model_dump(mode="json"))
    except UserError as error:
        differences, code = [str(error)], ""
    on_gpu = made["device"] != "cpu"
    return Finished(
        made["device"] if on_gpu else f"{made['machine']['processor']}, one core",
        made["code_fingerprint"],
        made["wall_seconds"],
        made["finished_at"],
        "; ".join(differences[:3]),
        made["code_fingerprint"] == code,
    )


def _stage_rows(
    project: Project, finished: Mapping[RunKey, Finished]
) -> Iterator[tuple[Any, ...]]:
    for number, stage in enumerate(stages_of(project), start=1):
        runs = _runs(stage)
        yield (
            number,
            ", ".join(stage.tasks),
            ", ".join(stage.methods),
            ", ".join(map(str, stage.seeds)),
            f"{sum(run in finished for run in runs)} of {len(runs)}",
        )


def _maker_rows(finished: Iterable[Finished]) -> Iterator[tuple[Any, ...]]:
    """Yield a row per processor and code, the agents' codes under one processor."""
    groups: dict[tuple[str, str], list[Finished]] = defaultdict(list)
    for one in finished:
        mark = "" if one.is_current_code else " *"
        groups[one.processor, f"`{one.code}`{mark}"].append(one)
    for (processor, code), group in sorted(groups.items()):
        hours = sum(one.seconds for one in group) / SECONDS_PER_HOUR
        last = max(one.date for one in group)
        yield processor, code, len(group), f"{hours:.1f}", last


def _foreign(finished: Mapping[RunKey, Finished]) -> list[str]:
    """List the kept runs that the configuration describes otherwise today."""
    found = [
        f"- {run.task}, {run.method}, seed {run.seed}: {one.difference}"
        for run, one in finished.items()
        if one.difference
    ]
    if not found:
        return []
    text = (
        "Kept, but not the runs that the configuration describes today, and so in no "
        "table. To train one anew, remove its archive and its folder below the "
        "campaign's results/runs."
    )
    return ["## Of another configuration", "", text, "", *found, ""]


def _next(
    runs: Sequence[RunKey], finished: Mapping[RunKey, Finished], root: Path
) -> list[str]:
    """List the first unfinished runs, how far they are, and what is left to do."""
    waiting = [run for run in runs if run not in finished]
    if not waiting:
        return ["Nothing: every run is finished."]
    lines = []
    for number, run in enumerate(waiting[:NUM_NEXT], start=1):
        step = _last_step(paths.run_directory(*run, root=root / paths.RUNS))
        reached = f", at step {step:,}" if step else ""
        lines.append(f"{number}. {run.task}, {run.method}, seed {run.seed}{reached}")
    known = _mean_seconds(finished)
    hours = sum(known.get(run.method, 0.0) for run in waiting) / SECONDS_PER_HOUR
    unknown = {run.method for run in waiting} - known.keys()
    text = f"{len(waiting)} runs to go; as measured so far, about {hours:.0f} hours"
    if unknown:
        text += f" without those of {', '.join(sorted(unknown))}, not yet measured"
    return [*lines, "", f"{text}."]


def _last_step(directory: Path) -> int:
    """Return the last step that an unfinished run has recorded, 0 without one."""
    try:
        steps = read_csv(directory / paths.METRICS_FILE)["gradient_step"]
    except (UnusableRunError, KeyError):
        return 0
    return int(steps.max()) if len(steps) else 0


def _mean_seconds(finished: Mapping[RunKey, Finished]) -> dict[str, float]:
    """Return the mean seconds of a finished run, by method."""
    rows = [(run.method, one.seconds) for run, one in finished.items()]
    table = pd.DataFrame(rows, columns=["method", "seconds"])
    return table.groupby("method")["seconds"].mean().to_dict()


def _table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield f"| {' | '.join(names)} |"
    yield "|---" * len(names) + "|"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"
