"""GenICam cameras of all makers, GigE Vision and USB3 Vision, through Aravis."""

import ctypes
import threading
import time
from collections.abc import Mapping
from ctypes import byref, c_double, c_int, c_int64, c_size_t, c_uint
from typing import Any

from andon_monitor.sources.industrial.aravis_library import CONTROL_LOST, Aravis, AravisError, load_library
from andon_monitor.sources.industrial.device import FeatureError, Grab, Kind, Value, choose
from andon_monitor.sources.live import CameraLost

KINDS: tuple[Kind, ...] = ("enumeration", "command", "boolean", "float", "integer", "string")  # the narrowest first
# Images that wait for us before the camera's next ones are lost, within this memory.
MIN_BUFFERS, MAX_BUFFERS = 4, 32
BUFFER_BYTES = 256 * 2**20
SUCCESS, CLEARED, ABORTED = 0, 1, 7  # states of a buffer; the others are damage
IMAGE = 1  # the kind of a buffer's part: pixels in rows
DAMAGES = {
    2: "packets are missing (time-out)",
    3: "packets are missing",
    4: "packets in a wrong order",
    5: "of another size than announced",
    6: "not complete",
    8: "a kind of payload that is not supported",
}
# One search at a time: Aravis' list of cameras is one for the whole process.
_search = threading.Lock()
# By the address of a device: set once it does not answer. Aravis' own threads call the handler, so it is never freed.
_gone: dict[int, threading.Event] = {}


def _set_gone(device: int, _: object) -> None:
    if (gone := _gone.get(device)) is not None:
        gone.set()


_note_lost_control = CONTROL_LOST(_set_gone)


class AravisFeatures:
    """The features of a device."""

    def __init__(self, library: Aravis, device: Any) -> None:
        self._library = library
        self._device = device

    def kind(self, name: str) -> Kind | None:
        """See `Features`."""
        node = self._library.arv_device_get_feature(self._device, name.encode())
        if not node:
            return None
        try:
            if not self._library.arv_device_is_feature_available(self._device, name.encode()):
                return None
        except AravisError:
            return None
        for kind in KINDS:
            if self._library.g_type_check_instance_is_a(node, getattr(self._library, f"arv_gc_{kind}_get_type")()):
                return kind
        return None

    def set(self, name: str, value: Value) -> None:
        """See `Features`."""
        if isinstance(value, str):
            self._call("set_string_feature_value", name, value.encode())
        elif isinstance(value, bool):
            self._call("set_boolean_feature_value", name, int(value))
        elif isinstance(value, float):
            self._call("set_float_feature_value", name, value)
        else:
            self._call("set_integer_feature_value", name, value)

    def bounds(self, name: str) -> tuple[float, float]:
        """See `Features`."""
        if self.kind(name) == "float":
            lowest, highest = c_double(), c_double()
            self._call("get_float_feature_bounds", name, byref(lowest), byref(highest))
            return lowest.value, highest.value
        low, high = c_int64(), c_int64()
        self._call("get_integer_feature_bounds", name, byref(low), byref(high))
        return low.value, high.value

    def increment(self, name: str) -> int:
        """See `Features`."""
        return int(self._call("get_integer_feature_increment", name))

    def entries(self, name: str) -> Mapping[str, int]:
        """See `Features`."""
        count = c_uint()
        names = self._call("dup_available_enumeration_feature_values_as_strings", name, byref(count))
        texts = [names[i].decode() for i in range(count.value)]
        self._library.g_free(names)
        values = self._call("dup_available_enumeration_feature_values", name, byref(count))
        numbers = [values[i] for i in range(count.value)]
        self._library.g_free(values)
        return dict(zip(texts, numbers, strict=True))

    def number(self, name: str) -> int:
        """See `Features`."""
        return int(self._call("get_integer_feature_value", name))

    def execute(self, name: str) -> None:
        """See `Features`."""
        self._call("execute_command", name)

    def _call(self, function: str, name: str, *arguments: Any) -> Any:
        try:
            return getattr(self._library, f"arv_device_{function}")(self._device, name.encode(), *arguments)
        except AravisError as error:
            raise FeatureError(str(error)) from None


