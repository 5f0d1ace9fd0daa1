"""Basler's cameras through pypylon, the extra `andon[pylon]`; `PYLON_CAMEMU=2` makes two emulated ones."""

import time
from collections.abc import Mapping
from typing import Any

from andon_monitor.errors import InstallationError, first_line
from andon_monitor.sources.industrial.device import FeatureError, Grab, Kind, Value, choose
from andon_monitor.sources.live import CameraLost

BUFFERS = 16  # images that wait for us before the camera's next ones are lost
TICKS_PER_SECOND = 1e9  # of a camera's clock, where it does not say another number
TICK_FREQUENCY = "GevTimestampTickFrequency"


class PylonFeatures:
    """A camera's node map."""

    def __init__(self, library: Any, nodes: Any) -> None:
        self._library = library
        self._nodes = nodes
        self._kinds: dict[int, Kind] = {
            library.genicam.intfIInteger: "integer",
            library.genicam.intfIFloat: "float",
            library.genicam.intfIBoolean: "boolean",
            library.genicam.intfIEnumeration: "enumeration",
            library.genicam.intfIString: "string",
            library.genicam.intfICommand: "command",
        }

    def kind(self, name: str) -> Kind | None:
        """See `Features`."""
        node = self._nodes.GetNode(name)
        if node is None or not self._library.genicam.IsAvailable(node):
            return None
        return self._kinds.get(node.GetNode().GetPrincipalInterfaceType())

    def set(self, name: str, value: Value) -> None:
        """See `Features`."""
        node = self._node(name)
        try:
            if isinstance(value, str):
                node.FromString(value)
            else:
                node.SetValue(value)
        except Exception as error:  # pypylon's exceptions share no base class that it documents
            raise FeatureError(_reason(error)) from None

    def bounds(self, name: str) -> tuple[float, float]:
        """See `Features`."""
        node = self._node(name)
        return node.GetMin(), node.GetMax()

    def increment(self, name: str) -> int:
        """See `Features`."""
        return int(self._node(name).GetInc())

    def entries(self, name: str) -> Mapping[str, int]:
        """See `Features`."""
        node = self._node(name)
        found = {}
        for symbol in node.GetSymbolics():
            entry = node.GetEntryByName(symbol)
            if entry is not None and self._library.genicam.IsAvailable(entry):
                found[symbol] = int(entry.GetValue())
        return found

    def number(self, name: str) -> int:
        """See `Features`."""
        return int(self._node(name).GetIntValue())

    def execute(self, name: str) -> None:
        """See `Features`."""
        try:
            self._node(name).Execute()
        except Exception as error:
            raise FeatureError(_reason(error)) from None

    def _node(self, name: str) -> Any:
        node = self._nodes.GetNode(name)
        if self.kind(name) is None:
            raise FeatureError(f"no feature {name}")
        return node


class PylonDevice:
    """An open camera of Basler's. `chunks` are names of chunk data to read with each image."""

    def __init__(self, wanted: str, chunks: tuple[str, ...] = ()) -> None:
        """Open the camera with this serial number, user-defined name or address; "" for the only one.

        Raises CameraLost, InstallationError.
        """
        self._library = load_library()
        factory = self._library.pylon.TlFactory.GetInstance()
        infos = {info.GetFullName(): info for info in factory.EnumerateDevices()}
        info = infos[choose(wanted, {name: _names(info) for name, info in infos.items()})]
        if not factory.IsDeviceAccessible(info):
            raise CameraLost("another program uses this camera; stop it")
        try:
            self._camera = self._library.pylon.InstantCamera(factory.CreateDevice(info))
            self._camera.Open()
        except Exception as error:
            raise CameraLost(_reason(error)) from None
        self.features = PylonFeatures(self._library, self._camera.GetNodeMap())
        self._chunks = chunks
        self._ticks_per_second = TICKS_PER_SECOND
        if self.features.kind(TICK_FREQUENCY) == "integer":
            self._ticks_per_second = self._camera.GetNodeMap().GetNode(TICK_FREQUENCY).GetValue() or TICKS_PER_SECOND

    def start(self) -> None:
        """See `Device`."""
        try:
            self._camera.MaxNumBuffer.SetValue(BUFFERS)
            self._camera.StartGrabbing(self._library.pylon.GrabStrategy_OneByOne)
        except Exception as error:
            raise CameraLost(_reason(error)) from None

    def grab(self, timeout: float) -> Grab | None:
        """See `Device`."""
        if self._camera.IsCameraDeviceRemoved():
            raise CameraLost("the camera was unplugged, or does not answer")
        try:
            result = self._camera.RetrieveResult(
                max(1, round(timeout * 1000)), self._library.pylon.TimeoutHandling_Return
            )
            if not result.IsValid():
                return None
            with result:
                return self._grabbed(result)
        except Exception as error:
            raise CameraLost(_reason(error)) from None

    def lost_packets(self) -> int:
        """See `Device`."""
        try:
            return int(self._camera.GetStreamGrabberNodeMap().GetNode("Statistic_Failed_Packet_Count").GetValue())
        except Exception:  # USB cameras have no packets
            return 0

    def close(self) -> None:
        """See `Device`."""
        for step in (self._camera.StopGrabbing, self._camera.Close, self._camera.DestroyDevice):
            try:
                step()
            except Exception:  # a camera that is gone cannot be stopped
                continue

    def _grabbed(self, result: Any) -> Grab:
        ticks = int(result.GetTimeStamp())
        time_of_camera = ticks / self._ticks_per_second if ticks else None
        frame_id, arrived = int(result.GetBlockID()), time.time()
        if not result.GrabSucceeded():
            damage = result.GetErrorDescription().strip() or f"error {result.GetErrorCode()}"
            return Grab(b"", 0, 0, 0, 0, frame_id, time_of_camera, arrived, damage)
        return Grab(
            bytes(result.GetBuffer()),
            result.GetWidth(),
            result.GetHeight(),
            result.GetPixelType(),
            result.GetPaddingX(),
            frame_id,
            time_of_camera,
            arrived,
            chunks=self._read_chunks(result),
        )

    def _read_chunks(self, result: Any) -> tuple[tuple[str, str], ...]:
        if not self._chunks or not result.IsChunkDataAvailable():
            return ()
        nodes = result.GetChunkDataNodeMap()
        found = ((name, nodes.GetNode(f"Chunk{name}")) for name in self._chunks)
        return tuple((name, node.ToString()) for name, node in found if node and self._library.genicam.IsReadable(node))


def load_library() -> Any:
    """The package pypylon. Raises InstallationError."""
    try:
        import pypylon
        import pypylon.genicam
        import pypylon.pylon
    except ImportError as error:
        raise InstallationError(f"pylon: needs pypylon ({first_line(error)}); install andon[pylon]") from None
    return pypylon


def _names(info: Any) -> tuple[str, ...]:
    """The names of a camera, the serial number first."""
    names = [info.GetSerialNumber(), info.GetUserDefinedName(), info.GetFullName()]
    names += [info.GetIpAddress()] if info.IsIpAddressAvailable() else []
    return tuple(name for name in names if name)


def _reason(error: Exception) -> str:
    """What pylon says, without the place in its source files."""
    return first_line(error).split(" : ", 1)[0].rstrip(". ")
