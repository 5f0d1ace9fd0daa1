"""The settings of an industrial camera, applied to its GenICam features (SFNC names, and older ones)."""

from contextlib import suppress

from andon_monitor.errors import UsageError
from andon_monitor.settings.groups import CameraSettings
from andon_monitor.sources.industrial.device import FeatureError, Features, Value
from andon_monitor.sources.industrial.pixel_formats import find_format

# The name of the Standard Feature Naming Convention first, then those of cameras from before it.
EXPOSURE = ("ExposureTime", "ExposureTimeAbs", "ExposureTimeRaw")
GAIN = ("Gain", "GainAbs", "GainRaw")
FRAME_RATE = ("AcquisitionFrameRate", "AcquisitionFrameRateAbs")
FRAME_RATE_ENABLE = ("AcquisitionFrameRateEnable", "AcquisitionFrameRateEnabled")
PIXEL_FORMAT = "PixelFormat"
MAX_ENTRIES_SHOWN = 30


def apply_settings(features: Features, settings: CameraSettings) -> None:
    """Set what the settings give, in the order in which a camera takes it.

    Raises UsageError, one line: the setting, its value, what would be right.
    """
    for feature, given in settings.features.items():
        _set(features, f"camera.features: {feature}", feature, given)
    if settings.pixel_format is not None:
        _set(features, "camera.pixel_format", PIXEL_FORMAT, _own_name(features, settings.pixel_format))
    _check_pixel_format(features)
    if settings.region is not None:
        _set_region(features, settings.region)
    if settings.exposure is not None:
        _set_if_there(features, "ExposureAuto", "Off")
        _set_first(features, "camera.exposure", EXPOSURE, settings.exposure)
    if settings.gain is not None:
        _set_if_there(features, "GainAuto", "Off")
        _set_first(features, "camera.gain", GAIN, settings.gain)
    if settings.trigger is not None:
        _set_trigger(features, settings)
    # With a software trigger the frame rate is that of the trigger, see `IndustrialSource`.
    if settings.frame_rate is not None and settings.trigger != "software":
        for name in FRAME_RATE_ENABLE:
            _set_if_there(features, name, True)
        _set_first(features, "camera.frame_rate", FRAME_RATE, settings.frame_rate)
    _set_if_there(features, "AcquisitionMode", "Continuous")
    if settings.chunks:
        if features.kind("ChunkModeActive") is None or features.kind("ChunkSelector") is None:
            raise UsageError(f"camera.chunks: {_listed(list(settings.chunks))}: this camera sends no chunk data")
        _set(features, "camera.chunks", "ChunkModeActive", True)
        for chunk in settings.chunks:
            _set(features, "camera.chunks", "ChunkSelector", chunk)
            _set(features, f"camera.chunks: {chunk}", "ChunkEnable", True)


def _set_region(features: Features, region: tuple[int, int, int, int]) -> None:
    left, top, width, height = region
    for name in ("OffsetX", "OffsetY"):  # first: they limit width and height
        _set_if_there(features, name, 0)
    for name, value in (("Width", width), ("Height", height), ("OffsetX", left), ("OffsetY", top)):
        _set(features, f"camera.region: {name}", name, value)


def _set_trigger(features: Features, settings: CameraSettings) -> None:
    if features.kind("TriggerMode") is None:
        if settings.trigger != "off":
            raise UsageError(f"camera.trigger: {settings.trigger}: this camera has no trigger (feature TriggerMode)")
        return
    selectors = features.entries("TriggerSelector") if features.kind("TriggerSelector") else {}
    for selector in selectors or {"": 0}:
        if selector:
            _set(features, "camera.trigger", "TriggerSelector", selector)
        _set(features, "camera.trigger", "TriggerMode", "Off")
    if settings.trigger == "off":
        return
    if selectors:
        _set(features, "camera.trigger", "TriggerSelector", "FrameStart")
    source, setting = (
        ("Software", "camera.trigger")
        if settings.trigger == "software"
        else (settings.trigger_line, "camera.trigger_line")
    )
    _set(features, setting, "TriggerSource", source)
    _set(features, "camera.trigger", "TriggerMode", "On")


def _own_name(features: Features, name: str) -> str:
    """The camera's name of a pixel format that is given by its PFNC name: older cameras call RGB8 RGB8Packed."""
    entries = features.entries(PIXEL_FORMAT)
    if name in entries:
        return name
    same = (entry for entry, code in entries.items() if (known := find_format(code)) and known.name == name)
    return next(same, name)


def _check_pixel_format(features: Features) -> None:
    """Raise UsageError where the camera would send pixels that are not known."""
    entries = features.entries(PIXEL_FORMAT)
    number = features.number(PIXEL_FORMAT)
    if find_format(number) is None:
        name = next((name for name, code in entries.items() if code == number), f"{number:#010x}")
        known = [entry for entry, code in entries.items() if find_format(code) is not None]
        right = f"this camera also has {_listed(known)}" if known else "this camera has no other"
        raise UsageError(f"camera.pixel_format: {name} is not supported; {right}")


def _set_first(features: Features, setting: str, names: tuple[str, ...], value: float) -> None:
    """Set the first of these features that the camera has."""
    name = next((name for name in names if features.kind(name) is not None), names[0])
    _set(features, setting, name, round(value) if features.kind(name) == "integer" else value)


def _set_if_there(features: Features, name: str, value: Value) -> None:
    if features.kind(name) is None or (features.kind(name) == "enumeration" and value not in features.entries(name)):
        return
    with suppress(UsageError):  # it may be fixed; what the settings then need says so itself
        _set(features, name, name, value)


def _set(features: Features, setting: str, name: str, value: Value) -> None:
    kind = features.kind(name)
    if kind is None:
        raise UsageError(f"{setting}: {value!r}: this camera has no feature {name}")
    if kind == "enumeration":
        entries = features.entries(name)
        if isinstance(value, bool):  # YAML reads On and Off so
            value = "On" if value else "Off"
        if value not in entries:
            raise UsageError(f"{setting}: {value!r} should be one of {_listed(list(entries))}")
    elif kind in ("integer", "float"):
        _check_number(features, setting, name, value)
    elif kind in ("boolean", "command") and value is not True and (kind == "command" or value is not False):
        right = "true, to execute it" if kind == "command" else "true or false"
        raise UsageError(f"{setting}: {value!r} should be {right}")
    elif kind == "string" and not isinstance(value, str):
        raise UsageError(f"{setting}: {value!r} should be a text: in quotes")
    try:
        if kind == "command":
            features.execute(name)
        else:
            features.set(name, float(value) if kind == "float" else value)
    except FeatureError as error:
        raise UsageError(f"{setting}: {value!r}: the camera refuses it ({error})") from None


def _check_number(features: Features, setting: str, name: str, value: Value) -> None:
    whole = features.kind(name) == "integer"
    if isinstance(value, bool | str) or (whole and not isinstance(value, int)):
        raise UsageError(f"{setting}: {value!r} should be a {'whole ' if whole else ''}number")
    low, high = features.bounds(name)
    if not low <= value <= high:
        raise UsageError(f"{setting}: {value:g} should be {low:g} to {high:g}, says the camera")
    step = features.increment(name) if whole else 1
    if step > 1 and (int(value) - int(low)) % step:
        raise UsageError(f"{setting}: {value} should be {int(low)} plus a multiple of {step}, says the camera")


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:MAX_ENTRIES_SHOWN])
    return shown if len(names) <= MAX_ENTRIES_SHOWN else f"{shown}, ..."
