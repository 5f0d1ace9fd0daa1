"""Whether an image file is all there, by its own marks: cheap, and without decoding."""

from andon_monitor.image_files.signatures import BMP, JPEG, PNG, WEBP, detect

JPEG_END = b"\xff\xd9"
# Cameras and editors append to a JPEG; beyond so many bytes behind its end it counts as cut short.
MAX_JPEG_TRAILER = 65536
PNG_END = b"IEND\xaeB`\x82"


def looks_whole(data: bytes) -> bool:
    """False for a file that certainly ends too early; True where its format does not say, or there is none."""
    kind = detect(data)
    if kind is JPEG:
        return JPEG_END in data[-MAX_JPEG_TRAILER:]
    if kind is PNG:
        return PNG_END in data[-MAX_JPEG_TRAILER:]
    if kind is WEBP:
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    if kind is BMP:
        return len(data) >= int.from_bytes(data[2:6], "little")
    return bool(data)
