"""Sketches: a few numbers of a LoRA's weights, by which files are found that are nearly the same.

Two epochs of a run, a merge at 0.9, or a file in another precision have weights that point the same way; two trainings
of one character have not, since each begins at random.

Shapes: N sketches, D numbers.
"""

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy
from numpy.typing import NDArray

from likeness.diffusion.checkpoints import Header, TensorInfo, read_header

__all__ = ["NEAR", "near_pairs", "sketch_of"]

NUMBERS = 256
"""Of a sketch: the cosine of two that have nothing in common is then below 0.25, four times out of 100,000."""

NEAR = 0.95
"""Cosine from which on two are told: checkpoints of a run that are 40 steps apart reach 0.99."""

BLOCK = 1024  # sketches that are compared at once


def sketch_of(path: Path) -> str:
    """Numbers from a LoRA's down and up weights, evenly over all layers, as text; "" for a file without any.

    Args:
        path: a safetensors file.

    Raises:
        CheckpointError: for a file that cannot be read.
    """
    header = read_header(path)
    names = sorted(name for name in header.tensors if "lora" in name and not name.endswith(".alpha"))
    total = sum(_count(header.tensors[name]) for name in names)
    if not total:
        return ""
    wanted, start, found = numpy.linspace(0, total - 1, NUMBERS).astype(int), 0, list[NDArray[numpy.float32]]()
    for name in names:
        count = _count(header.tensors[name])
        mine = wanted[(wanted >= start) & (wanted < start + count)] - start
        if len(mine):
            found.append(_read(path, header, name)[mine])
        start += count
    values = numpy.concatenate(found)
    scale = numpy.abs(values).max()
    return base64.b85encode(numpy.round(values / (scale or 1) * 127).astype(numpy.int8).tobytes()).decode()


def _count(tensor: TensorInfo) -> int:
    return int(numpy.prod(tensor.shape, dtype=int))


def _read(path: Path, header: Header, name: str) -> NDArray[numpy.float32]:
    tensor = header.tensors[name]
    with path.open("rb") as file:
        file.seek(header.data + tensor.start)
        data = file.read(tensor.end - tensor.start)
    if tensor.dtype == "BF16":
        return (numpy.frombuffer(data, dtype="<u2").astype(numpy.uint32) << 16).view(numpy.float32)
    kinds = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I8": "i1"}
    if tensor.dtype not in kinds:
        return numpy.zeros(_count(tensor), numpy.float32)
    return numpy.frombuffer(data, dtype=kinds[tensor.dtype]).astype(numpy.float32)


def near_pairs(sketches: Sequence[str]) -> Iterator[tuple[int, int, float]]:
    """Places of two sketches that are nearly the same, and their cosine."""
    if not sketches:
        return
    rows = [numpy.frombuffer(base64.b85decode(one), dtype=numpy.int8).astype(numpy.float32) for one in sketches]
    rows_ND = numpy.stack([row if len(row) == NUMBERS else numpy.zeros(NUMBERS, numpy.float32) for row in rows])
    rows_ND /= numpy.maximum(numpy.linalg.norm(rows_ND, axis=1, keepdims=True), 1e-9)
    for start in range(0, len(rows_ND), BLOCK):
        near = rows_ND[start : start + BLOCK] @ rows_ND.T
        for first, second in zip(*numpy.nonzero(near >= NEAR), strict=True):
            if start + first < second:
                yield int(start + first), int(second), float(near[first, second])
