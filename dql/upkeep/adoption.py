"""Snakemake's records of how each file was made, carried from one checkout to another.

DVC brings the files of a commit back, but with the dates of the download and without
`.snakemake/metadata`: Snakemake would make them again, and could not see a changed
parameter in what it kept. `snakemake.lock` stands beside `dvc.lock` in git: a line for
each job with its outputs, their md5 and the record.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dql.errors import UserError
from dql.files import write_bytes

METADATA = Path(".snakemake") / "metadata"
LOCK = Path("snakemake.lock")
OF_ONE_OUTPUT = ("starttime", "endtime")
"""What differs between the records of a job's outputs."""
MAX_NAME = 255
"""Longest file name that is tried; where less is allowed, Snakemake splits as well."""


@dataclass(frozen=True)
class Adopted:
    """How many outputs got their record, and which did not because of their content."""

    num_outputs: int
    absent: list[str]
    different: list[str]


def record(root: Path = Path()) -> int:
    """Write `snakemake.lock` from Snakemake's records; return the number of jobs."""
    jobs: dict[str, dict[str, Any]] = {}
    for output, stored in _stored_records(root):
        own = {name: stored.pop(name) for name in OF_ONE_OUTPUT}
        job = jobs.setdefault(
            json.dumps(stored, sort_keys=True), {"outputs": {}, **stored}
        )
        job["outputs"][output] = {"md5": _md5(root / output), **own}
    lines = sorted(json.dumps(job) for job in jobs.values())
    write_bytes(root / LOCK, "".join(f"{line}\n" for line in lines).encode())
    return len(lines)


def adopt(root: Path = Path()) -> Adopted:
    """Give Snakemake the records of the outputs that are here, unless it has its own.

    An output whose content is not the recorded one gets none. The rest get the date at
    which they were made, which orders them as the jobs were.
    """
    path = root / LOCK
    if not path.is_file():
        raise UserError(
            f"{path} is missing; write it where the results are: dql record"
        )
    adopted, absent, different = 0, [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        job = json.loads(line)
        for output, own in job.pop("outputs").items():
            file = root / output
            if not file.is_file():
                absent.append(output)
            elif _record_file(root, output).is_file():
                continue
            elif _md5(file) != own.pop("md5"):
                different.append(output)
            else:
                _date(file, own["endtime"])
                content = json.dumps({**job, **own}).encode()
                write_bytes(_record_file(root, output), content)
                adopted += 1
    return Adopted(adopted, absent, different)


def _stored_records(root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the finished outputs that are here with Snakemake's records of them."""
    folder = root / METADATA
    for file in sorted(folder.rglob("*")):
        if not file.is_file():
            continue
        parts = file.relative_to(folder).parts
        encoded = "".join(part.removeprefix("@") for part in parts)
        output = base64.urlsafe_b64decode(encoded).decode()
        stored = json.loads(file.read_text(encoding="utf-8"))
        if (root / output).is_file() and not stored.get("incomplete"):
            yield output, stored


def _record_file(root: Path, output: str) -> Path:
    """Return where Snakemake looks for the record of an output, by its name."""
    encoded = base64.urlsafe_b64encode(output.encode()).decode()
    size = MAX_NAME - 1
    parts = [encoded[i : i + size] for i in range(0, len(encoded), size)]
    return (root / METADATA).joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])


def _date(file: Path, seconds: float) -> None:
    """Set a file's date, unless DVC linked it: then it is the cache's file, too."""
    if not file.is_symlink() and file.stat().st_nlink == 1:
        os.utime(file, (seconds, seconds))


def _md5(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "md5").hexdigest()
