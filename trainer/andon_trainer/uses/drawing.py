"""Results drawn as PNG files: sheets of images, maps of points, curves."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from andon_monitor.common.files import write_whole
from andon_monitor.model.imaging import Pixels
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from andon_trainer.uses.quality import psnr

DPI = 110
COMPARED_ROWS = 4  # of the sheets
PALETTE = ("#2f6fb0", "#d1495b", "#3c9d6b", "#e3a018", "#7b5ea7", "#4fb3bf", "#8c5a3c", "#d977b0", "#6b7280", "#a3b02f")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file, completely or not at all. Raises OutputError."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    write_whole(path, buffer.getvalue())


def sheet(
    path: Path, headings: Sequence[str], rows: Sequence[Sequence[Pixels]], notes: Sequence[Sequence[str]]
) -> None:
    """Draw images uint8 [H, W, C] in rows and columns, with a heading over each column and a note under each image."""
    height, width = rows[0][0].shape[:2]
    inches = 1.75
    size = (inches * len(headings), len(rows) * (inches * height / width + 0.25) + 0.35)
    figure = Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)  # type: ignore[union-attr, call-arg]
    grid = figure.subplots(len(rows), len(headings), squeeze=False)
    for i, (images, texts) in enumerate(zip(rows, notes, strict=True)):
        for j, (image, text) in enumerate(zip(images, texts, strict=True)):
            axes: Axes = grid[i, j]
            axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.set_xlabel(text, fontsize=8, labelpad=2)
            for spine in axes.spines.values():
                spine.set_visible(False)
            if i == 0:
                axes.set_title(headings[j], fontsize=9)
    save(figure, path)


def comparison(path: Path, heading: str, originals: Pixels, results: Mapping[str, Pixels]) -> None:
    """Draw a few originals next to each result's version of them, with its PSNR; all uint8 [N, H, W, C]."""
    rows, notes = [], []
    for i in pick_evenly(len(originals), COMPARED_ROWS):
        rows.append([originals[i], *(images[i] for images in results.values())])
        notes.append(["", *(f"{psnr(images[i], originals[i]):.1f} dB" for images in results.values())])
    sheet(path, [heading, *results], rows, notes)


def pick_evenly(count: int, most: int) -> list[int]:
    """At most `most` of `count` indices, evenly spread."""
    return sorted({round(i * (count - 1) / max(1, most - 1)) for i in range(most)})


def maps(
    path: Path,
    titles: Sequence[str],
    points: Sequence[NDArray[np.float64]],
    colours: Sequence[str] | NDArray[np.floating],
    legend: str,
) -> None:
    """Draw maps of points, float [N, 2] each, side by side; `colours` are labels, or values float [N]."""
    figure = Figure(figsize=(4.3 * len(titles) + 1.3, 4.2), layout="constrained")
    panels = figure.subplots(1, len(titles), squeeze=False)[0]
    words = not isinstance(colours, np.ndarray)
    for axes, title, places in zip(panels, titles, points, strict=True):
        axes.set(title=title, xticks=[], yticks=[])
        if words:
            labels = np.array(colours)
            for i, label in enumerate(sorted(set(colours))):
                chosen = places[labels == label]
                axes.scatter(*chosen.T, s=14, color=PALETTE[i % len(PALETTE)], label=label, alpha=0.8, linewidth=0)
        else:
            drawn = axes.scatter(*places.T, s=14, c=colours, cmap="viridis", alpha=0.9, linewidth=0)
    if words:
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, title=legend, loc="outside right center", frameon=False)
    else:
        figure.colorbar(drawn, ax=panels[-1], label=legend)
    save(figure, path)


def curves(
    path: Path,
    x: Sequence[str],
    lines: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    labels: tuple[str, str],
    chance: float,
) -> None:
    """Draw lines over the same `x`, each a (mean, deviation) of shares float [X], in per cent; `chance` is dashed."""
    figure = Figure(figsize=(6.2, 4), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(x))
    for i, (name, (mean, deviation)) in enumerate(lines.items()):
        offset = 0.06 * (i - (len(lines) - 1) / 2)  # keeps the error bars apart
        axes.errorbar(places + offset, 100 * mean, 100 * deviation, marker="o", capsize=3, color=PALETTE[i], label=name)
    axes.axhline(100 * chance, color="#6b7280", linestyle=(0, (4, 3)), linewidth=1, label="chance")
    axes.set_xticks(places, list(x))
    axes.set(xlabel=labels[0], ylabel=labels[1], ylim=(0, 102))
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    save(figure, path)
