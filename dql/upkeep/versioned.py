"""What git tracks and DVC holds of this folder; DVC's own library says the latter."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as LateError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dql.errors import UserError

REMOTE_SECONDS = 5.0


@dataclass(frozen=True)
class Remote:
    """Where `dvc push` copies to."""

    name: str
    url: str
    database: Any

    def unusable(self) -> str:
        """Return why nothing can be pushed there; an empty text if it can."""
        if self.database.fs.protocol == "local":
            folder = Path(self.url)
            while not folder.exists():  # DVC makes the missing folders
                folder = folder.parent
            writable = folder.is_dir() and os.access(folder, os.W_OK)
            return "" if writable else f"{folder} is not a writable folder"
        pool = ThreadPoolExecutor(max_workers=1)
        try:
            asked = pool.submit(self.database.fs.exists, self.database.path)
            asked.result(timeout=REMOTE_SECONDS)
        except LateError:
            return f"no answer in {REMOTE_SECONDS:.0f} seconds"
        except Exception as error:  # each kind of remote has its own
            return str(error) or type(error).__name__
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return ""


def tracked_files() -> frozenset[Path]:
    """Return the files of the working directory that git tracks, absolute.

    Inside a repository that git does not list, nobody knows what is kept: an error.
    """
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True)
    except OSError as error:
        reason = f"git does not start: {error.strerror}"
    else:
        if listed.returncode == 0:
            names = map(os.fsdecode, listed.stdout.split(b"\0"))
            return frozenset(Path(name).absolute() for name in names if name)
        reason = os.fsdecode(listed.stderr).strip() or f"git: {listed.returncode}"
    if not is_in_repository():
        return frozenset()
    raise UserError(
        "Nothing is deleted: git does not say which files it keeps here, and they must "
        f"stay. `git ls-files` has to work first; now: {reason}"
    )


def is_in_repository() -> bool:
    """Tell without git whether the working directory belongs to a repository."""
    here = Path().absolute()
    folders = (here, *here.parents)
    return "GIT_DIR" in os.environ or any(
        os.path.lexists(folder / ".git") for folder in folders
    )


def default_remote(root: Path = Path()) -> Remote | None:
    """Return DVC's default remote, None without one."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        name = repo.config["core"].get("remote")
        if not name:
            return None
        database = repo.cloud.get_remote_odb(name, hash_name="md5")
        return Remote(name, repo.config["remote"][name]["url"], database)


def held_twice(root: Path = Path()) -> dict[Path, str]:
    """Return the files, absolute, whose recorded md5 is in the cache and the remote.

    Without a DVC project or a remote there are none. Whether a file still has this
    content is another question: see `has_md5`.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            recorded = dict(_recorded(repo))
            if not recorded or not repo.config["core"].get("remote"):
                return {}
            remote = repo.cloud.get_remote_odb(hash_name="md5")
            cached = _existing(repo.cache.local, recorded.values())
            both = cached & _existing(remote, cached)
    except DvcException:
        return {}
    return {path: md5 for path, md5 in recorded.items() if md5 in both}


def has_md5(path: Path, md5: str) -> bool:
    """Tell whether a file's content is the one with this md5."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() == md5


def _recorded(repo: Any) -> Iterable[tuple[Path, str]]:
    """Yield every file of every output with its md5, as dvc.lock and *.dvc say."""
    for out in repo.index.outs:
        content = out.get_obj() if out.hash_info else None
        if content is None:
            continue
        path = Path(out.fs_path)
        if out.hash_info.isdir:
            for key, (_, hash_info) in content.iteritems():
                yield path.joinpath(*key), hash_info.value
        else:
            yield path, out.hash_info.value


def _existing(database: Any, md5s: Iterable[str]) -> set[str]:
    return set(database.oids_exist(sorted(set(md5s))))
