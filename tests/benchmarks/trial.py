"""From a camera to verdicts, as a new user would: what share of good parts is flagged, and of defects found?

Rendered parts, each with a stamped number of its own, pass a simulated network camera (RTSP, H.264), three frames each,
after an empty station. `collect`, `fit` and `run` are the commands of the README, with their defaults; the films that
`run` sees show parts that `collect` did not. A part counts by one of its frames, the middle one where it was inspected.

    python -m tests.benchmarks.trial FOLDER [--fit "--budget 150s"] [--no-mask] [--seeds 2 3]
"""

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from andon_monitor.common.intervals import Rate, rate
from andon_trainer.sample.camera import draw_view, expose, on_belt
from andon_trainer.sample.defects import KINDS
from andon_trainer.sample.geometry import CANVAS, IMAGE_SIZE
from andon_trainer.sample.part import draw_light
from andon_trainer.sample.photo import photograph
from numpy.typing import NDArray

from tests.fixtures.rtsp_server import rtsp_camera

GOOD = "good"
FRAME_RATE = 10  # a second
FRAMES_OF_PART = 3
# Of the station without a part, before the first one: more than there are of defects in a row, so that nothing else is
# called a defect for so long.
EMPTY_FRAMES = 30
MIN_EMPTY_FRAMES = 10  # that are inspected, to tell where the film begins
NUMBER = (214, 284)  # left end and baseline of the stamped number, in pixels
NUMBER_SHIFT = 2  # pixels by which it is stamped elsewhere
MASK = {"size": [IMAGE_SIZE, IMAGE_SIZE], "ignore": [[[198, 250], [308, 250], [308, 302], [198, 302]]]}
LOOK_SECONDS, PATIENCE_SECONDS = 1.0, 3600.0


@dataclass(frozen=True)
class Film:
    """A folder of pictures for the camera, in a circle, and what each part of it is: `good` or a kind of defect."""

    folder: Path
    parts: tuple[str, ...]

    @property
    def frames(self) -> int:
        """Of one turn."""
        return EMPTY_FRAMES + FRAMES_OF_PART * len(self.parts)


@dataclass(frozen=True)
class Outcome:
    """What `run` made of the parts of a film."""

    flagged: Rate | None  # of the good ones
    found: Rate | None  # of the defects
    auroc: float  # NaN without parts of both kinds
    unseen: int  # parts of which no frame was inspected


