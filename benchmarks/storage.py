"""Where a benchmark's numbers go, with the machine that they are of."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from dql.files import write_json
from dql.results.provenance import machine, versions


def store(output: Path, content: Mapping[str, Any]) -> None:
    """Write what was measured, the load meanwhile, the machine and the versions."""
    made_on = {
        "load_average": os.getloadavg()[0],
        "machine": machine(),
        "versions": versions(),
    }
    write_json(output, {**content, **made_on})


def card_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the GPU's name where a row was measured on one."""
    on_gpu = any(row["device"] == "cuda" for row in rows)
    return {"gpu": torch.cuda.get_device_name()} if on_gpu else {}
