"""One zip to archive or to send to a committee: code at the commit, results, metadata.

The same commit and results give the same bytes: files are sorted and have the commit's
time. Checkpoints, datasets and samples stay out; recipes and digests of both are in.
"""

from __future__ import annotations

import io
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from dql import paths
from dql.config.project import Project
from dql.config.yaml_text import read_yaml
from dql.errors import UserError
from dql.files import write_bytes
from dql.publication.crate import METADATA, Contents, describe
from dql.publication.origins import Commit, source_commit
from dql.tables.runs import made_with, run_rows

RUN_FILES = (
    paths.CONFIG_FILE,
    paths.METRICS_FILE,
    paths.EVALUATIONS_FILE,
    paths.PROVENANCE_FILE,
)
CITATION = "CITATION.cff"
LOCKS = ("dvc.lock", "snakemake.lock")
"""Written by `make` after the runs: those of the folder stand for the commit's."""
RESULTS = {
    "results/index.html": "All results on one page",
    "results/claims.json": "Every claim of the paper with its verdict",
    "results/claims.md": "The same as a table",
    "results/bandit/": "The 2-D bandit in numbers",
    "results/cells/": "Scores of a task and a method over seeds",
    "results/comparisons/": "Remade data beside D4RL's sets",
    "results/tables/": "The paper's tables, ours beside",
    "results/provenance/": "How every run was made",
    "results/runs/": "Configuration, metrics, episodes, provenance of every run",
    "figures/": "The figures",
}
INPUTS = {
    "workflow/config/": "What is run: scales, tasks, methods",
    "workflow/published/": "The paper's numbers with their sources",
    "workflow/claims.yaml": "The paper's claims and the rules that decide them",
}
OTHERS = {
    "README.md": "What this is, and the commands",
    "CITATION.cff": "How to cite",
    "requirements.lock": "Versions of all Python packages",
    "dvc.lock": "Versions of data and results",
    "snakemake.lock": "How Snakemake made the results",
    "dql/": "The code",
    "tests/": "The tests",
    "docs/": "Documentation",
    "results/kept/": "Results and metrics of longer runs, kept in git",
}


def write_bundle(
    project: Project, root: Path = Path(), source: Path = paths.SOURCE
) -> Path:
    """Write results/dql-VERSION-SCALE.zip below `root` and return it.

    Without results, or of a tree that differs from its commit, it raises.
    """
    runs = run_rows(root)
    if not (root / paths.PAGE).is_file() or not runs:
        missing = root / (paths.PAGE if runs else paths.RUNS)
        raise UserError(f"nothing to bundle yet: {missing} is not there; run: make")
    commit = _clean_commit(source)
    citation = read_yaml(source / CITATION)
    files = dict(_committed_files(source)) | dict(_locks(source))
    files |= dict(_result_files(root))
    contents = Contents(
        citation=citation,
        commit=commit,
        scale=project.config.scale,
        inputs=_there(INPUTS, files),
        results=_there(RESULTS, files),
        others=_there(OTHERS, files),
        versions=made_with(root)[0]["versions"],
        runs=runs,
    )
    files[METADATA] = describe(contents).encode()
    output = root / paths.bundle(citation["version"], project.config.scale)
    write_bytes(output, _zipped(files, commit))
    return output


def _clean_commit(source: Path) -> Commit:
    """Return the commit of the source tree; a tree that differs from it raises."""
    commit = source_commit(source)
    if commit is None:
        raise UserError(
            f"{source} is no git repository, so a bundle could not name its "
            "code; clone the repository, or: git init && git add -A && git commit"
        )
    differing = _git(source, "diff", "--name-only", "HEAD").decode().splitlines()
    changed = [name for name in differing if name not in LOCKS]
    if changed:
        raise UserError(
            f"{len(changed)} files differ from commit {commit.digest[:12]}, the first "
            f"is {changed[0]}; a bundle holds code at a commit: git commit, then again"
        )
    return commit


def _git(source: Path, *words: str) -> bytes:
    command = ["git", "-C", str(source), *words]
    return subprocess.run(command, capture_output=True, check=True).stdout


def _committed_files(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yield all files of the commit."""
    archive = _git(source, "archive", "--format=zip", "-0", "HEAD")
    with zipfile.ZipFile(io.BytesIO(archive)) as committed:
        for entry in committed.infolist():
            if not entry.is_dir():
                yield entry.filename, committed.read(entry)


def _locks(source: Path) -> Iterator[tuple[str, bytes]]:
    for name in LOCKS:
        if (source / name).is_file():
            yield name, (source / name).read_bytes()


def _result_files(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield what the workflow made, of runs what is small and tells how they went."""
    for place in RESULTS:
        found = [root / place] if not place.endswith("/") else (root / place).rglob("*")
        for path in found:
            hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
            of_run = (root / paths.RUNS) in path.parents
            if path.is_file() and not hidden and (not of_run or path.name in RUN_FILES):
                yield path.relative_to(root).as_posix(), path.read_bytes()


def _there(named: Mapping[str, str], files: Mapping[str, bytes]) -> dict[str, str]:
    """Return those of the files and folders that the bundle has."""
    return {
        place: name
        for place, name in named.items()
        if place in files
        or (place.endswith("/") and any(file.startswith(place) for file in files))
    }


def _zipped(files: Mapping[str, bytes], commit: Commit) -> bytes:
    """Return the zip of the files, each with the commit's time."""
    time = datetime.fromisoformat(commit.date).astimezone(UTC).timetuple()[:6]
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as bundle:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, time)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if files[name][:2] == b"#!" else 0o644) << 16
            bundle.writestr(entry, files[name])
    return content.getvalue()
