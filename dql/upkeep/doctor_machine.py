"""What `dql doctor` looks at on the machine: versions, GPUs, physics, C kernels."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator

from dql import paths
from dql.upkeep.findings import Finding, ok, problem, warning

INSTALL = "make setup"
COMMAND_SECONDS = 20


def check_python() -> Iterator[Finding]:
    """Compare the interpreter with `requires-python`."""
    wanted = _project()["requires-python"]
    version = ".".join(map(str, sys.version_info[:3]))
    lower, upper = (_numbers(part.lstrip("<>=")) for part in wanted.split(","))
    if lower <= sys.version_info[:2] < upper:
        yield ok("python", f"{version}, {sys.executable}")
    else:
        remedy = f"install a Python {wanted}, then: {INSTALL}"
        yield problem("python", f"{version}, expected {wanted}", remedy)


def check_packages() -> Iterator[Finding]:
    """Compare the installed versions of the direct dependencies with their pins."""
    missing, others = [], []
    pins = _pins()
    for name, version in pins.items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if found.partition("+")[0] != version:
            others.append(f"{name} {found} instead of {version}")
    if missing:
        yield problem("packages", f"missing: {', '.join(missing)}", INSTALL)
    if others:
        remedy = f"{INSTALL}; with other versions numbers differ by rounding or more"
        yield warning("packages", "; ".join(others), remedy)
    if not missing and not others:
        yield ok("packages", f"{len(pins)} direct dependencies, all as pinned")


def check_torch() -> Iterator[Finding]:
    """Report PyTorch, its threads and whether it sees the machine's GPUs."""
    import torch

    found = f"{torch.__version__}, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        names = [torch.cuda.get_device_name(index) for index in range(count)]
        found += f", CUDA {torch.version.cuda} on {count} x "
        yield ok("torch", found + ", ".join(sorted(set(names))))
        for index, name in enumerate(names):
            if fault := _fault_of_gpu(index):
                remedy = (
                    "free it, install a build of torch that has code for it, or leave "
                    "it out with CUDA_VISIBLE_DEVICES"
                )
                what = f"GPU {index}, {name}, cannot compute: {fault}"
                yield problem("torch", what, remedy)
    elif os.environ.get("CUDA_VISIBLE_DEVICES") != "" and _nvidia_smi("name"):
        built = torch.version.cuda or "no CUDA"
        remedy = "install a build of torch for this driver; training would use CPUs"
        yield warning("torch", f"{found}; GPUs, but a build for {built}", remedy)
    else:
        yield ok("torch", f"{found}, no GPU: training uses CPUs")


def _fault_of_gpu(index: int) -> str | None:
    """Let a GPU add two numbers; return what it says where it does not."""
    import torch

    try:
        torch.ones(1, device=f"cuda:{index}").add(1).cpu()
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return None


def check_gpus() -> Iterator[Finding]:
    """List the GPUs with their ids and memory, as the driver states them."""
    rows = _nvidia_smi("name,uuid,memory.total,memory.used")
    if not rows:
        yield ok("gpus", "none")
    for index, row in enumerate(rows):
        name, uuid, total, used = (part.strip() for part in row.split(","))
        text = f"{name}, {uuid}, {total} MiB of memory, {used} MiB in use"
        if int(used) > 0.5 * int(total):
            remedy = "another program holds the memory; nvidia-smi names it"
            yield warning(f"gpu {index}", text, remedy)
        else:
            yield ok(f"gpu {index}", text)


def check_mujoco() -> Iterator[Finding]:
    """Step a hopper once, without rendering, and check MuJoCo's version."""
    import mujoco
    import numpy as np

    from dql.config.project import load_project
    from dql.environments.batch import make_environments

    pinned = _pins()["mujoco"]
    environment = make_environments(load_project().task("hopper-medium-v2"), 1)
    environment.reset([0])
    actions = np.zeros((1, environment.action_dim))
    observations, *_ = environment.step(actions, np.ones(1, dtype=bool))
    version = mujoco.__version__
    if not np.isfinite(observations).all():
        yield problem("mujoco", f"{version}: a hopper's step is not finite", INSTALL)
    elif version != pinned:
        remedy = f"{INSTALL}; another version is another physics than D4RL's"
        yield problem("mujoco", f"{version} instead of {pinned}", remedy)
    else:
        yield ok("mujoco", f"{version}, stepped a hopper, no rendering needed")


def check_kernels() -> Iterator[Finding]:
    """Compile and load the C kernels, and say how wide their vectors are."""
    slower = "training takes some twice as long without the C kernels"
    if os.environ.get("DQL_KERNELS") == "off":
        yield warning("c kernels", "off", f"unset DQL_KERNELS; {slower}")
        return
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        remedy = f"install a C compiler (Debian: gcc); {slower}"
        yield warning("c kernels", "no C compiler", remedy)
        return
    from dql.core.kernels.build import cache_directory, library

    logger = logging.getLogger("dql.core.kernels.build")
    logger.disabled = True  # the finding says it
    try:
        built = library() is not None
    finally:
        logger.disabled = False
    if not built:
        remedy = f"make {cache_directory()} writable, or mend the compiler; {slower}"
        yield warning("c kernels", f"{compiler} did not build them", remedy)
        return
    yield ok("c kernels", f"active, {_vector_bits(compiler)}, {compiler}")


def _vector_bits(compiler: str) -> str:
    """Return the vector width the compiler chooses for this processor."""
    command = [compiler, "-march=native", "-dM", "-E", "-x", "c", os.devnull]
    macros = output_of(command)
    widths = (("__AVX512F__", 512), ("__AVX__", 256))
    bits = next((bits for macro, bits in widths if macro in macros), 128)
    return f"vectors of {bits} bits"


def _nvidia_smi(fields: str) -> list[str]:
    """Return a line per GPU; none where there is no driver."""
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    return output_of(command).splitlines()


def output_of(command: list[str]) -> str:
    """Return what a program prints, nothing if it is absent or fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _project() -> dict:
    text = (paths.SOURCE / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]


def _pins() -> dict[str, str]:
    """Return the direct dependencies' names and versions."""
    pairs = (pin.split("==") for pin in _project()["dependencies"])
    return {name.partition("[")[0]: version for name, version in pairs}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


MACHINE_CHECKS = (
    check_python,
    check_packages,
    check_torch,
    check_gpus,
    check_mujoco,
    check_kernels,
)