class AravisDevice:
    """An open camera. `chunks` are names of chunk data to read with each image."""

    def __init__(self, wanted: str, chunks: tuple[str, ...] = ()) -> None:
        """Open the camera with this serial number, address or id; "" for the only one.

        Raises CameraLost, InstallationError.
        """
        self._library = library = load_library()
        with _search:
            library.arv_update_device_list()
            found = {}
            for i in range(library.arv_get_n_devices()):
                names = (library.arv_get_device_serial_nbr(i), library.arv_get_device_address(i))
                key = library.arv_get_device_id(i).decode(errors="replace")
                found[key] = (*(name.decode(errors="replace") for name in names if name), key)
        try:
            self._camera = library.arv_camera_new(choose(wanted, found).encode())
        except AravisError as error:
            raise CameraLost(str(error)) from None
        self._device = library.arv_camera_get_device(self._camera)
        self._stream: Any = None
        self._parser: Any = library.arv_camera_create_chunk_parser(self._camera) if chunks else None
        self._chunks = chunks
        self._gone = _gone[self._device] = threading.Event()
        library.g_signal_connect_data(self._device, b"control-lost", _note_lost_control, None, None, 0)
        if library.arv_camera_is_gv_device(self._camera) and not library.arv_gv_device_is_controller(self._device):
            self._gone.set()  # there is nothing to stop
            self.close()
            raise CameraLost("another program uses this camera; stop it")
        self.features = AravisFeatures(library, self._device)

    def start(self) -> None:
        """See `Device`."""
        library = self._library
        try:
            self._stream = library.arv_camera_create_stream(self._camera, None, None)
            size = library.arv_camera_get_payload(self._camera)
            for _ in range(max(MIN_BUFFERS, min(MAX_BUFFERS, BUFFER_BYTES // max(size, 1)))):
                library.arv_stream_push_buffer(self._stream, library.arv_buffer_new_allocate(size))
            library.arv_camera_start_acquisition(self._camera)
        except AravisError as error:
            raise CameraLost(str(error)) from None

    def grab(self, timeout: float) -> Grab | None:
        """See `Device`."""
        buffer = self._library.arv_stream_timeout_pop_buffer(self._stream, max(1, round(timeout * 1e6)))
        if not buffer:
            if self._gone.is_set():
                raise CameraLost("the camera was unplugged, or does not answer")
            return None
        try:
            return self._grabbed(buffer)
        finally:
            self._library.arv_stream_push_buffer(self._stream, buffer)

    def lost_packets(self) -> int:
        """See `Device`."""
        return int(self._library.arv_stream_get_info_uint64_by_name(self._stream, b"n_missing_packets"))

    def close(self) -> None:
        """See `Device`."""
        library = self._library
        if self._stream is not None and not self._gone.is_set():
            try:
                library.arv_camera_stop_acquisition(self._camera)
            except AravisError:
                self._gone.set()
        for owned in (self._parser, self._stream, self._camera):
            if owned is not None:
                library.g_object_unref(owned)
        self._parser = self._stream = self._camera = None
        _gone.pop(self._device, None)

    def _grabbed(self, buffer: Any) -> Grab | None:
        library = self._library
        status = library.arv_buffer_get_status(buffer)
        if status in (CLEARED, ABORTED):
            return None
        frame_id = int(library.arv_buffer_get_frame_id(buffer))
        nanoseconds = int(library.arv_buffer_get_timestamp(buffer))
        camera_time = nanoseconds / 1e9 if nanoseconds else None
        # Aravis notes our time as the first packet arrives; later the buffer may wait for us.
        arrived = library.arv_buffer_get_system_timestamp(buffer) / 1e9 or time.time()
        has_image = status == SUCCESS and library.arv_buffer_get_n_parts(buffer) > 0
        if not has_image or library.arv_buffer_get_part_data_type(buffer, 0) != IMAGE:
            damage = DAMAGES.get(status, "no image in it" if status == SUCCESS else f"state {status}")
            return Grab(b"", 0, 0, 0, 0, frame_id, camera_time, arrived, damage)
        size, padding, below = c_size_t(), c_int(), c_int()
        data = library.arv_buffer_get_image_data(buffer, byref(size))
        library.arv_buffer_get_image_padding(buffer, byref(padding), byref(below))
        return Grab(
            ctypes.string_at(data, size.value),
            library.arv_buffer_get_image_width(buffer),
            library.arv_buffer_get_image_height(buffer),
            library.arv_buffer_get_image_pixel_format(buffer),
            padding.value,
            frame_id,
            camera_time,
            arrived,
            chunks=self._read_chunks(buffer),
        )

    def _read_chunks(self, buffer: Any) -> tuple[tuple[str, str], ...]:
        if self._parser is None or not self._library.arv_buffer_has_chunks(buffer):
            return ()
        return tuple((name, value) for name in self._chunks if (value := self._chunk(buffer, name)) is not None)

    def _chunk(self, buffer: Any, name: str) -> str | None:
        for kind in ("integer", "float", "string"):
            try:
                read = getattr(self._library, f"arv_chunk_parser_get_{kind}_value")
                value = read(self._parser, buffer, f"Chunk{name}".encode())
            except AravisError:
                continue
            return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        return None
