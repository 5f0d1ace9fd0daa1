"""The process of a refit: fits, compares the new model with the old one, writes the result, and outlives the page."""

import os
import sys
import time
from pathlib import Path

from andon_monitor.common.files import write_whole
from andon_monitor.errors import AndonError, first_line
from andon_monitor.model.file import Model
from andon_monitor.review.background import last_error, limit_process, run_module
from andon_monitor.review.teach import plan as files
from andon_monitor.review.teach.judging import GOOD, judge, read_score
from andon_monitor.review.teach.steering import steer

TRAINER, MONITOR = "andon_trainer", "andon_monitor"


def main() -> None:
    """`python -m andon_monitor.review.teach.work FOLDER LOCK`; LOCK is the descriptor of the locked file."""
    folder, lock = Path(sys.argv[1]), int(sys.argv[2])
    plan = files.read_plan(folder)
    assert plan is not None
    limit_process(plan.cores)
    try:
        result = _work(folder, plan, lock)
    except AndonError as error:
        result = files.Result(failure=str(error), ended=time.time())
    except Exception as error:  # whatever it is, the page has to say it
        result = files.Result(failure=f"{type(error).__name__}: {first_line(error)}", ended=time.time())
    sys.stdout.flush()
    files.write(folder, files.RESULT, result)
    os._exit(0)  # at once, which frees the lock: at this priority the interpreter's own end may take seconds


def _work(folder: Path, plan: files.Plan, lock: int) -> files.Result:
    code = run_module(TRAINER, plan.arguments, lock)
    if code != 0 or not (folder / files.NEW).is_file():
        why = last_error(folder) or f"andon-trainer fit ended with exit code {code}; the log says why"
        return files.Result(failure=why, ended=time.time())
    steering = _steer(folder, plan)
    _say(steering)
    if plan.kinds is not None:
        _learn_kinds(folder, plan.kinds, plan.cores, lock)
    _say("comparing with the model on the line: 0%")
    old, new = (Model.load(folder / name, "cpu", plan.cores) for name in (files.OLD, files.NEW))
    judged = judge(old, new, plan.tested)
    _say(judged.sentence)
    kinds = () if new.card.kinds is None else new.card.kinds.names
    if plan.recording is not None:
        _say(f"comparing on {plan.recording}: 0%")
        names = [str(folder / name) for name in (files.NEW, files.OLD, files.COMPARISON)]
        run_module(
            MONITOR,
            ("compare", plan.recording, "--model", names[0], "--baseline", names[1], "--report", names[2]),
            lock,
        )
    return files.Result(judged=judged, steering=steering, kinds=kinds, ended=time.time())


def _steer(folder: Path, plan: files.Plan) -> str:
    """Set the threshold with the confirmed defects; returns how."""
    model = Model.load(folder / files.NEW, "cpu", plan.cores)
    scores = [read_score(model, path) for path, truth in plan.tested if truth != GOOD]
    steered = steer(model.content, files.NEW, model.card, [score for score in scores if score is not None])
    if steered.content != model.content:
        write_whole(folder / files.NEW, steered.content)
    return steered.sentence


def _learn_kinds(folder: Path, kinds: str, cores: int, lock: int) -> None:
    """Teach the new model to name kinds of defects; without that it stays as it is."""
    _say("learning kinds of defects: 0%")
    naming = folder / files.NAMING
    arguments = ("classify", str(folder / files.NEW), kinds, "-o", str(naming), "--draws", "1", "--threads", str(cores))
    if run_module(TRAINER, arguments, lock) == 0:
        Model.load(naming, "cpu", cores)  # before it is used
        naming.replace(folder / files.NEW)
    else:
        _say("the new model names no kinds of defects")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
