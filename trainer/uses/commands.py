"""The commands reduce, denoise, compress, decompress and classify: their arguments, and what they print."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from monitor.errors import UsageError
from monitor.files import check_writable, whole_file, write_whole
from trainer.console import ModelFile, Output, ShowProgress, check_choice, check_range, out, progress_bar, say

if TYPE_CHECKING:
    from monitor.autoencoder import Autoencoder
    from monitor.imaging import Pixels

app = typer.Typer()

Images = Annotated[
    Path, typer.Argument(help="A folder of images, MVTec AD layout (its test images), or an array file.")
]
Picture = Annotated[Path | None, typer.Option("--picture", help="Also draw the result: a PNG file.")]


@app.command()
def reduce(
    model_file: ModelFile,
    images: Images,
    output: Annotated[Path, typer.Option("--output", "-o", help="Table to write: .parquet, .csv or .npz.")],
    picture: Picture = None,
    colour_by: Annotated[str, typer.Option(help="What colours the picture: label or score.")] = "label",
    pca_on: Annotated[
        Path | None,
        typer.Option(help="Images that PCA is fitted to; else train/good beside the test images, or the images."),
    ] = None,
) -> None:
    """Write the latent vectors of images, and say what they keep of them beside as many principal components."""
    check_choice("--colour-by", colour_by, ("label", "score"))
    check_targets(output, picture)
    from monitor.autoencoder import Autoencoder
    from trainer.dataset import load_images, open_dataset
    from trainer.uses import pictures, reduction

    if output.suffix not in reduction.FORMATS:
        raise UsageError(f"{output}: give a name that ends in {', '.join(reduction.FORMATS)}")
    part = Autoencoder.load(model_file)
    dataset = open_dataset(images)
    samples = dataset.test or dataset.train
    if len(samples) < 8:
        raise UsageError(f"{images}: {len(samples)} images, at least 8 are needed to see how they lie")
    basis_samples = open_dataset(pca_on).train if pca_on else dataset.train or samples
    labels = [sample.label for sample in samples]
    with progress_bar() as show:
        frames = load_images(samples, part.card.input, lambda what, done, of: show(what, done / of))
        basis = load_images(basis_samples, part.card.input, lambda what, done, of: show("reading for PCA", done / of))
        show("reducing", 0.0)
        reduced = reduction.reduce(part, frames, labels, basis)
        files = [str(sample.path.relative_to(images)) for sample in samples]
        write_whole(output, reduction.pack(output.suffix, files, labels, reduced.scores, reduced.latents))
        if picture is not None:
            show("drawing", 0.5)
            codes = (reduction.standardise(reduced.latents), reduced.components)
            colours = reduced.scores / part.card.threshold if colour_by == "score" else labels
            chosen = [colours[i] for i in reduced.chosen]
            pictures.maps(
                picture,
                [f"{measured.name}, {measured.size} numbers" for measured in reduced.measured],
                [reduction.flatten(code[reduced.chosen]) for code in codes],
                chosen,
                "score / threshold" if colour_by == "score" else "label",
            )
    headings = ("", "numbers", "RMSE", "trust", "continuity", "same label")
    rows = [
        (
            measured.name,
            str(measured.size),
            f"{measured.error:.2f}",
            f"{measured.trustworthiness:.3f}",
            f"{measured.continuity:.3f}",
            "–" if measured.same_label is None else f"{100 * measured.same_label:.1f} %",
        )
        for measured in reduced.measured
    ]
    in_sample = basis_samples == samples
    print_table(f"{len(samples)} images" + (", to which PCA was fitted too" if in_sample else ""), headings, rows)
    say(f"{output}: {len(samples)} latent vectors of {part.latent_size} numbers")
    say_picture(picture)


@app.command()
def denoise(
    model_file: ModelFile,
    noisy: Annotated[Path, typer.Argument(help="A noisy image, or a folder of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The cleaned image, or a folder for them.")],
    clean: Annotated[Path | None, typer.Option(help="The clean images, by the same names, to measure with.")] = None,
    add_noise: Annotated[
        float,
        typer.Option(help="Grey levels of Gaussian noise to add first: the images given are then the clean ones."),
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the noise added.")] = 0,
    picture: Picture = None,
) -> None:
    """Write cleaned images; where the clean ones are known, say how near they are, beside common filters."""
    check_range("--add-noise", add_noise, 0, 128)
    if clean is not None and add_noise:
        raise UsageError(f"--clean {clean}: with --add-noise the images given are the clean ones; give one of the two")
    if picture is not None and clean is None and not add_noise:
        raise UsageError("--picture: draws what --clean or --add-noise compare; give one of the two")
    check_targets(picture)
    from monitor.autoencoder import Autoencoder
    from trainer.uses import denoising, pictures, quality

    part = Autoencoder.load(model_file)
    paths = image_files(noisy)
    originals = [clean_file(clean, noisy, path) for path in paths]
    targets = [output / path.relative_to(noisy).with_suffix(".png") if noisy.is_dir() else output for path in paths]
    if len(set(targets)) < len(targets):
        raise UsageError(f"{noisy}: two images that differ in their endings alone would become one")
    for target in targets[:1]:
        check_writable(target)
    with progress_bar() as show:
        frames = read_frames(part, paths, show)
        truth = frames if add_noise else read_frames(part, originals, show) if clean else None
        if add_noise:
            frames = denoising.add_noise(frames, add_noise, seed)
        show("cleaning", 0.0)
        results = [] if truth is None else denoising.compare(part, frames, truth)
        cleaned = results[-1].pictures if results else denoising.clean_up(part, frames)
        for i, (target, frame) in enumerate(zip(targets, cleaned, strict=True)):
            write_whole(target, encode_image(frame, target))
            show("writing", (i + 1) / len(targets))
    if results:
        rows = [
            (
                result.name,
                "" if result.setting is None else f"{result.setting:g}",
                f"{result.psnr:.2f}",
                f"{result.ssim:.3f}",
            )
            for result in results
        ]
        print_table(f"{len(paths)} images, filters at their best settings", ("", "setting", "PSNR, dB", "SSIM"), rows)
    if picture is not None and truth is not None:
        shown = spread(len(paths), 4)
        headings = ["clean", *(result.name for result in results)]
        images = [[truth[i], *(result.pictures[i] for result in results)] for i in shown]
        notes = [["", *(f"{quality.psnr(result.pictures[i], truth[i]):.1f} dB" for result in results)] for i in shown]
        pictures.sheet(picture, headings, images, notes)
    say(f"{output}: {len(paths)} cleaned image{'s' if len(paths) > 1 else ''}")
    say_picture(picture)


@app.command()
def compress(
    model_file: ModelFile,
    images: Annotated[Path, typer.Argument(help="A folder of images, in any depth of folders.")],
    output: Output,
    grain: Annotated[float, typer.Option(help="Grey levels that rounding one number may move a picture by.")] = 0.25,
    compare: Annotated[bool, typer.Option("--compare", help="Measure the pictures beside JPEG and WebP.")] = False,
    picture: Picture = None,
) -> None:
    """Write a folder of images into one archive of latent vectors, from which the model gives the pictures back."""
    check_range("--grain", grain, 0.001, 64)
    check_targets(output, picture)
    from monitor import archive
    from monitor.autoencoder import Autoencoder
    from trainer.uses import compression, pictures, quality

    part = Autoencoder.load(model_file)
    paths = image_files(images)
    root = images if images.is_dir() else images.parent
    named = [(str(path.relative_to(root)), path) for path in paths]
    with progress_bar() as show:
        with whole_file(output) as file:
            written = archive.compress(part, named, file, grain, lambda share: show("compressing", share))
        files = [path.stat().st_size for path in paths]
        each = written.size / len(paths)
        say(
            f"{output}: {len(paths)} images, {written.size} bytes, {each:.0f} an image, "
            f"{compression.ratio(files, written.size):.0f} times smaller than their files"
        )
        if not compare and picture is None:
            return
        shown = spread(len(paths), 64)  # both codecs are tried at dozens of settings for each
        originals = read_frames(part, [paths[i] for i in shown], show)
        latents = [latent for _, chunk in archive.Archive(output) for latent in chunk]
        ours = compression.measure("archive", each, part.decode([latents[i] for i in shown]), originals)
        show("JPEG and WebP", 0.5)
        rivals = [
            compression.rival(name, suffix, originals, each) for name, suffix in (("JPEG", ".jpg"), ("WebP", ".webp"))
        ]
    coded = [ours, *rivals]
    rows = [(item.name, f"{item.size:.0f}", f"{item.psnr:.2f}", f"{item.ssim:.3f}") for item in coded]
    print_table(
        f"{len(shown)} images; JPEG and WebP at their best scale and quality within these bytes, or their least",
        ("", "bytes an image", "PSNR, dB", "SSIM"),
        rows,
    )
    if picture is not None:
        chosen = spread(len(shown), 4)
        headings = ["original", *(f"{item.name}, {item.size:.0f} bytes" for item in coded)]
        drawn = [[originals[i], *(item.pictures[i] for item in coded)] for i in chosen]
        notes = [["", *(f"{quality.psnr(item.pictures[i], originals[i]):.1f} dB" for item in coded)] for i in chosen]
        pictures.sheet(picture, headings, drawn, notes)
    say_picture(picture)


@app.command()
def decompress(
    model_file: ModelFile,
    archive_file: Annotated[
        Path, typer.Argument(metavar="ARCHIVE", help="An archive made by compress, or by a monitor.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="A new folder for the pictures.")],
) -> None:
    """Give the pictures of an archive back, as PNG files of the model's input size."""
    from monitor.archive import Archive, picture_paths
    from monitor.autoencoder import Autoencoder

    part = Autoencoder.load(model_file)
    packed = Archive(archive_file)
    packed.header.check(part, archive_file)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output}: is there already; give a new folder")
    check_writable(output / "picture.png")
    count = 0
    taken: set[str] = set()
    with progress_bar() as show:
        for names, latents in packed:
            targets = picture_paths(names, taken, archive_file)
            for target, frame in zip(targets, part.decode(latents), strict=True):
                write_whole(output / target, encode_image(frame, Path("x.png")))
                count += 1
            show(f"{count} pictures", 0.0)
    say(f"{output}: {count} pictures")


