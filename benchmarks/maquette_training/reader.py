"""Trains the maquette's reader: every trait and the whole scene off a 64 px picture, and an identity embedding."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from maquette_training.drawings import AXES

BATCH, PEAK, WIDTH = 64, 2e-3, 64  # pictures (32 pairs), rate, numbers in the embedding


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.body(x))


class ReaderNetwork(nn.Module):
    """A small residual network that keeps the layout of its last 4 x 4 map, since left, right and height matter.

    Takes pictures in [0, 1], float32 (B, 3, 64, 64); gives the logits of every axis of `AXES`, concatenated, and unit
    embeddings (B, 64).
    """

    def __init__(self, channels: tuple[int, ...] = (32, 64, 128, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        previous = 3
        for index, width in enumerate(channels):
            layers += [nn.Conv2d(previous, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            layers += [_Block(width) for _ in range(1 if index < 2 else 2)]
            previous = width
        self.trunk = nn.Sequential(*layers)
        self.neck = nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(channels[-1] * 16, 320), nn.ReLU())
        self.heads = nn.Linear(320, sum(map(len, AXES.values())))
        self.embed = nn.Linear(320, WIDTH)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, classes of all axes) and embeddings (B, 64)."""
        features = self.neck(self.trunk(pictures * 2 - 1))
        return self.heads(features), functional.normalize(self.embed(features), dim=-1)


def batches(
    pictures: np.ndarray, labels: np.ndarray, generator: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of pairs that show the same character, roughened as recompressed or noisy pictures are."""
    while True:
        pairs = np.sort(generator.integers(len(pictures) // 2, size=BATCH // 2))
        index = np.stack([2 * pairs, 2 * pairs + 1], 1).ravel()
        some = np.stack([_roughen(picture, generator) for picture in pictures[index]])
        yield torch.from_numpy(some).permute(0, 3, 1, 2).float() / 255, torch.from_numpy(labels[index])  # channels last


def _roughen(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    choice = generator.random()
    image = Image.fromarray(picture)
    if choice < 0.7:
        return picture
    if choice < 0.8:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=int(generator.integers(50, 95)))
        return np.asarray(Image.open(buffer))
    if choice < 0.9:  # softened
        side = int(generator.integers(48, 62))
        small = image.resize((side, side), Image.Resampling.BILINEAR)
        return np.asarray(small.resize(image.size, Image.Resampling.BICUBIC))
    rough = picture.astype(np.float32) + generator.normal(0, generator.uniform(2, 8), picture.shape)
    rough = (rough - 128) * generator.uniform(0.9, 1.08) + 128 + generator.uniform(-8, 8, 3)
    return rough.clip(0, 255).astype(np.uint8)


def loss_of(model: ReaderNetwork, pictures: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over what each picture shows, plus a contrast that brings a character's two pictures together."""
    logits, embeddings = model(pictures)
    parts = logits.float().split([len(values) for values in AXES.values()], dim=1)
    losses = [
        functional.cross_entropy(part, labels[:, i], ignore_index=-1, reduction="sum")
        / (labels[:, i] >= 0).sum().clamp(min=1)
        for i, part in enumerate(parts)
    ]
    similar = embeddings.float() @ embeddings.float().T / 0.1
    similar.fill_diagonal_(-1e4)
    partner = torch.arange(len(labels), device=labels.device) ^ 1
    return torch.stack(losses).mean() + 0.02 * functional.cross_entropy(similar, partner)


@torch.no_grad()
def accuracy(model: ReaderNetwork, pictures: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Share of right answers per axis, over the pictures that show it."""
    model.eval()
    found, device = [], model.heads.weight.device
    for start in range(0, len(pictures), 200):
        some = torch.from_numpy(np.ascontiguousarray(pictures[start : start + 200])).to(device)
        logits, _ = model(some.permute(0, 3, 1, 2).float() / 255)
        parts = logits.cpu().split([len(values) for values in AXES.values()], dim=1)
        found.append(np.stack([part.argmax(1).numpy() for part in parts], 1))
    model.train()
    answers = np.concatenate(found)
    return {axis: float((answers[:, i] == labels[:, i])[labels[:, i] >= 0].mean()) for i, axis in enumerate(AXES)}


def export(model: ReaderNetwork, folder: Path) -> None:
    """Write `reader.onnx` (weights in float16, arithmetic in float32) and `reader.json`, which names its outputs."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        model,
        (torch.zeros(2, 3, 64, 64),),
        folder / "reader.onnx",
        input_names=["pictures"],
        output_names=["logits", "embedding"],
        dynamic_axes={name: {0: "batch"} for name in ("pictures", "logits", "embedding")},
        dynamo=False,
        opset_version=17,
    )
    graph = onnx.load(folder / "reader.onnx")
    for tensor in list(graph.graph.initializer):
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1:
            half = onnx.numpy_helper.from_array(
                onnx.numpy_helper.to_array(tensor).astype(np.float16), f"{tensor.name}_half"
            )
            graph.graph.initializer.remove(tensor)
            graph.graph.initializer.append(half)
            graph.graph.node.insert(
                0, onnx.helper.make_node("Cast", [half.name], [tensor.name], to=onnx.TensorProto.FLOAT)
            )
    onnx.checker.check_model(graph)
    onnx.save(graph, folder / "reader.onnx")
    (folder / "reader.json").write_text(json.dumps({"size": 64, "axes": AXES, "embedding": WIDTH}, indent=1) + "\n")
