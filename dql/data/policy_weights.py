"""Published policies' weights: found in a folder or fetched, checked, kept as arrays.

`workflow/published/policy_weights.csv` lists them, with where each is published and the
digest of its arrays. None comes with the source. A file is read as arrays only: NumPy's
without objects, PyTorch's with `weights_only`. Pickles can run code and are not read.
"""

from __future__ import annotations

import hashlib
import logging
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from dql import paths
from dql.data.sources import NoSourceError, PublishedFile, named_folder, serve
from dql.errors import UserError, nearest
from dql.files import file_sha256, locked, write_bytes
from dql.results.published import read_rows

logger = logging.getLogger(__name__)

FOLDER_VARIABLE = "DQL_POLICY_DIR"
"""Names a folder that is looked through before anything is fetched."""
REMADE_LICENCE = (
    "made by this workflow from published policies; not to be passed on as D4RL's"
)
SUFFIXES = (".safetensors", ".npz", ".pth")
PICKLE = ".pkl"
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class PublishedWeights:
    """A line of the list; `sha256` is of the published file, where it is known."""

    name: str
    kind: str
    """action_model, state_model, sac_policy, dapg_policy or goal_policy."""
    environment: str
    """Where it was trained; `antmaze` is every maze."""
    url: str
    sha256: str | None
    num_bytes: int | None
    arrays_sha256: str
    licence: str
    source: str

    @property
    def stored(self) -> Path:
        """Return where the arrays are kept, in the form all kinds share."""
        return paths.POLICIES / f"{self.name}.safetensors"

    @property
    def file_name(self) -> str:
        """Return the name of the published file beside others of its kind."""
        return self.name + Path(self.url).suffix


@cache
def catalogue() -> Mapping[str, PublishedWeights]:
    """Return every published policy that this project can use, by name."""
    rows = read_rows(paths.PUBLISHED / "policy_weights.csv")
    return {
        row["name"]: PublishedWeights(
            **{
                **row,
                "sha256": row["sha256"] or None,
                "num_bytes": int(row["num_bytes"]) if row["num_bytes"] else None,
            }
        )
        for row in rows
    }


def published_weights(name: str) -> PublishedWeights:
    """Return a policy's line of the list; an unknown name raises."""
    if name not in catalogue():
        raise UserError(f"unknown policy '{name}'{nearest(name, catalogue())}")
    return catalogue()[name]


def load_weights(name: str) -> Arrays:
    """Return the arrays of a policy that `store_weights` left here."""
    entry = published_weights(name)
    if not entry.stored.is_file():
        raise UserError(
            f"the weights of '{name}' are not here ({entry.stored} is missing); get "
            f"them with: dql data policies {name}"
        )
    return _checked(entry, entry.stored)


def store_weights(name: str, folder: Path | None = None) -> Path:
    """Bring a policy's arrays to results/policies, unless they are there already.

    They come from `folder`, or the one that DQL_POLICY_DIR names, or else from where
    they are published.
    """
    entry = published_weights(name)
    with locked(entry.stored):
        if not entry.stored.is_file():
            found = _local_file(entry, folder) or _fetched(entry)
            arrays = _checked(entry, found)
            metadata = {"name": name, "url": entry.url, "licence": entry.licence}
            write_bytes(entry.stored, safetensors.numpy.save(arrays, metadata))
            logger.info("%s: from %s", name, found)
    return entry.stored


def read_arrays(path: Path) -> Arrays:
    """Return the floating-point arrays of a file; other contents raise, named."""
    try:
        content = _read(path)
        if not isinstance(content, Mapping):
            raise ValueError(f"a {type(content).__name__}, not named arrays")
        arrays = {
            str(key).replace("/", "."): np.asarray(value)
            for key, value in content.items()
        }
        objects = [key for key, value in arrays.items() if value.dtype.hasobject]
        if objects:
            raise ValueError(f"'{objects[0]}' is no array of numbers")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error})") from None
    except (
        ValueError,
        TypeError,
        EOFError,
        LookupError,
        zipfile.BadZipFile,
        SafetensorError,
    ) as error:
        fault = str(error).partition("\n")[0]
        raise UserError(
            f"{path} holds something else than plain arrays ({fault}); it was not "
            "loaded further. Remove it, then fetch it anew: dql data policies"
        ) from None
    return {
        key: np.ascontiguousarray(value, dtype=np.float32)
        for key, value in sorted(arrays.items())
        if value.dtype.kind == "f"
    }


def arrays_digest(arrays: Arrays) -> str:
    """Return the sha256 over names, shapes and contents, whatever file they come in."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name], dtype="<f4")
        digest.update(f"{name} {list(array.shape)}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        return safetensors.numpy.load_file(path)
    if path.suffix == ".npz":
        return _read_numpy(path)
    return _read_torch(path)


def _read_numpy(path: Path) -> Any:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except ValueError:  # its text advises to load the file unsafely
        raise ValueError("NumPy finds more than arrays in it, or none") from None


def _read_torch(path: Path) -> Any:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # of many kinds; its text advises to trust the file
        name = type(error).__name__
        raise ValueError(f"PyTorch finds more than weights in it: {name}") from error


def _checked(entry: PublishedWeights, path: Path) -> Arrays:
    """Return a file's arrays if they are the published ones."""
    is_original = path.suffix == Path(entry.url).suffix
    if is_original and entry.sha256:
        _compare(entry, path, "sha256", file_sha256(path), entry.sha256)
    arrays = read_arrays(path)
    found = arrays_digest(arrays)
    _compare(entry, path, "digest of its arrays", found, entry.arrays_sha256)
    return arrays


def _compare(
    entry: PublishedWeights, path: Path, what: str, found: str, expected: str
) -> None:
    if found != expected:
        raise UserError(
            f"{path} is not the published '{entry.name}': the {what} is {found[:16]}, "
            f"expected {expected[:16]}. Remove it, then: dql data policies {entry.name}"
        )


def _local_file(entry: PublishedWeights, folder: Path | None) -> Path | None:
    """Find a policy's file by its name, or where its publisher's repository has it."""
    root = named_folder(folder, FOLDER_VARIABLE, "published policies")
    if root is None:
        return None
    by_name = (next(root.rglob(entry.name + suffix), None) for suffix in SUFFIXES)
    in_repository = root / Path(*Path(entry.url).parts[-3:])
    candidates = [path for path in (*by_name, in_repository) if path]
    readable = (p for p in candidates if p.is_file() and p.suffix in SUFFIXES)
    return next(readable, None)


def _fetched(entry: PublishedWeights) -> Path:
    if Path(entry.url).suffix == PICKLE:
        raise UserError(
            f"policy '{entry.name}' is published as a pickle ({entry.url}), which can "
            "run code and is not read here. With its arrays in an npz, which "
            "docs/environments.md says how to make, run: dql data policies "
            f"{entry.name} --from FOLDER (or set {FOLDER_VARIABLE})"
        )
    wanted = PublishedFile(entry.file_name, (entry.url,), entry.sha256, entry.num_bytes)
    kept = paths.POLICIES / "downloads" / wanted.name
    try:
        return serve(wanted, kept, lambda file: _checked(entry, file)).path
    except NoSourceError as error:
        raise UserError(
            f"policy '{entry.name}' could not be fetched:\n{error}\n"
            f"With its file in a folder, run: dql data policies {entry.name} --from "
            f"FOLDER (or set {FOLDER_VARIABLE}); data that need none: "
            "dql data generate local-pointmaze-umaze"
        ) from None
