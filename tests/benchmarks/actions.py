"""From a frame in memory to the action at its target, and to its verdict: python -m tests.benchmarks.actions.

Every frame is a defect. Targets are real ones on this machine: mosquitto, pymodbus' and asyncua's servers and an HTTP
server, each in a process of its own. An action is done when the target has acknowledged it. Then the same frames
without actions, with an MQTT broker that answers, and with one that hangs: the time from frame to verdict.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from andon_monitor.actions.engine import Engine, Remember
from andon_monitor.actions.links.base import Link, Message
from andon_monitor.actions.links.opening import make_link
from andon_monitor.common.process import Ending
from andon_monitor.inspection.frames import Frame
from andon_monitor.inspection.inspector import Inspection, Inspector
from andon_monitor.model.file import Model
from andon_monitor.run.pipeline import Pipeline, PipelineLimits
from andon_monitor.settings.actions import TargetSettings
from andon_monitor.settings.groups import OutputSettings
from andon_monitor.telemetry.metrics import Metrics

from tests.fixtures.mosquitto import Mosquitto
from tests.fixtures.small_model import build_model, draw, encode, make_frame

RATE = 50.0  # frames a second
ROUNDS = 3  # of the second table, in turn
MODBUS = "from tests.fixtures.modbus_plc import Plc; p = Plc(); p.start(); print(p.uri, flush=True); input()"
WEBHOOK = "from tests.fixtures.webhook_server import WebhookServer as W; w = W(); print(w.uri, flush=True); input()"
OPC_UA = "from tests.fixtures.opcua_plc import PlcServer as P; p = P(); p.start(); print(p.uri, flush=True); input()"


class Frames:
    """A live source of frames in memory; `taken` has the time of each, by its offset."""

    live = True
    ready = True
    name = "memory"
    length: int | None = None
    damage: str | None = None
    passed_over: str | None = None

    def __init__(self, count: int) -> None:
        self._frame = make_frame(encode(draw(1, defect=True)))
        self._count = count
        self._start = time.monotonic() + 1.0  # targets connect
        self.taken: dict[int, float] = {}

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        number = len(self.taken)
        if number >= self._count:
            return None
        wait = self._start + number / RATE - time.monotonic()
        if capacity == 0 or wait > timeout:
            time.sleep(min(timeout, max(0.0, wait)))
            return []
        time.sleep(max(0.0, wait))
        frame = replace(self._frame, captured_at=time.time(), position=replace(self._frame.position, offset=number))
        self.taken[number] = time.monotonic()
        return [frame]

    def acknowledge(self, frames: Sequence[Frame], uninspectable: Collection[Frame] = ()) -> None:
        """Nothing to note."""

    def close(self) -> None:
        """Nothing to close."""


class Times:
    """A sink: when each verdict came."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}
        self.offsets: dict[str, int] = {}

    def write(self, inspections: Sequence[Inspection]) -> None:
        now = time.monotonic()
        for inspection in inspections:
            self.at[inspection.verdict.position.offset] = now
            self.offsets[inspection.verdict.id] = inspection.verdict.position.offset

    def close(self, ending: Ending) -> None:
        """Nothing to close."""


class TimedLink:
    """A link that notes when the target had each message."""

    def __init__(self, link: Link, at: dict[str, float]) -> None:
        self._link = link
        self._at = at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)

    def send(self, message: Message) -> None:
        self._link.send(message)
        self._at[message.id] = time.monotonic()


def run(model: Model, count: int, target: dict[str, Any] | None) -> tuple[list[float], list[float]]:
    """Seconds from frame to verdict and to action, of every frame that has one."""
    source, times, metrics, at = Frames(count), Times(), Metrics(), dict[str, float]()
    with tempfile.TemporaryDirectory() as folder:
        engine = None
        sinks: list[Any] = [times]
        if target is not None:
            settings = OutputSettings.model_validate({"actions": [target], "outbox": folder, "action_deadline": 60})
            opened: list[TimedLink] = []

            def open_link(one: TargetSettings) -> Link:
                opened.append(TimedLink(make_link(one), at))
                return opened[-1]

            engine = Engine(settings, metrics, True, lambda: True, open_link=open_link)
            engine.start()
            if engine.remembers:
                sinks.append(Remember(engine))
        Pipeline(source, Inspector(model), sinks, metrics, PipelineLimits(threads=1), engine).run()
        if engine is not None:
            engine.close()
    verdicts = [times.at[number] - taken for number, taken in source.taken.items()]
    actions = [moment - source.taken[times.offsets[name]] for name, moment in at.items() if name in times.offsets]
    return verdicts, actions


@contextmanager
def server(code: str) -> Iterator[str]:
    """A server in a process of its own: its address."""
    with subprocess.Popen([sys.executable, "-W", "ignore", "-c", code], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def percentiles(values: list[float]) -> str:
    """p50, p99 and p99.9 in milliseconds."""
    if not values:
        return " | | |"
    ordered = sorted(values)
    found = (ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99, 0.999))
    return " | ".join(f"{1000 * value:.2f}" for value in found) + f" | {len(values)}"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=3000, help="of each measurement")
    count = parser.parse_args().frames
    model = Model.from_bytes(build_model(), "bench.onnx", "cpu")
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        broker, hung = Mosquitto(folders[0]), Mosquitto(folders[1])
        for one in (broker, hung):
            one.start()
            stack.callback(one.kill)
        hung.freeze(True)
        mqtt = {"name": "mqtt", "uri": broker.uri, "rules": [{"address": "gate", "window": 5}]}
        modbus = {"name": "modbus", "uri": stack.enter_context(server(MODBUS))}
        opcua = {"name": "opcua", "uri": stack.enter_context(server(OPC_UA))}
        hook = {"name": "webhook", "uri": stack.enter_context(server(WEBHOOK)), "rules": [{}]}
        targets = [
            ("MQTT, QoS 0", mqtt | {"qos": 0}),
            ("MQTT, QoS 1", mqtt),
            ("Modbus, a coil", modbus | {"rules": [{"address": "coil:1", "window": 5}]}),
            ("OPC UA, a node", opcua | {"rules": [{"address": "ns=2;s=Gate", "window": 5}]}),
            ("webhook, through the outbox", hook),
        ]
        print(f"{count} frames at {RATE:g} a second, milliseconds from a frame in memory to the target's answer\n")
        print("| target | p50 | p99 | p99.9 | actions |\n|---|---|---|---|---|")
        for name, target in targets:
            _, actions = run(model, count, target)
            print(f"| {name} | {percentiles(actions)} |", flush=True)
        cases = {"no actions": None, "MQTT answers": mqtt, "MQTT hangs": mqtt | {"uri": hung.uri, "timeout": 1}}
        found: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(ROUNDS):
            for name, case in cases.items():
                found[name] += run(model, count // ROUNDS, case)[0]
        print("\nmilliseconds from a frame in memory to its verdict\n")
        print("| | p50 | p99 | p99.9 | verdicts |\n|---|---|---|---|---|")
        for name, values in found.items():
            print(f"| {name} | {percentiles(values)} |")
        hung.freeze(False)


if __name__ == "__main__":
    main()
