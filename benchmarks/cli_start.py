"""How long `likeness --help` takes: the best and the middle of several fresh processes, in seconds; 0.3 is the bar.

python benchmarks/cli_start.py
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

BAR = 0.3  # seconds: below it a command feels as if it had always been there
REPEATS = 9
RESULTS = Path(__file__).parent / "results" / "cli_start.json"


def main() -> None:
    """Prints the numbers, keeps them in results/, and exits with 1 where the middle one misses the bar."""
    seconds = sorted(_seconds() for _ in range(REPEATS))
    middle = statistics.median(seconds)
    print(
        f"likeness --help: {middle:.3f} s (best {seconds[0]:.3f}, worst {seconds[-1]:.3f}, {REPEATS} runs); bar {BAR} s"
    )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"median": round(middle, 3), "best": round(seconds[0], 3), "bar": BAR}) + "\n")
    sys.exit(middle > BAR)


def _seconds() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "likeness", "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
