"""The meter: how much memory is taken while something is done, on a card or on the computer itself."""

import ctypes
import gc
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

__all__ = ["peak_of"]

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_of(act: Callable[[], object], device: torch.device) -> int:
    """The most memory that was taken at once while `act` ran, bytes.

    On a CUDA device, by tensors, those that were there before included. Elsewhere, by how much this process grew; where
    the system cannot forget an earlier peak (macOS), by how much it grew over that.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        act()
        return torch.cuda.max_memory_allocated(device)
    with suppress(AttributeError, OSError):  # glibc keeps what was freed; other libraries have no such call
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        RESET.write_text("5")  # the peak is what is held now
    before = _peak()
    act()
    return _peak() - before


def _peak() -> int:
    """The most that this process has held, bytes, as far as the system remembers."""
    if STATUS.exists():
        lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
