"""Draws a maquette character's model sheet: six views across, expressions and poses down.

python examples/model_sheet.py [NUMBER] [FILE]
"""

import sys
from pathlib import Path

from likeness.images import save_png
from likeness.maquette.draw import draw, sheet
from likeness.maquette.world import SCENE_AXES, Scene, character, with_view

number = int(sys.argv[1]) if len(sys.argv) > 1 else 3
file = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(f"model-sheet-{number}.png")
rows = []
for index, expression in enumerate(SCENE_AXES["expression"]):
    framing = ("full body", "upper body")[index % 2]
    pose = SCENE_AXES["pose"][index % len(SCENE_AXES["pose"])]
    scene = Scene(framing=framing, expression=expression, pose=pose)
    rows.append([draw(character(number), with_view(scene, view), size=160) for view in SCENE_AXES["view"]])
save_png(file, sheet(rows))
