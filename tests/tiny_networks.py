"""Tiny ONNX models with the inputs and outputs of the real ones, whose answers can be told from the pixels they get.

A wrong colour order, range, layout, size or padding changes what they answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from likeness.images import sha256_of
from likeness.perception.models import MODELS, Model

Shape = Sequence[int | str]


def registry_of(folder: Path) -> dict[str, Model]:
    """The real registry, with size and hash of the files that lie in `folder`."""
    there = {name: model for name, model in MODELS.items() if model.path(folder).is_file()}
    tiny = {
        name: replace(model, sha256=sha256_of(model.path(folder)), size=model.path(folder).stat().st_size)
        for name, model in there.items()
    }
    return {**MODELS, **tiny}


class Graph:
    """Nodes and constants, gathered by name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def put(self, value: object, dtype: type = np.float32) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def do(self, kind: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        to = to or f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [to], **attributes))
        return to

    def save(self, path: Path, shape: Shape, outputs: Mapping[str, Shape], name: str) -> None:
        graph = helper.make_graph(
            self.nodes,
            "tiny",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(out, TensorProto.FLOAT, form) for out, form in outputs.items()],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, path)

    def channel(self, source: str, index: int) -> str:
        return self.do("Gather", source, self.put([index], np.int64), axis=1)


