"""Pictures in labelled rows and columns, as one picture to look at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from PIL import Image, ImageDraw, ImageFont

from likeness.images import Pixels

__all__ = ["Block", "draw_grid"]

PAPER, INK, FAINT = (255, 255, 255), (28, 32, 38), (110, 118, 128)
GAP, MARGIN = 4, 28  # px between pictures, and around blocks
HEADING, LABEL = 22, 15  # px, the sizes of type; read at half the size on a page


@dataclass(frozen=True, slots=True)
class Block:
    """A table of pictures of one size.

    Attributes:
        title: above it.
        columns: a label per column.
        rows: a label per row.
        pictures: row by row.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[str]
    pictures: Sequence[Sequence[Pixels]]


def draw_grid(blocks: Sequence[Block], *, across: int = 1, scale: int = 2) -> Pixels:
    """All blocks on one white page, `across` of them side by side, each picture enlarged `scale` times (Lanczos).

    Blocks have as many rows and columns, and pictures of one size.
    """
    side = max(blocks[0].pictures[0][0].shape[:2]) * scale
    width, height = _size(blocks[0], side)
    down = -(-len(blocks) // across)
    page = Image.new("RGB", (MARGIN + across * (width + MARGIN), MARGIN + down * (height + MARGIN)), PAPER)
    for index, block in enumerate(blocks):
        corner = MARGIN + index % across * (width + MARGIN), MARGIN + index // across * (height + MARGIN)
        _draw_block(page, block, corner, side)
    return numpy.asarray(page)


def _size(block: Block, side: int) -> tuple[int, int]:
    left, top = _front(block)
    return left + len(block.columns) * (side + GAP), top + len(block.rows) * (side + GAP)


def _front(block: Block) -> tuple[int, int]:
    """Room for the row labels on the left, and for title and column labels above, px."""
    font = ImageFont.load_default(LABEL)
    left = max((font.getlength(label) for label in block.rows), default=0)
    return int(left) + 14 if left else 0, HEADING + LABEL + 26


def _draw_block(page: Image.Image, block: Block, corner: tuple[int, int], side: int) -> None:
    pen, label = ImageDraw.Draw(page), ImageFont.load_default(LABEL)
    x, y = corner
    left, top = _front(block)
    pen.text((x + left, y), block.title, fill=INK, font=ImageFont.load_default(HEADING))
    for column, words in enumerate(block.columns):
        pen.text((x + left + column * (side + GAP) + side / 2, y + top - 10), words, FAINT, label, anchor="ms")
    for row, words in enumerate(block.rows):
        upper = y + top + row * (side + GAP)
        pen.text((x + left - 10, upper + side / 2), words, fill=INK, font=label, anchor="rm")
        for column, pixels in enumerate(block.pictures[row]):
            picture = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)
            page.paste(picture, (x + left + column * (side + GAP), upper))
