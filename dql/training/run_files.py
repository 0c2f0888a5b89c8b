"""The files of a run's folder, each written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from dql import paths
from dql.config.schema import RunConfig
from dql.files import file_sha256, remove, write_bytes, write_json
from dql.results import provenance
from dql.training.checkpoint import checkpoint_file, first_difference
from dql.training.records import Records

EVALUATION_COLUMNS = ("gradient_step", "episode", "episode_return", "episode_length")


def write_start(directory: Path, config: RunConfig) -> None:
    """Write the configuration, and take away what an earlier run had finished."""
    remove(directory / paths.PROVENANCE_FILE)
    write_json(directory / paths.CONFIG_FILE, config.model_dump(mode="json"))


def write_records(directory: Path, config: RunConfig, records: Records) -> None:
    """Write metrics, evaluations and, on the bandit, the last samples as CSV."""
    names = {name: None for row in records.metrics for name in row}
    rows = [[row.get(name, "") for name in names] for row in records.metrics]
    _write_csv(directory / paths.METRICS_FILE, list(names), rows)
    _write_csv(
        directory / paths.EVALUATIONS_FILE, EVALUATION_COLUMNS, records.evaluations
    )
    if config.suite == "bandit":
        dims = len(records.samples[0]) - 1 if records.samples else 0
        columns = [*(f"action_{index}" for index in range(dims)), "reward"]
        _write_csv(directory / paths.SAMPLES_FILE, columns, records.samples)


def how_made(device: torch.device) -> dict[str, Any]:
    """Return what this process makes steps with: versions, machine and device."""
    is_cuda = device.type == "cuda"
    return {
        "versions": provenance.versions(),
        "machine": provenance.machine(),
        "device": torch.cuda.get_device_name(device) if is_cuda else "cpu",
    }


def write_finished(
    directory: Path,
    config: RunConfig,
    records: Records,
    *,
    num_steps: int,
    identity: dict[str, Any],
    reference_scores: dict[str, Any] | None,
    diverged: dict[str, Any] | None,
) -> None:
    """Write the provenance, the mark of a finished run, after `num_steps` steps.

    It tells of the processes that took them, which this one need not be.
    """
    *earlier, last = records.sessions
    content = {
        "code_fingerprint": identity["code"],
        "dataset": {
            "task": config.task,
            "digest": identity["dataset"],
            "reference_scores": reference_scores,
        },
        **last,
        "earlier_sessions": earlier,
        **({"start": identity["start"]} if "start" in identity else {}),
        "physics": config.environment.physics,
        "num_gradient_steps": num_steps,
        "wall_seconds": records.wall_seconds,
        "training_seconds": records.training_seconds,
        "gpu_seconds": records.gpu_seconds,
        "steps_per_second": num_steps / max(records.training_seconds, 1e-9),
        "peak_memory_bytes": records.peak_memory_bytes,
        "finished_at": records.saved_at,
        "diverged": diverged,
        "files": {
            name: file_sha256(directory / name) for name in run_file_names(config)
        },
    }
    write_json(directory / paths.PROVENANCE_FILE, content)


def run_file_names(config: RunConfig) -> list[str]:
    """List the files of a finished run besides provenance and checkpoint."""
    names = [paths.CONFIG_FILE, paths.METRICS_FILE, paths.EVALUATIONS_FILE]
    return names + ([paths.SAMPLES_FILE] if config.suite == "bandit" else [])


def is_finished(directory: Path, config: RunConfig, identity: dict[str, Any]) -> bool:
    """Tell whether the folder holds this very run, finished, with all its files.

    A file that is not as the run wrote it is written again, from the checkpoint. What
    an online continuation went on from is compared where the identity names it.
    """
    try:
        stored = json.loads((directory / paths.PROVENANCE_FILE).read_text("utf-8"))
        stored_config = json.loads((directory / paths.CONFIG_FILE).read_text("utf-8"))
        found = [
            stored_config,
            stored["code_fingerprint"],
            stored["dataset"]["digest"],
            stored.get("start"),
            {name: file_sha256(directory / name) for name in stored["files"]},
        ]
        diverged, digests = stored["diverged"], stored["files"]
    except (ValueError, KeyError, TypeError, RecursionError, FileNotFoundError):
        return False
    if not diverged and not checkpoint_file(directory).exists():
        return False
    wanted = [
        config.model_dump(mode="json"),
        identity["code"],
        identity["dataset"],
        identity.get("start", stored.get("start")),
        digests,
    ]
    return first_difference(dict(enumerate(wanted)), dict(enumerate(found))) is None


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())
