"""What a folder's manifest says of its images: label, part and batch. `andon-monitor collect` writes such a folder."""

from dataclasses import dataclass
from pathlib import Path

from andon_monitor.errors import UsageError
from andon_monitor.inspection.part import read_part
from andon_monitor.sources.folder import MANIFEST as MANIFEST
from andon_monitor.sources.folder import read_manifest


@dataclass(frozen=True, slots=True)
class Facts:
    """The label of an image, which part it shows and its batch; None where the manifest has none."""

    label: str | None = None
    part: str | None = None
    batch: str | None = None


def manifest_facts(root: Path) -> dict[Path, Facts] | None:
    """The facts of each image that the manifest of a folder names; None where it has no manifest.

    An image that is not there any more is left out: people delete those that they do not want. Raises UsageError.
    """
    manifest = root / MANIFEST
    if not manifest.is_file():
        return None
    facts = {}
    for place, fields in read_manifest(manifest):
        label = fields.get("label")
        if label is not None and (not isinstance(label, str) or not label):
            raise UsageError(f"{place}: label {label!r:.60} is not a name")
        part, _ = read_part(fields.get("part"))
        known = None if part is None or part.id is None else f"{part.product or ''}/{part.id}"
        batch = fields.get("batch")
        if batch is not None and (not isinstance(batch, str) or not batch):
            raise UsageError(f"{place}: batch {batch!r:.60} is not a name")
        facts[root / fields["file"]] = Facts(label, known, batch)
    return facts
