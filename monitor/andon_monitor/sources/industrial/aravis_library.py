"""The functions of Aravis that are used, by ctypes: nothing is to be compiled, and a Debian package has the library.

Only documented functions of the stable series 0.8. A test holds names and arguments against the installed library.
"""

import ctypes
import ctypes.util
from collections.abc import Callable
from ctypes import POINTER, byref, c_bool, c_char_p, c_double, c_int, c_int64, c_size_t, c_uint, c_uint32, c_uint64
from functools import cache
from typing import Any

from andon_monitor.errors import InstallationError

LIBRARY = "aravis-0.8"
FILE = "libaravis-0.8.so.0"  # where there is no compiler, find_library may find nothing

Pointer = ctypes.c_void_p
CONTROL_LOST = ctypes.CFUNCTYPE(None, Pointer, Pointer)  # a handler of the signal


class AravisError(Exception):
    """What Aravis says in a GError."""


class GError(ctypes.Structure):
    """GLib's error."""

    _fields_ = (("domain", c_uint32), ("code", c_int), ("message", c_char_p))


# Result and arguments of each function; those in FAILING have a GError in addition, as the last argument.
PLAIN: dict[str, tuple[Any, ...]] = {
    "arv_update_device_list": (None,),
    "arv_get_n_devices": (c_uint,),
    "arv_get_device_id": (c_char_p, c_uint),
    "arv_get_device_serial_nbr": (c_char_p, c_uint),
    "arv_get_device_address": (c_char_p, c_uint),
    "arv_camera_get_device": (Pointer, Pointer),
    "arv_camera_is_gv_device": (c_bool, Pointer),
    "arv_gv_device_is_controller": (c_int, Pointer),
    "arv_device_get_feature": (Pointer, Pointer, c_char_p),
    "arv_buffer_new_allocate": (Pointer, c_size_t),
    "arv_buffer_get_status": (c_int, Pointer),
    "arv_buffer_get_frame_id": (c_uint64, Pointer),
    "arv_buffer_get_timestamp": (c_uint64, Pointer),
    "arv_buffer_get_system_timestamp": (c_uint64, Pointer),
    "arv_buffer_get_image_width": (c_int, Pointer),
    "arv_buffer_get_image_height": (c_int, Pointer),
    "arv_buffer_get_image_pixel_format": (c_uint32, Pointer),
    "arv_buffer_get_image_padding": (None, Pointer, POINTER(c_int), POINTER(c_int)),
    "arv_buffer_get_image_data": (Pointer, Pointer, POINTER(c_size_t)),
    "arv_buffer_get_n_parts": (c_uint, Pointer),
    "arv_buffer_get_part_data_type": (c_int, Pointer, c_uint),
    "arv_buffer_has_chunks": (c_int, Pointer),
    "arv_stream_push_buffer": (None, Pointer, Pointer),
    "arv_stream_timeout_pop_buffer": (Pointer, Pointer, c_uint64),
    "arv_stream_get_info_uint64_by_name": (c_uint64, Pointer, c_char_p),
    "arv_camera_create_chunk_parser": (Pointer, Pointer),
    **{
        f"arv_gc_{kind}_get_type": (c_size_t,)
        for kind in ("integer", "float", "boolean", "enumeration", "string", "command")
    },
    "g_type_check_instance_is_a": (c_int, Pointer, c_size_t),
    "g_object_unref": (None, Pointer),
    "g_free": (None, Pointer),
    "g_error_free": (None, Pointer),
    "g_signal_connect_data": (c_size_t, Pointer, c_char_p, CONTROL_LOST, Pointer, Pointer, c_int),
}
FAILING: dict[str, tuple[Any, ...]] = {
    "arv_camera_new": (Pointer, c_char_p),
    "arv_camera_create_stream": (Pointer, Pointer, Pointer, Pointer),
    "arv_camera_get_payload": (c_uint, Pointer),
    "arv_camera_start_acquisition": (None, Pointer),
    "arv_camera_stop_acquisition": (None, Pointer),
    "arv_device_set_integer_feature_value": (None, Pointer, c_char_p, c_int64),
    "arv_device_set_float_feature_value": (None, Pointer, c_char_p, c_double),
    "arv_device_set_boolean_feature_value": (None, Pointer, c_char_p, c_int),
    "arv_device_set_string_feature_value": (None, Pointer, c_char_p, c_char_p),
    "arv_device_get_integer_feature_value": (c_int64, Pointer, c_char_p),
    "arv_device_get_integer_feature_bounds": (None, Pointer, c_char_p, POINTER(c_int64), POINTER(c_int64)),
    "arv_device_get_integer_feature_increment": (c_int64, Pointer, c_char_p),
    "arv_device_get_float_feature_bounds": (None, Pointer, c_char_p, POINTER(c_double), POINTER(c_double)),
    "arv_device_is_feature_available": (c_int, Pointer, c_char_p),
    "arv_device_execute_command": (None, Pointer, c_char_p),
    "arv_device_dup_available_enumeration_feature_values": (
        POINTER(c_int64),
        Pointer,
        c_char_p,
        POINTER(c_uint),
    ),
    "arv_device_dup_available_enumeration_feature_values_as_strings": (
        POINTER(c_char_p),
        Pointer,
        c_char_p,
        POINTER(c_uint),
    ),
    "arv_chunk_parser_get_integer_value": (c_int64, Pointer, Pointer, c_char_p),
    "arv_chunk_parser_get_float_value": (c_double, Pointer, Pointer, c_char_p),
    "arv_chunk_parser_get_string_value": (c_char_p, Pointer, Pointer, c_char_p),
}


class Aravis:
    """The library: each function by its name, which raises AravisError where Aravis reports an error."""

    def __init__(self, library: ctypes.CDLL) -> None:
        for name, (result, *arguments) in PLAIN.items():
            setattr(self, name, _declared(library, name, result, arguments))
        for name, (result, *arguments) in FAILING.items():
            declared = _declared(library, name, result, [*arguments, POINTER(POINTER(GError))])
            setattr(self, name, self._checked(declared))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(f"{name} is not declared in {__name__}")

    def _checked(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            error = POINTER(GError)()
            result = function(*arguments, byref(error))
            if error:
                message = error.contents.message.decode(errors="replace")
                self.g_error_free(error)
                raise AravisError(message.strip().splitlines()[0] if message.strip() else "unknown error")
            return result

        return call


def _declared(library: ctypes.CDLL, name: str, result: Any, arguments: list[Any]) -> Callable[..., Any]:
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


@cache
def load_library() -> Aravis:
    """Load Aravis. Raises InstallationError."""
    try:
        return Aravis(ctypes.CDLL(ctypes.util.find_library(LIBRARY) or FILE))
    except OSError:
        raise InstallationError(
            "genicam: needs Aravis 0.8; install it, on Debian and Ubuntu: apt install libaravis-0.8-0"
        ) from None
    except AttributeError as error:
        raise InstallationError(f"genicam: this is an Aravis without a function that is needed ({error})") from None