def yunet(path: Path) -> None:
    """Fires in a cell of 8, 16 or 32 px that alone is red, where channels are B, G, R, 0 to 255.

    A face there is 5 x 6 cells around the cell's middle, its eyes 2 cells apart; green moves the nose right, by up to a
    cell. A larger patch is not seen, as YuNet sees no face over 300 px.
    """
    graph = Graph()
    red = graph.do("Sub", graph.channel("input", 2), graph.channel("input", 0))
    share = graph.do("Clip", graph.do("Div", red, graph.put([255])), graph.put(0), graph.put(1))
    for stride in (8, 16, 32):
        cells = graph.do("AveragePool", share, kernel_shape=[stride] * 2, strides=[stride] * 2)
        around = graph.do("AveragePool", cells, kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)
        alone = graph.do("Mul", graph.do("Sub", cells, around), graph.put([9 / 8]))
        score = graph.do("Clip", alone, graph.put(0), graph.put(1))
        row = graph.put([1, -1, 1], np.int64)
        graph.do("Reshape", score, row, to=f"cls_{stride}")
        graph.do("Identity", f"cls_{stride}", to=f"obj_{stride}")
        nothing = graph.do("Mul", f"cls_{stride}", graph.put([0]))
        box = graph.put([[[0.5, 0.5, np.log(5), np.log(6)]]])
        graph.do("Add", graph.do("Concat", *[nothing] * 4, axis=2), box, to=f"bbox_{stride}")
        green = graph.do("AveragePool", graph.channel("input", 1), kernel_shape=[stride] * 2, strides=[stride] * 2)
        shift = graph.do("Div", graph.do("Sub", graph.do("Reshape", green, row), graph.put([128])), graph.put([128]))
        points = graph.put([[[-0.5, -0.5, 1.5, -0.5, 0.5, 0.6, -0.3, 1.7, 1.3, 1.7]]])
        shifts = graph.do("Concat", *[nothing] * 4, shift, *[nothing] * 5, axis=2)
        graph.do("Add", shifts, points, to=f"kps_{stride}")
    widths = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    outputs = {f"{kind}_{s}": [1, (640 // s) ** 2, width] for kind, width in widths.items() for s in (8, 16, 32)}
    graph.save(path, [1, 3, 640, 640], outputs, "input")


def sface(path: Path) -> None:
    """128 numbers: mean R, G, B (0 to 255), then 100, then zeros."""
    graph = Graph()
    means = graph.do("Reshape", graph.do("ReduceMean", "data", axes=[2, 3]), graph.put([1, 3], np.int64))
    rest = graph.put([[100.0] + [0.0] * 124])
    graph.do("Concat", means, rest, axis=1, to="fc1")
    graph.save(path, [1, 3, 112, 112], {"fc1": [1, 128]}, "data")


def expression(path: Path) -> None:
    """Seven logits from mean R, G, B in -1 to 1: red is angry, green happy, blue surprised, grey neutral."""
    graph = Graph()
    means = graph.do("Reshape", graph.do("ReduceMean", "data", axes=[2, 3]), graph.put([1, 3], np.int64))
    weights = np.zeros((3, 7))
    weights[[0, 1, 2], [0, 3, 6]] = 10
    bias = graph.put([0, 0, 0, 0, 4, 0, 0])
    graph.do("Gemm", means, graph.put(weights), bias, to="label")
    graph.save(path, [1, 3, 112, 112], {"label": [1, 7]}, "data")


def yolo(path: Path, colour: int, *, wide: float, tall: float, side: int | str = 640) -> None:
    """Fires where one channel of RGB (0 to 1) alone is bright: centre, size and score per cell of 32 px.

    Args:
        colour: 0, 1 or 2 for red, green, blue.
        wide: px of a box on the canvas.
        tall: px of a box, plus a hundred times the canvas's mean brightness.
        side: of the square that it takes, px, or a name where it takes any.
    """
    graph = Graph()
    pooled = graph.do("AveragePool", "images", kernel_shape=[32, 32], strides=[32, 32])
    others = [graph.channel(pooled, index) for index in range(3) if index != colour]
    best = graph.do("Max", *others)
    score = graph.do("Reshape", graph.do("Sub", graph.channel(pooled, colour), best), graph.put([1, 1, -1], np.int64))
    columns, rows = np.meshgrid(np.arange(20) * 32 + 16, np.arange(20) * 32 + 16)
    centres = graph.put([[columns.ravel(), rows.ravel()]])
    widths = graph.put([[[wide] * 400]])
    mean = graph.do("Mul", graph.do("ReduceMean", "images", axes=[1, 2, 3], keepdims=1), graph.put([100]))
    lift = graph.do("Reshape", mean, graph.put([1, 1, 1], np.int64))
    heights = graph.do("Add", graph.put([[[tall] * 400]]), lift)
    graph.do("Concat", centres, widths, heights, score, axis=1, to="output0")
    graph.save(path, [1, 3, side, side], {"output0": [1, 5, 400]}, "images")


def tagger(path: Path, words: Path, always: Mapping[str, float]) -> None:
    """Tags by mean B, G, R (0 to 255), by the top and bottom ten rows' red, and some that are always so likely.

    The words are a rating, "blue_hair", "green_eyes", "red_skirt", "white_top", "white_bottom", those of `always`, and
    a character's name, which is as likely as blue.
    """
    graph = Graph()
    means = graph.do("ReduceMean", "input", axes=[1, 2], keepdims=0)
    top, bottom = (_red_of_rows(graph, *rows) for rows in ((0, 10), (438, 448)))
    seen = graph.do("Div", graph.do("Concat", means, top, bottom, axis=1), graph.put([255]))
    names = ["general", "blue_hair", "green_eyes", "red_skirt", "white_top", "white_bottom", *always, "somebody_(game)"]
    weights = np.zeros((5, len(names)))
    weights[[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]] = 1
    weights[0, -1] = 1
    graph.do("Gemm", seen, graph.put(weights), graph.put([0.9, 0, 0, 0, 0, 0, *always.values(), 0]), to="output")
    graph.save(path, ["batch_size", 448, 448, 3], {"output": ["batch_size", len(names)]}, "input")
    kinds = [9, *[0] * (len(names) - 2), 4]
    lines = [f"{index},{name},{kind},1" for index, (name, kind) in enumerate(zip(names, kinds, strict=True))]
    words.write_text("\n".join(["tag_id,name,category,count", *lines, ""]), encoding="utf-8")


def _red_of_rows(graph: Graph, first: int, last: int) -> str:
    starts, ends, axes = (graph.put(value, np.int64) for value in ([first, 2], [last, 3], [1, 3]))
    return graph.do("ReduceMean", graph.do("Slice", "input", starts, ends, axes), axes=[1, 2], keepdims=0)


def ccip(path: Path) -> None:
    """768 numbers: the mean of each channel as it comes in, then 1, then zeros."""
    graph = Graph()
    means = graph.do("ReduceMean", "input", axes=[2, 3], keepdims=0)
    weights = np.zeros((3, 768))
    weights[[0, 1, 2], [0, 1, 2]] = 1
    graph.do("Gemm", means, graph.put(weights), graph.put([0, 0, 0, 1] + [0] * 764), to="output")
    graph.save(path, ["batch", 3, 384, 384], {"output": ["batch", 768]}, "input")
