"""Compile the C kernels with the machine's own compiler, at first use.

The library is cached per source, flags and processor. Without a compiler the callers
keep to PyTorch's operations: same results to rounding, more passes over memory.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
SOURCES = tuple(FOLDER / name for name in ("adam.c", "chain.c", "mish.c", "mlp.c"))
HEADERS = tuple(FOLDER / name for name in ("activation.h", "panels.h"))
# Finite math more than halves the cost of Mish; where a NaN must survive, the sources
# see to it. Full -ffast-math would break the rounding trick of the exponential.
FLAGS = (
    "-O3 -march=native -ffp-contract=fast -fno-math-errno -fno-trapping-math"
    " -fno-signed-zeros -ffinite-math-only -mprefer-vector-width=512 -shared -fPIC"
)

logger = logging.getLogger(__name__)


def cache_directory() -> Path:
    """Return where compiled kernels live, `$XDG_CACHE_HOME/dql` or `~/.cache/dql`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dql"


def flags() -> list[str]:
    """Return the compiler's flags; the vector width is a matter of x86 alone."""
    is_x86 = platform.machine() in ("x86_64", "AMD64")
    return [f for f in FLAGS.split() if is_x86 or "vector-width" not in f]


def _processor() -> str:
    """Describe the processor, as `-march=native` sees it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return "".join(sorted({x for x in lines if x[:5] in ("flags", "model")}))
    except OSError:
        return platform.processor()


def compile_library(directory: Path) -> Path:
    """Compile the kernels into a directory unless they are there; return the file."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise FileNotFoundError("no C compiler (cc) on the PATH")
    texts = [path.read_text(encoding="utf-8") for path in (*SOURCES, *HEADERS)]
    key = "".join([*texts, *flags(), _processor()])
    library = directory / f"kernels-{hashlib.sha256(key.encode()).hexdigest()[:16]}.so"
    if library.exists():
        return library
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        built = Path(scratch) / library.name
        command = [compiler, *flags(), *map(str, SOURCES), "-lm", "-o", str(built)]
        subprocess.run(command, check=True, capture_output=True, text=True)
        built.replace(library)
    return library


@cache
def library() -> ctypes.CDLL | None:
    """Load the kernels, or say once why PyTorch's operations serve instead."""
    if os.environ.get("DQL_KERNELS") == "off":
        return None
    try:
        loaded = ctypes.CDLL(str(compile_library(cache_directory())))
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        logger.warning("C kernels unavailable, using PyTorch's: %s", reason)
        return None
    pointer, size = ctypes.c_void_p, ctypes.c_int64
    loaded.mish_forward.argtypes = [pointer] * 5 + [size] * 3
    loaded.mish_backward.argtypes = [pointer] * 4 + [size] * 3
    loaded.adam_step.argtypes, loaded.adam_step.restype = [pointer], None
    for name in ("chain", "mlp"):
        forward, backward = loaded[f"{name}_forward"], loaded[f"{name}_backward"]
        forward.argtypes, backward.argtypes = [pointer], [pointer, pointer]
        forward.restype = backward.restype = None
        for what in ("tape", "workspace"):
            function = loaded[f"{name}_{what}_size"]
            function.argtypes, function.restype = [pointer], size
    return loaded