@app.command()
def classify(
    model_file: ModelFile,
    data: Annotated[Path, typer.Argument(help="A folder for each kind of defect, or MVTec AD layout.")],
    output: Output,
    way: Annotated[str, typer.Option(help="frozen, fine-tuned, or auto: the better of the two.")] = "auto",
    draws: Annotated[int, typer.Option(help="How often each point of the curve is tried, with other images.")] = 3,
    picture: Picture = None,
    threads: Annotated[int, typer.Option(help="Threads to train on, 0 for one per core.")] = 0,
) -> None:
    """Teach a model to tell kinds of defects apart, and say what its training on good parts is worth to that."""
    check_choice("--way", way, ("auto", "frozen", "fine-tuned"))
    check_range("--draws", draws, 1, 100)
    check_range("--threads", threads, 0, 1024)
    check_targets(output, picture)
    import numpy as np
    import torch

    from monitor.autoencoder import Autoencoder
    from trainer.dataset import GOOD, find_twins, load_images, open_dataset
    from trainer.errors import ExportError
    from trainer.uses import classification, kinds, pictures

    if threads:
        torch.set_num_threads(threads)
    part = Autoencoder.load(model_file)
    dataset = open_dataset(data)
    defects = [sample for sample in dataset.test if sample.label != GOOD]
    with progress_bar() as show:
        frames = (
            load_images(defects, part.card.input, lambda what, done, of: show(what, done / of)) if defects else None
        )
        if frames is None:
            raise UsageError(f"{data}: no defects in it; give a folder for each kind")
        good = load_images(dataset.train, part.card.input, lambda what, done, of: show(what, done / of))
        known = classification.labelled(frames, [sample.label for sample in defects], find_twins(frames))
        curve = classification.learning_curve(
            part, known, good if len(good) else frames, draws, lambda share, text: show(text, share)
        )
        means = {name: np.array([values.mean() for values in rows]) for name, rows in curve.accuracy.items()}
        tried: tuple[kinds.Way, ...] = ("frozen", "fine-tuned")
        best = max((name for name in tried if way in ("auto", name)), key=lambda name: means[name][-1])
        told = kinds.make(part, known, best, lambda share, text: show(text, share))
        content = kinds.add(part, told)
        if (difference := kinds.worst_difference(told, content, frames[:4])) > 1e-3:
            raise ExportError(
                f"onnxruntime's probabilities differ from torch's by {difference:.1e}; nothing was written"
            )
        write_whole(output, content)
        if picture is not None:
            lines = {
                name: (means[name], np.array([values.std() for values in rows]))
                for name, rows in curve.accuracy.items()
            }
            axes = ("labelled images of each kind", "told right, mean over kinds (%)")
            pictures.curves(picture, curve.shots, lines, axes, 1 / len(known.names))
    rows = [(name, *(f"{100 * value:.1f} %" for value in values)) for name, values in means.items()]
    title = f"{len(defects)} defects of {len(known.names)} kinds: share told right, by labelled images of each kind"
    print_table(title, ("", *curve.shots), rows)
    headings = ("", *(f"{i + 1}" for i in range(len(known.names))))
    confused = [
        (f"{i + 1} {name}", *map(str, row))
        for i, (name, row) in enumerate(zip(known.names, told.confusion, strict=True))
    ]
    print_table("What each kind was taken for, when not learned from", headings, confused)
    say(
        f"{output}: {best}, {100 * told.card.accuracy:.1f} % told right in cross-validation; calibration error "
        f"{told.card.calibration_error:.3f} at temperature {told.card.temperature:.2f}, "
        f"{told.card.calibration_error_before:.3f} without"
    )
    say_picture(picture)


