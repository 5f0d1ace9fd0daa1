"""From our folders, or those that `andon-monitor export` writes, to a file of annotations of another tool."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from andon_monitor.errors import UsageError
from andon_monitor.image_files.decoding import DEFAULT_LIMITS, DecodingLimits, read_header

from andon_trainer.annotations import coco, cvat, label_studio
from andon_trainer.annotations.exported import ExportedImage
from andon_trainer.data.dataset import Dataset
from andon_trainer.data.images import naming, read_bytes
from andon_trainer.data.masks import read_mask
from andon_trainer.data.sample import Sample
from andon_trainer.progress import Progress, quiet

WRITERS = {"coco": coco.write, "cvat": cvat.write, "label-studio": label_studio.write}


def export_annotations(
    dataset: Dataset, target_format: str, limits: DecodingLimits = DEFAULT_LIMITS, progress: Progress = quiet
) -> tuple[str, int]:
    """The file's text, and the number of images in it; they stay where they are. Raises UsageError."""
    samples = sorted({sample.path: sample for sample in (*dataset.train, *dataset.test)}.values(), key=_by_path)
    text = WRITERS[target_format](_images(dataset.root, samples, limits, progress))
    return text, len(samples)


def _by_path(sample: Sample) -> Path:
    return sample.path


def _images(
    root: Path, samples: Sequence[Sample], limits: DecodingLimits, progress: Progress
) -> Iterator[ExportedImage]:
    for number, sample in enumerate(samples):
        progress("exporting", number / len(samples))
        if not sample.path.is_file():
            raise UsageError(f"{sample.path}: no image file; right is a folder of image files")
        with naming(sample.path):
            header = read_header(read_bytes(sample.path))
        mask = None if sample.mask is None else read_mask(sample.mask, header.upright_size, limits)
        name = sample.path.relative_to(root).as_posix()
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{root}: {name!a}: a name that is not UTF-8; rename the file") from None
        yield ExportedImage(name, sample.label, header.upright_size, mask)