def make_film(folder: Path, seed: int, parts: Sequence[str]) -> Film:
    """Render the parts, with a number stamped on each."""
    folder.mkdir(parents=True)
    chance, count = random.Random(seed), 0

    def add(image: NDArray[np.uint8], times: int) -> None:
        nonlocal count
        for _ in range(times):
            cv2.imwrite(str(folder / f"{count:06d}.png"), image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
            count += 1

    add(empty_station(seed), EMPTY_FRAMES)
    for index, kind in enumerate(parts):
        image = photograph((seed, 9, index), None if kind == GOOD else kind).image
        at = [place + chance.randint(-NUMBER_SHIFT, NUMBER_SHIFT) for place in NUMBER]
        number = f"{chance.randrange(10**6):06d}"
        add(cv2.putText(image, number, at, cv2.FONT_HERSHEY_SIMPLEX, 0.6, 25, 2, cv2.LINE_AA), FRAMES_OF_PART)
    return Film(folder, tuple(parts))


def empty_station(seed: int) -> NDArray[np.uint8]:
    """The conveyor without a part."""
    rng = np.random.default_rng([seed, 8])
    nothing = np.zeros((CANVAS, CANVAS), np.float32)
    return expose(on_belt(nothing, nothing, draw_light(rng), view := draw_view(rng)), view)


def collect(film: Film, images: Path, count: int) -> None:
    """Step 1 of the README."""
    with rtsp_camera("h264", FRAME_RATE, film.folder) as camera:
        source = f"rtsp://127.0.0.1:{camera.port}/live"
        andon("monitor", "collect", "--source", source, "-o", images, "--empty", "first", "--count", count)


def run(film: Film, model: Path, verdicts: Path) -> Outcome:
    """The monitor on the live camera, for a turn of the film, or as many as it takes to tell the parts apart."""
    with rtsp_camera("h264", FRAME_RATE, film.folder) as camera:
        source = f"rtsp://127.0.0.1:{camera.port}/live"
        command = [sys.executable, "-m", "andon_monitor", "run", "--model", str(model), "--source", source]
        monitor = subprocess.Popen([*command, "--verdicts", str(verdicts), "--no-server"])
        try:
            wanted, end = film.frames / FRAME_RATE, time.monotonic() + PATIENCE_SECONDS
            while True:
                time.sleep(LOOK_SECONDS)
                timed = read(verdicts)
                if span(timed) > wanted and (found := outcome(film, timed)) is not None:
                    return found
                if monitor.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("the monitor has not inspected a whole film")
        finally:
            monitor.terminate()
            monitor.wait()


def read(verdicts: Path) -> list[tuple[float, dict[str, Any]]]:
    """Verdicts with the times of their frames, in seconds, of the most reliable kind of time that there is."""
    found: dict[str, list[tuple[float, dict[str, Any]]]] = {"sender_report": [], "stream": [], "arrival": []}
    with suppress(FileNotFoundError):
        for line in verdicts.read_text(encoding="utf-8").splitlines():
            with suppress(json.JSONDecodeError):  # the last line, half written
                verdict = json.loads(line)
                moment = datetime.fromisoformat(verdict["captured_at"]).timestamp()
                found[verdict["capture_time_source"]].append((moment, verdict))
    return max(found.values(), key=len)


def span(timed: Sequence[tuple[float, dict[str, Any]]]) -> float:
    """From the first to the last frame, in seconds."""
    return timed[-1][0] - timed[0][0] if timed else 0.0


def outcome(film: Film, timed: Sequence[tuple[float, dict[str, Any]]]) -> Outcome | None:
    """What the verdicts say of the parts: the empty station, which is no good part, says where the film begins.

    None where too few of its frames were inspected to tell.
    """
    numbers = np.array([round((moment - timed[0][0]) * FRAME_RATE) for moment, _ in timed])
    scores = np.array([verdict.get("score", np.nan) for _, verdict in timed])
    refused = np.array([verdict["verdict"] != "good" for _, verdict in timed])
    ranks = np.unique(np.nan_to_num(scores, nan=np.inf), return_inverse=True)[1]
    best = np.full(film.frames, -np.inf)
    for start in range(film.frames):
        empty = (numbers + start) % film.frames < EMPTY_FRAMES
        if empty.sum() >= MIN_EMPTY_FRAMES and refused[empty].all():
            best[start] = ranks[empty].sum() - ranks[~empty].mean() * empty.sum()
    if np.isinf(best.max()):
        return None
    starts = np.flatnonzero(best == best.max())
    if np.ptp(starts) >= FRAMES_OF_PART:
        return None
    places = (numbers + int(np.median(starts))) % film.frames - EMPTY_FRAMES
    seen: dict[int, dict[str, Any]] = {}
    for preferred in (1, 2, 0):  # of a part's frames
        for place, (_, verdict) in zip(places.tolist(), timed, strict=True):
            if place >= 0 and place % FRAMES_OF_PART == preferred:
                seen.setdefault(place // FRAMES_OF_PART, verdict)
    good, bad = (
        [verdict for part, verdict in seen.items() if (film.parts[part] == GOOD) == is_good]
        for is_good in (True, False)
    )

    def called_defects(verdicts: Sequence[dict[str, Any]]) -> Rate | None:
        return rate(sum(verdict["verdict"] == "defect" for verdict in verdicts), len(verdicts))

    return Outcome(called_defects(good), called_defects(bad), auroc(good, bad), len(film.parts) - len(seen))


def auroc(good: Sequence[dict[str, Any]], bad: Sequence[dict[str, Any]]) -> float:
    """The probability that a defect scores higher than a good part."""
    scores = [np.array([verdict.get("score", np.inf) for verdict in verdicts]) for verdicts in (good, bad)]
    if not good or not bad:
        return float("nan")
    return float(np.mean(np.sign(scores[1][:, None] - scores[0][None]) / 2 + 0.5))


def andon(program: str, *arguments: object) -> None:
    """Run a command. Raises CalledProcessError."""
    command = [sys.executable, "-m", f"andon_{program}", *map(str, arguments)]
    print("$", *command[2:], flush=True)
    subprocess.run(command, check=True)


def describe(share: Rate | None) -> str:
    """8 of 200, 4.0 % (1.7 to 7.7 %)."""
    if share is None:
        return "none"
    low, high, middle = (100 * value for value in (share.low, share.high, share.share))
    return f"{share.flagged} of {share.count}, {middle:.1f} % ({low:.1f} to {high:.1f} %)"


def main(arguments: Sequence[str] | None = None) -> list[Outcome]:
    """Print a table: a film in each row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=120, help="good parts to collect")
    parser.add_argument("--good", type=int, default=200, help="good parts in each film that is inspected")
    parser.add_argument("--defects", type=int, default=5, help="defective ones of each kind")
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3], help="of these films; of what is collected: 1")
    parser.add_argument("--fit", default="", help="further options of fit")
    parser.add_argument("--no-mask", action="store_true", help="fit without a mask over the number")
    chosen = parser.parse_args(arguments)
    folder: Path = chosen.folder
    images, model, mask = folder / "images" / "good", folder / "part.onnx", folder / "mask.json"
    if not images.is_dir():
        # Some more than are collected: the first ones pass while the camera is being opened.
        collect(make_film(folder / "learned", 1, [GOOD] * (chosen.images + 20)), images, chosen.images)
    mask.write_text(json.dumps(MASK))
    andon("trainer", "fit", images, *([] if chosen.no_mask else ["--mask", mask]), "-o", model, *chosen.fit.split())
    rows, outcomes = (
        ["| film | good parts flagged | defects found | AUROC | parts not seen |", "|---|---|---|---|---|"],
        [],
    )
    for seed in chosen.seeds:
        parts = [GOOD] * chosen.good + [kind for kind in KINDS for _ in range(chosen.defects)]
        random.Random(seed).shuffle(parts)
        result = run(make_film(folder / f"film-{seed}", seed, parts), model, folder / f"verdicts-{seed}.jsonl")
        outcomes.append(result)
        shares = f"{describe(result.flagged)} | {describe(result.found)} | {result.auroc:.3f}"
        rows.append(f"| {seed} | {shares} | {result.unseen} |")
    print("\n".join(rows))
    return outcomes


if __name__ == "__main__":
    main()