def check_targets(*paths: Path | None) -> None:
    """Raises UsageError where a file could not be written under one of these names."""
    for path in paths:
        if path is not None:
            check_writable(path)


def image_files(path: Path) -> list[Path]:
    """An image file, or all in a folder and its folders, sorted. Raises UsageError."""
    from monitor.imaging import SUFFIXES

    if path.is_file():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    if not found:
        raise UsageError(f"{path}: {'no images in it' if path.is_dir() else 'no such file or folder'}")
    return found


def clean_file(clean: Path | None, noisy: Path, path: Path) -> Path:
    """The clean image that belongs to a noisy one. Raises UsageError where it is not there."""
    if clean is None:
        return path
    file = clean / path.relative_to(noisy) if noisy.is_dir() else clean
    if not file.is_file():
        raise UsageError(f"--clean {clean}: there is no {file} for {path}")
    return file


def read_frames(part: "Autoencoder", paths: Sequence[Path], show: ShowProgress) -> "Pixels":
    """Image files as the model takes them: uint8 [N, H, W, C]. Raises UsageError."""
    import numpy as np

    frames = []
    for i, path in enumerate(paths):
        frames.append(part.read(path))
        show("reading images", (i + 1) / len(paths))
    return np.stack(frames)


def encode_image(frame: "Pixels", path: Path) -> bytes:
    """The bytes of an image file for a picture uint8 [H, W, C], in the format that the name says."""
    import cv2

    ordered = frame if frame.shape[2] == 1 else cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    try:
        _, data = cv2.imencode(path.suffix, ordered)
    except cv2.error:
        raise UsageError(f"{path}: unknown format of an image; give a name that ends in .png") from None
    return data.tobytes()


def spread(count: int, most: int) -> list[int]:
    """At most `most` of `count` places, evenly spread."""
    return sorted({round(i * (count - 1) / max(1, most - 1)) for i in range(most)})


def print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of words and figures."""
    table = Table(title=title, title_justify="left")
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    out.print(table)


def say_picture(picture: Path | None) -> None:
    """Say where the picture is."""
    if picture is not None:
        say(f"{picture}: the picture")
