"""The process of a refit: fits, compares the new model with the old one, writes the result, and outlives the page."""

import os
import sys
import time
from pathlib import Path

from andon_monitor.errors import AndonError, first_line
from andon_monitor.model.file import Model
from andon_monitor.review.background import limit_process, run_module
from andon_monitor.review.teach import plan as files
from andon_monitor.review.teach.judging import judge

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
        return files.Result(
            failure=f"andon-trainer fit ended with exit code {code}; the log says why", ended=time.time()
        )
    _say("comparing with the model on the line: 0%")
    old, new = (Model.load(folder / name, "cpu", plan.cores) for name in (files.OLD, files.NEW))
    judged = judge(old, new, plan.tested)
    _say(judged.sentence)
    if plan.recording is not None:
        _say(f"comparing on {plan.recording}: 0%")
        names = [str(folder / name) for name in (files.NEW, files.OLD, files.COMPARISON)]
        run_module(
            MONITOR,
            ("compare", plan.recording, "--model", names[0], "--baseline", names[1], "--report", names[2]),
            lock,
        )
    return files.Result(judged=judged, ended=time.time())


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
