"""Read files of results; whatever is wrong with one is named.

Nothing here knows what the numbers mean, and a broken file is a `UnusableRunError`, so
that who aggregates can leave the run out and repeat the sentence.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dql import paths
from dql.errors import UserError
from dql.files import file_sha256


class UnusableRunError(UserError):
    """A stored run that cannot be read; the message names the file and the fault."""


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object; a missing or broken file is named."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnusableRunError(f"{path}: no such file") from None
    except OSError as error:
        raise UnusableRunError(f"{path}: unreadable ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise UnusableRunError(f"{path}: not JSON ({error})") from None
    if not isinstance(content, dict):
        raise UnusableRunError(f"{path}: not a JSON object")
    return content


def read_csv(path: Path, **options: Any) -> pd.DataFrame:
    """Return a CSV table; a missing or broken file is named."""
    try:
        return pd.read_csv(path, **options)
    except FileNotFoundError:
        raise UnusableRunError(f"{path}: no such file") from None
    except OSError as error:
        raise UnusableRunError(f"{path}: unreadable ({error.strerror})") from None
    except (ValueError, OverflowError) as error:  # pandas' own errors are ValueErrors
        raise UnusableRunError(f"{path}: not a CSV table ({error})") from None


def numbers_of(table: pd.DataFrame, name: str, path: Path) -> np.ndarray:
    """Return a column of numbers; anything else in it raises."""
    values = table[name].to_numpy()
    if values.dtype.kind not in "iuf":
        if len(values):
            raise UnusableRunError(f"{path}: column {name} holds more than numbers")
        return np.empty(0)
    return values


def check_digest(path: Path) -> None:
    """Raise when a run's file is not the one that its provenance was written for."""
    provenance = path.parent / paths.PROVENANCE_FILE
    if not (provenance.is_file() and path.is_file()):
        return
    known = read_json(provenance).get("files")
    expected = known.get(path.name) if isinstance(known, dict) else None
    if expected not in (None, found := file_sha256(path)):
        raise UnusableRunError(
            f"{path}: changed since the run wrote it (sha256 {found[:12]}, recorded "
            f"{str(expected)[:12]}); train the run again, which restores it"
        )


def has_diverged(run_directory: Path) -> bool:
    """Return whether the run's provenance records a divergence."""
    path = run_directory / paths.PROVENANCE_FILE
    return path.is_file() and bool(read_json(path).get("diverged"))
