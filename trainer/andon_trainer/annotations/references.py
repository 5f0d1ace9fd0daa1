"""Where the images are that a file of annotations names: below one folder, wherever the file says they once were."""

import re
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from andon_monitor.common.text import shown
from andon_monitor.errors import UsageError

# Label Studio puts eight digits in front of the name of an image that is uploaded to it.
UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")
MAX_LENGTH = 2000  # characters of a reference


class MissingImageError(UsageError):
    """An image that is not in the folder."""


class ImageFolder:
    """Finds images below `root`. A file of annotations never leads out of it, nor do links in it."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise UsageError(f"{root}: no such folder; right is the folder that has the images")
        self.root = root
        self._real = root.resolve()

    def find(self, reference: str, place: str) -> Path:
        """The image of a reference: a path, or an address such as s3://bucket/a/b.png.

        The folder may begin at any level of it: root/bucket/a/b.png, root/a/b.png and root/b.png are tried in this
        order. Raises UsageError: MissingImageError where none of them is there.
        """
        parts = _parts(reference, place)
        names = [parts[start:] for start in range(len(parts))]
        names.append([UPLOADED.sub("", parts[-1], count=1)])
        for name in names:
            path = self.root.joinpath(*name)
            try:
                if path.is_file():
                    if not path.resolve().is_relative_to(self._real):
                        raise UsageError(f"{place}: {shown(reference)}: a link out of {self.root}")
                    return path
            except OSError:  # a name that is too long
                break
        raise MissingImageError(f"{place}: {shown(reference)}: no such image in {self.root}")


def _parts(reference: str, place: str) -> list[str]:
    """The names that a reference consists of. Raises UsageError where it could lead elsewhere."""
    path = reference
    if "://" in reference or reference.startswith("/data/"):
        try:
            address = urlsplit(reference)
        except ValueError:
            raise UsageError(f"{place}: {shown(reference)} is no address") from None
        local = parse_qs(address.query).get("d")  # of Label Studio's local storage
        path = local[0] if local else f"{address.netloc}/{unquote(address.path)}"
    elif path.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", path):
        raise UsageError(f"{place}: {shown(reference)}: an absolute path; right is one below the folder of images")
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in path or not parts or len(reference) > MAX_LENGTH:
        raise UsageError(f"{place}: {shown(reference)}: leads out of the folder of images, or is no name of a file")
    return parts
