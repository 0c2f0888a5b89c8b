"""What the training process asks of the operating system and of the device."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch

from dql.config.schema import Precision
from dql.errors import UserError

logger = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class StopSignals:
    """Notes a request to stop, so that the loop can write its checkpoint first."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopSignals:
        for number in STOP_SIGNALS:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)

    def stop(self, message: str) -> None:
        """Leave with the shell's exit code of the signal, 128 + its number."""
        logger.warning("%s: %s", self.received.name, message)
        sys.exit(128 + self.received)


def choose_device(name: str) -> torch.device:
    """Return the device: cpu, cuda or, for `auto`, the GPU where there is one."""
    known = ("auto", "cpu", "cuda")
    if name not in known:
        raise UserError(f"unknown device {name!r}; cuda is a GPU, and auto one or cpu")
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise UserError("no CUDA device here; use auto or cpu")
    if name == "auto" and not has_gpu:
        _say_why_no_gpu()
    return torch.device("cuda" if has_gpu and name != "cpu" else "cpu")


def set_precision(name: Precision, device: torch.device) -> None:
    """Let the GPU's products round their inputs to TF32 where that is asked.

    Left alone, PyTorch rounds those of convolutions, and lets cuDNN add up gradients in
    any order, so that a run that was stopped would end otherwise. Nothing but float32
    exists on the CPU, whose kernels are written in it.
    """
    if name != "float32" and device.type == "cpu":
        raise UserError(f"precision {name!r} needs a GPU; here use 'float32'")
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = name == "tf32"
    torch.backends.cudnn.deterministic = True


def _say_why_no_gpu() -> None:
    """Warn where a GPU is there and cannot be used; a machine without one is usual."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1", "NoDevFiles")
    if not hidden and any(Path("/dev").glob("nvidia[0-9]*")):
        logger.warning(
            "this machine has an NVIDIA GPU that PyTorch %s cannot use (nvidia-smi "
            "may say why): going on with the CPU",
            torch.__version__,
        )


@contextmanager
def readable_device_errors(num_runs: int, batch_size: int) -> Iterator[None]:
    """Turn a lack of memory or a failed GPU into a message with the remedy."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        resumes = "The next start resumes from the last checkpoint."
        if _is_out_of_memory(error):
            raise UserError(
                f"out of memory: {num_runs} runs together, batches of {batch_size} "
                f"({reason}). Train fewer seeds per job (seeds_per_job in "
                "workflow/config/scales, fewer --seed) or fewer jobs at a time "
                "(--cores, --resources gpu=N); a smaller batch_size also helps but is "
                f"another experiment. {resumes}"
            ) from error
        if "no kernel image" in str(error):
            raise UserError(
                f"PyTorch {torch.__version__} is not built for this GPU ({reason}): "
                "install a build that is (https://pytorch.org/get-started/locally), or "
                "leave the GPU out with CUDA_VISIBLE_DEVICES (empty: the CPU). "
                f"{resumes}"
            ) from error
        if _is_of_the_gpu(error):
            raise UserError(
                f"the GPU failed ({reason}). {resumes} If it fails again, leave it "
                "out with CUDA_VISIBLE_DEVICES (empty: the CPU)."
            ) from error
        raise


def _is_out_of_memory(error: Exception) -> bool:
    """Tell whether memory ran out, of the GPU, of its libraries or of the machine."""
    kinds = (MemoryError, torch.OutOfMemoryError)
    words = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
    return isinstance(error, kinds) or any(word in str(error) for word in words)


def _is_of_the_gpu(error: Exception) -> bool:
    """Tell whether the GPU failed, or a library that found it so."""
    words = ("CUDA error", "cuDNN error", "CUBLAS_STATUS")
    is_own = isinstance(error, torch.AcceleratorError)
    return is_own or any(word in str(error) for word in words)


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory for the next step.

    A step allocates and frees the same activations, some 100 kB each; returned to the
    kernel and faulted in again, they cost as much as the arithmetic. Elsewhere than
    glibc there is no `mallopt` and nothing happens.
    """
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(trim_threshold, 2**30)
    mallopt(mmap_threshold, 2**25)
    mallopt(top_pad, 2**26)
