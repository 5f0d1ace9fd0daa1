"""GenICam cameras through their maker's GenTL producer (a .cti file), with harvesters, the extra `andon[gentl]`."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from andon_monitor.errors import InstallationError, UsageError, first_line
from andon_monitor.sources.industrial.device import FeatureError, Grab, Kind, Value, choose
from andon_monitor.sources.live import CameraLost

SUFFIX = ".cti"
BUFFERS = 16  # images that wait for us before the camera's next ones are lost
IMAGES = (1, 4)  # kinds of payload: an image, an image with chunk data (GenTL 1.5, PAYLOADTYPE_INFO_IDS)
# How long harvesters waits for the producer in one go, in milliseconds.
UPDATE_MILLISECONDS = 20


@dataclass(frozen=True)
class Library:
    """The modules that are used."""

    core: Any  # of harvesters
    genapi: Any  # of genicam


class GentlFeatures:
    """The node map of a remote device."""

    def __init__(self, library: Library, nodes: Any) -> None:
        self._genapi = library.genapi
        self._nodes = nodes
        types = self._genapi.EInterfaceType
        self._kinds: dict[int, Kind] = {
            types.intfIInteger: "integer",
            types.intfIFloat: "float",
            types.intfIBoolean: "boolean",
            types.intfIEnumeration: "enumeration",
            types.intfIString: "string",
            types.intfICommand: "command",
        }

    def kind(self, name: str) -> Kind | None:
        """See `Features`."""
        try:
            node = self._nodes.get_node(name)
        except Exception:  # harvesters' exceptions share no base class; this one says that there is no such node
            return None
        modes = self._genapi.EAccessMode
        if node.get_access_mode() in (modes.NI, modes.NA):
            return None
        return self._kinds.get(node.node.principal_interface_type)

    def set(self, name: str, value: Value) -> None:
        """See `Features`."""
        node = self._node(name)
        try:
            if isinstance(value, str):
                node.from_string(value)
            else:
                node.value = value
        except Exception as error:
            raise FeatureError(_reason(error)) from None

    def bounds(self, name: str) -> tuple[float, float]:
        """See `Features`."""
        node = self._node(name)
        return node.min, node.max

    def increment(self, name: str) -> int:
        """See `Features`."""
        return int(self._node(name).inc)

    def entries(self, name: str) -> Mapping[str, int]:
        """See `Features`."""
        node, modes = self._node(name), self._genapi.EAccessMode
        entries = [node.get_entry_by_name(symbol) for symbol in node.symbolics]
        return {
            entry.symbolic: int(entry.value)
            for entry in entries
            if entry is not None and entry.get_access_mode() not in (modes.NI, modes.NA)
        }

    def number(self, name: str) -> int:
        """See `Features`."""
        return int(self._node(name).get_int_value())

    def execute(self, name: str) -> None:
        """See `Features`."""
        try:
            self._node(name).execute()
        except Exception as error:
            raise FeatureError(_reason(error)) from None

    def text(self, name: str) -> str | None:
        """The value of a feature as a text, None where it cannot be read now."""
        try:
            return str(self._nodes.get_node(name).to_string())
        except Exception:
            return None

    def _node(self, name: str) -> Any:
        if self.kind(name) is None:
            raise FeatureError(f"no feature {name}")
        return self._nodes.get_node(name)


class GentlDevice:
    """An open camera of a producer. `chunks` are names of chunk data to read with each image."""

    def __init__(self, wanted: str, producer: Path, chunks: tuple[str, ...] = ()) -> None:
        """Open the camera with this serial number, user-defined name or id; "" for the only one.

        Raises CameraLost, UsageError, InstallationError.
        """
        self._library = library = load_library()
        self._chunks = chunks
        self._incomplete = 0  # images that harvesters has thrown away
        self._frame_id = 0
        self._harvester = library.core.Harvester()
        self._acquirer: Any = None
        try:
            self._load(producer)
            infos = {str(info.id_): info for info in self._harvester.device_info_list}
            key = choose(wanted, {name: _names(info) for name, info in infos.items()})
            self._acquirer = self._harvester.create({"id_": key})
            self.features = GentlFeatures(library, self._acquirer.remote_device.node_map)
        except (CameraLost, UsageError):
            self.close()
            raise
        except Exception as error:
            self.close()
            in_use = type(error).__name__ in ("ResourceInUseException", "AccessDeniedException")
            raise CameraLost("another program uses this camera; stop it" if in_use else _reason(error)) from None

    def start(self) -> None:
        """See `Device`."""
        acquirer = self._acquirer
        try:
            acquirer.num_buffers = max(BUFFERS, acquirer.min_num_buffers)
            acquirer.timeout_period_on_update_event_data_call = UPDATE_MILLISECONDS
            noting = type("Noting", (self._library.core.Callback,), {"emit": lambda *_: self._note_incomplete()})
            acquirer.add_callback(acquirer.Events.INCOMPLETE_BUFFER, noting())
            acquirer.start()
        except Exception as error:
            raise CameraLost(_reason(error)) from None

    def grab(self, timeout: float) -> Grab | None:
        """See `Device`."""
        try:
            buffer = self._acquirer.try_fetch(timeout=timeout)
            if buffer is not None:
                try:
                    return self._grabbed(buffer.module)
                finally:
                    buffer.queue()
        except Exception as error:
            raise CameraLost(_reason(error)) from None
        if not self._incomplete:
            return None
        self._incomplete -= 1
        self._frame_id += 1
        return Grab(b"", 0, 0, 0, 0, self._frame_id, None, time.time(), "parts of it are missing")

    def lost_packets(self) -> int:
        """See `Device`. A producer does not say."""
        return 0

    def close(self) -> None:
        """See `Device`."""
        steps = [self._harvester.reset]
        if self._acquirer is not None:
            steps = [self._acquirer.stop, self._acquirer.destroy, *steps]
        for step in steps:
            try:
                step()
            except Exception:  # a camera that is gone cannot be stopped
                continue

    def _load(self, producer: Path) -> None:
        files = sorted(producer.glob(f"*{SUFFIX}")) if producer.is_dir() else [producer]
        if not files or not all(file.is_file() for file in files):
            raise UsageError(f"camera.producer: {producer}: no GenTL producer ({SUFFIX}) there")
        for file in files:
            try:
                self._harvester.add_file(str(file), check_existence=True, check_validity=True)
            except Exception as error:
                raise UsageError(f"camera.producer: {file}: not a GenTL producer ({_reason(error)})") from None
        self._harvester.update()

    def _note_incomplete(self) -> None:
        self._incomplete += 1

    def _grabbed(self, module: Any) -> Grab:
        self._frame_id = int(_or_none(lambda: module.frame_id) or self._frame_id + 1)
        nanoseconds = _or_none(lambda: module.timestamp_ns)
        camera_time = nanoseconds / 1e9 if nanoseconds else None
        arrived = time.time()
        if _or_none(lambda: module.payload_type) not in IMAGES:
            return Grab(
                b"", 0, 0, 0, 0, self._frame_id, camera_time, arrived, "a kind of payload that is not supported"
            )
        raw = memoryview(module.raw_buffer)
        return Grab(
            bytes(raw[int(_or_none(lambda: module.image_offset) or 0) :]),
            int(module.width),
            int(module.height),
            int(module.pixel_format),
            int(_or_none(lambda: module.padding_x) or 0),
            self._frame_id,
            camera_time,
            arrived,
            chunks=tuple(
                (name, text) for name in self._chunks if (text := self.features.text(f"Chunk{name}")) is not None
            ),
        )


def load_library() -> Library:
    """The packages harvesters and genicam. Raises InstallationError."""
    try:
        from genicam import genapi
        from harvesters import core
    except ImportError as error:
        raise InstallationError(
            f"camera.producer: needs harvesters ({first_line(error)}); install andon[gentl]"
        ) from None
    return Library(core, genapi)


def _names(info: Any) -> tuple[str, ...]:
    """The names of a camera, the serial number first."""
    names = (_or_none(lambda: info.serial_number), _or_none(lambda: info.user_defined_name), info.id_)
    return tuple(str(name) for name in names if name)


def _or_none(read: Any) -> Any:
    """What a producer says, None where it does not say it: not each one knows everything."""
    try:
        return read()
    except Exception:
        return None


def _reason(error: Exception) -> str:
    """What the library says, without the place in its source files."""
    return first_line(error).split(" : ", 1)[0].rstrip(". ")
