"""Copies of model files that were in use or proposed, so that a change can be taken back."""

import hashlib
import re
from contextlib import suppress
from pathlib import Path

from andon_monitor.common.files import remove_quietly, write_whole
from andon_monitor.errors import UsageError
from andon_monitor.model.file import read_model

SUFFIX = ".onnx"
MAX_FILES = 20  # kept; a model file has 4 to 40 MB
SHA256 = re.compile(r"[0-9a-f]{64}")


class ModelFiles:
    """A folder of model files, each named by its sha256."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, sha256: str) -> bool:
        """Whether a content is kept."""
        return SHA256.fullmatch(sha256) is not None and self.path(sha256).is_file()

    def path(self, sha256: str) -> Path:
        """Where a content is, if it is kept; `sha256` was checked."""
        return self._folder / (sha256 + SUFFIX)

    def read(self, sha256: str) -> bytes:
        """A content, which is what its name says. Raises UsageError."""
        with suppress(UsageError):
            if self.has(sha256):
                content = read_model(self.path(sha256))
                if hashlib.sha256(content).hexdigest() == sha256:
                    return content
        raise UsageError(f"model {sha256[:12]} is not kept any more")

    def keep(self, content: bytes) -> str:
        """Keep a content; returns its sha256. Raises OutputError."""
        sha256 = hashlib.sha256(content).hexdigest()
        if not self.has(sha256):
            write_whole(self.path(sha256), content)
        return sha256

    def trim(self, wanted: list[str]) -> None:
        """Remove all but the first `MAX_FILES` of `wanted`."""
        kept = set(wanted[:MAX_FILES])
        for path in self._folder.glob(f"*{SUFFIX}"):
            if path.stem not in kept:
                remove_quietly(path)
