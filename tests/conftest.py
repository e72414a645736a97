"""What every test runs under: one thread, no network, and a folder of its own."""

import gc
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from likeness.diffusion.family import DiffusionModel

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false", NO_COLOR="1")
for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")  # read when torch and numpy load; two test processes share two cores


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches for the network fails, also where there is one."""

    def refused(self: socket.socket, address: object) -> None:
        if self.family != socket.AF_UNIX:
            raise AssertionError(f"a test opened a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", refused)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base of Stable Diffusion 1.x as a folder, made once for a file of tests."""
    from tiny import tiny_sd15  # many tests need no torch

    return tiny_sd15(tmp_path_factory.mktemp("sd15"))


@pytest.fixture(scope="module")
def model(folder: Path) -> "DiffusionModel":
    """The base in `folder`, which no test leaves changed."""
    from likeness.diffusion import load_model

    return load_model(folder, device="cpu", dtype="float32")


def pytest_collection_finish() -> None:
    """What tests import stays to the end: the collector need not look at it again and again."""
    gc.collect()
    gc.freeze()
