"""A finished run in one small file: all that it left but its checkpoint.

A zip whose bytes depend on the run's files alone, so that Git sees no change where
there is none.
"""

from __future__ import annotations

import io
import json
import logging
import shlex
import shutil
import zipfile
from collections.abc import Collection
from pathlib import Path

from dql import paths
from dql.config.project import RunKey
from dql.errors import UserError
from dql.files import write_bytes, write_json
from dql.results.files import UnusableRunError, check_digest, read_json

logger = logging.getLogger(__name__)

ARCHIVES = "runs"
"""Folder of the archives in a kept folder."""
EPOCH = (1980, 1, 1, 0, 0, 0)
PERMISSIONS = 0o644 << 16
REQUIRED = (paths.CONFIG_FILE, paths.EVALUATIONS_FILE, paths.PROVENANCE_FILE)


def archive_file(kept: Path, run: RunKey) -> Path:
    """Return where a kept folder has the archive of a run."""
    folder = paths.run_directory(*run, root=kept / ARCHIVES)
    return folder.with_name(f"{folder.name}.zip")


def archived_runs(kept: Path) -> dict[RunKey, Path]:
    """Return the archives of a kept folder by their runs; others' names raise."""
    found = {}
    for path in sorted((kept / ARCHIVES).glob("*/*/*.zip")):
        task, method, name = path.relative_to(kept / ARCHIVES).with_suffix("").parts
        if not name.removeprefix("seed").isdigit():
            raise UserError(
                f"{path}: an archive is named seedS.zip; rename or remove it"
            )
        found[RunKey(task, method, int(name.removeprefix("seed")))] = path
    return found


def run_files(directory: Path) -> dict[str, bytes]:
    """Read what a finished run left; files that it did not write so raise."""
    names = [
        path.name
        for path in sorted(directory.iterdir())
        if path.is_file() and not path.name.startswith(".")
    ]
    for name in names:
        check_digest(directory / name)
    return {
        name: (directory / name).read_bytes()
        for name in names
        if name != paths.RESTORED_FILE
    }


def pack(files: dict[str, bytes]) -> bytes:
    """Return the archive of files, the same bytes for the same files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, PERMISSIONS
            file.writestr(entry, data, compresslevel=9)
    return content.getvalue()


def unpack(archive: Path, run: RunKey) -> dict[str, bytes]:
    """Return the files of an archive; one that is damaged or another run's raises."""
    try:
        with zipfile.ZipFile(archive) as file:
            files = {name: file.read(name) for name in file.namelist()}
        config = json.loads(files[paths.CONFIG_FILE])
        found = RunKey(*(config[key] for key in RunKey._fields))
        missing = [name for name in REQUIRED if name not in files]
        foreign = [name for name in files if Path(name).name != name]
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"{archive} is damaged ({error}); bring it back: {_checkout(archive)}"
        ) from None
    if missing or foreign or found != run:
        fault = f"lacks {missing[0]}" if missing else f"holds {found}, {foreign}"
        raise UserError(
            f"{archive} {fault}; it is no archive of {run.task}, {run.method}, seed "
            f"{run.seed}: {_checkout(archive)}"
        )
    return files


def write_run(directory: Path, files: dict[str, bytes], name: str) -> None:
    """Write a restored run's files, provenance last: it marks a finished run.

    A checkpoint of an unfinished run there is not the restored one's, and goes.
    """
    shutil.rmtree(directory / paths.CHECKPOINT_FOLDER, ignore_errors=True)
    last = files[paths.PROVENANCE_FILE]
    for file, data in files.items():
        if file != paths.PROVENANCE_FILE:
            write_bytes(directory / file, data)
    mark_restored(directory, name)
    write_bytes(directory / paths.PROVENANCE_FILE, last)


def mark_restored(directory: Path, name: str) -> None:
    """Let no rule make a run again that is kept in the folder `name`."""
    write_json(directory / paths.RESTORED_FILE, {"kept": name})


def keep_runs(
    root: Path, previous: Path, target: Path, *, but: Collection[RunKey] = ()
) -> None:
    """Archive the finished runs of `root` into `target`, from `previous` if unchanged.

    A run whose files are not as it wrote them stays as it was kept, or is left out.
    """
    before = archived_runs(previous)
    for run, directory in finished_runs(root).items():
        if run in but:
            continue
        archive = archive_file(target, run)
        old = before.get(run)
        try:
            files = run_files(directory)
        except UnusableRunError as error:
            logger.warning("not kept anew: %s", error)
            if old is None:
                continue
            files = unpack(old, run)
        unchanged = old is not None and unpack(old, run) == files
        write_bytes(archive, old.read_bytes() if unchanged else pack(files))


def finished_runs(root: Path) -> dict[RunKey, Path]:
    """Return the folders of the finished runs below `root`."""
    found = {}
    for path in sorted((root / paths.RUNS).glob(f"*/*/seed*/{paths.PROVENANCE_FILE}")):
        config = read_json(path.parent / paths.CONFIG_FILE)
        run = RunKey(config["task"], config["method"], config["seed"])
        found[run] = path.parent
    return found


def _checkout(archive: Path) -> str:
    return f"git checkout {shlex.quote(str(archive))}"
