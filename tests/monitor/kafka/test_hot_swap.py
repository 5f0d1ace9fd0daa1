"""A model swapped on the live line: no frame lost, late or out of order; a bad file refused; and back again."""

import hashlib
import itertools
import math
import re
import socket
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.fixtures.kafka_line import Line, out_of_order, positions
from tests.fixtures.small_model import build_model, draw, encode

IMAGES = [encode(draw(i)) for i in range(8)]


def put(path: Path, content: bytes) -> str:
    """Replace a file as a careful program does; its sha256."""
    beside = path.with_suffix(".new")
    beside.write_bytes(content)
    beside.replace(path)
    return hashlib.sha256(content).hexdigest()


def metric(port: int, pattern: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        found = re.search(rf"^{pattern} (\S+)$", answer.read().decode(), re.MULTILINE)
    assert found is not None, pattern
    return float(found.group(1))


def with_threshold_nan(card: dict[str, Any]) -> dict[str, Any]:
    return card | {"calibration": card["calibration"] | {"threshold": math.nan}}


def test_a_new_model_is_swapped_in_a_bad_one_refused_and_the_old_one_brought_back(line: Line) -> None:
    old = line.model.read_bytes()
    first = hashlib.sha256(old).hexdigest()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sent = 0
    stop = threading.Event()

    def send() -> None:
        nonlocal sent
        while not stop.wait(0.1):
            line.send(IMAGES)
            sent += len(IMAGES)

    camera = threading.Thread(target=send)
    # A machine that stalls for a while must not cost the monitor its partitions.
    settings = ("model.watch=0.1", "model.load_timeout=120", "kafka.session_timeout=30")
    with line.monitor(*settings, port=port) as monitor:
        camera.start()
        try:
            line.read_verdicts(16)
            better = build_model(card_json=lambda card: card | {"name": "better"})
            second = put(line.model, better)
            monitor.wait_for(f"model swapped: better {second[:12]}")
            time.sleep(0.3)
            put(line.model, better[:5000])  # cut short
            monitor.wait_for("model refused: ")
            assert metric(port, 'andon_model_refused{model="better"}') == 1
            put(line.model, build_model(golden=lambda golden: type(golden)(golden.frames, golden.scores + 1)))
            monitor.wait_for("scores of its golden frames differ")
            put(line.model, build_model(card_json=with_threshold_nan))
            monitor.wait_for("calibration.threshold")
            line.model.unlink()
            monitor.wait_for("no such model file")
            assert f"better {second[:12]} stays in use" in monitor.log.read_text()
            time.sleep(0.3)
            put(line.model, old)  # back again, the same way
            monitor.wait_for(f"model swapped: darkness {first[:12]}")
            time.sleep(0.3)
        finally:
            stop.set()
            camera.join()
        verdicts = line.read_answers(sent)
        assert metric(port, 'andon_model_refused{model="darkness"}') == 0
        assert metric(port, 'andon_model_swaps_total{model="better",result="taken"}') == 1
        assert metric(port, 'andon_model_swaps_total{model="darkness",result="taken"}') == 1
        assert metric(port, 'andon_model_swaps_total{model="better",result="refused"}') >= 4
    assert len(verdicts) == len(set(positions(verdicts))) == sent
    assert out_of_order(verdicts) == 0
    for partition in {place for place, _ in positions(verdicts)}:
        models = [v["model"]["sha256"] for v in verdicts if v["frame"]["partition"] == partition]
        changes = [models[0]] + [after for before, after in itertools.pairwise(models) if after != before]
        assert changes == [first, second, first]
