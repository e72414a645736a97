"""How long a pool of 1,000 pictures of 1024 px takes to curate with the plain reader, and one picture more afterwards.

python benchmarks/curation_speed.py          # a few minutes and 2 GB of disk; half JPEG, half PNG

A process of its own for each figure, so that its memory is its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy
from PIL import Image

from likeness.maquette.draw import draw
from likeness.maquette.world import character, random_scene
from likeness.seeds import stream

PICTURES, SIDE = 1000, 1024
BARS = {"seconds": 60.0, "gigabytes": 1.0, "growth": 2.5, "one_more": 3.0}
RESULTS = Path(__file__).parent / "results" / "curation_speed.json"


def main() -> None:
    """Prints the figures, keeps them in results/, and exits with 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=PICTURES)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as desk:
        whole, half = _workspace(Path(desk), "whole"), _workspace(Path(desk), "half")
        _fill(whole / "images", chosen.pictures)
        for path in sorted((whole / "images").iterdir())[: chosen.pictures // 2]:
            os.link(path, half / "images" / path.name)
        seconds_half, _ = _curated(half)
        seconds, gigabytes = _curated(whole)
        _paint(whole / "images", chosen.pictures)
        one_more, _ = _curated(whole)
    told = {
        "pictures": chosen.pictures,
        "seconds": round(seconds, 1),
        "gigabytes": round(gigabytes, 2),
        "growth": round(seconds / seconds_half, 2),
        "one_more": round(one_more, 2),
    }
    print(f"{chosen.pictures} pictures of {SIDE} px, plain: {told['seconds']} s, {told['gigabytes']} GB")
    print(f"against half as many: {told['growth']} times as long; one picture more: {told['one_more']} s")
    is_met = all(told[name] <= most for name, most in BARS.items())
    print(f"bars: {BARS}: {'met' if is_met else 'MISSED'}")
    if chosen.pictures == PICTURES:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps({**told, "bars": BARS}, indent=1) + "\n")
    sys.exit(not is_met)


def _workspace(desk: Path, name: str) -> Path:
    folder = desk / name
    subprocess.run([sys.executable, "-m", "likeness", "init", str(folder)], check=True, stdout=subprocess.DEVNULL)
    return folder


def _fill(images: Path, count: int) -> None:
    for number in range(count):
        _paint(images, number)


def _paint(images: Path, number: int) -> None:
    """A drawing on a painted ground with grain, each another: as heavy to decode as a photograph."""
    rng = stream(number, "speed")
    coarse = rng.integers(0, 256, (12, 12, 3), numpy.uint8)
    ground = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    figure = Image.fromarray(draw(character(number % 7), random_scene(rng), size=SIDE // 2, supersampling=1))
    left, top = map(int, rng.integers(0, SIDE // 2, 2))
    ground.paste(figure, (left, top))
    grain = rng.integers(-6, 7, (SIDE, SIDE, 1), numpy.int16)
    page = Image.fromarray((numpy.asarray(ground, numpy.int16) + grain).clip(0, 255).astype(numpy.uint8))
    if number % 2:
        page.save(images / f"{number:04d}.jpg", quality=90)
    else:
        page.save(images / f"{number:04d}.png", compress_level=1)


def _curated(folder: Path) -> tuple[float, float]:
    """Seconds and peak gigabytes of `likeness curate`, start of the program included."""
    settings = ["--set", "encode.size=512", "--set", "curate.accept_few=true"]
    command = [sys.executable, "-m", "likeness", "curate", str(folder), "--json", *settings]
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as talk:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=talk, text=True)
        _, status, usage = os.wait4(child.pid, 0)
        if os.waitstatus_to_exitcode(status):
            talk.seek(0)
            sys.exit("".join(talk.readlines()[-5:]))
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes on Linux; getrusage(2)
    return time.perf_counter() - started, usage.ru_maxrss * unit / 1e9


if __name__ == "__main__":
    main()
