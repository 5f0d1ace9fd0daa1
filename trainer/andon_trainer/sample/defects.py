"""Kinds of defects. Each is drawn on the surface of the part, so it moves, shines and blurs with the part.

A function takes a good `Surface` and returns the damaged one with its *support*: a float32 [CANVAS, CANVAS] field that
is 1 where the part is changed and falls to 0 where it is not. Sizes are in part pixels. Size and contrast are drawn
log-uniformly, so that faint and small defects are as frequent as clear and large ones.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from andon_trainer.sample.geometry import (
    CANVAS,
    Array,
    Surface,
    blank,
    canvas_point,
    circle,
    f32,
    grid,
    inside,
    rounded_box,
)
from andon_trainer.sample.shapes import blob, free_point, log_uniform, noise, stroke


@dataclass(frozen=True)
class Damage:
    """A damaged surface, and where it differs from the good one."""

    surface: Surface
    support: Array


def scratch(part: Surface, rng: np.random.Generator) -> Damage:
    """A groove with a raised burr, straight or bent, fading at both ends."""
    x, y = free_point(rng, part.face, 6)
    length, width = log_uniform(rng, 20, 130), log_uniform(rng, 0.7, 1.6)
    contrast = log_uniform(rng, 0.15, 0.65)
    heading, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.5) / length
    steps = np.linspace(-length / 2, length / 2, 48)
    headings = heading + bend * steps + 0.02 * np.cumsum(rng.normal(0, 1, steps.size))
    path = np.cumsum(np.stack([np.cos(headings), np.sin(headings)], 1), 0) * (length / steps.size)
    points = path - path[len(path) // 2] + (x, y)
    taper = np.sin(np.pi * (np.arange(47) + 0.5) / 47) ** 0.5
    strength = np.clip(taper * (0.8 + 0.15 * rng.normal(0, 1, 47)), 0.15, 1)
    core = stroke(points, width, strength) * part.coverage
    side = stroke(points + width * np.array([-np.sin(heading), np.cos(heading)]), width, strength) * part.coverage
    # A fresh groove is bright, unless the tool left dirt in it.
    tint = contrast if rng.random() < 0.6 else -0.7 * contrast
    return Damage(
        replace(
            part, height=part.height - contrast * core + 0.5 * contrast * side, albedo=part.albedo * (1 + tint * core)
        ),
        np.minimum(2 * np.maximum(core, side), 1),  # the slopes reach beyond the stroke
    )


def dent(part: Surface, rng: np.random.Generator) -> Damage:
    """A smooth hollow from an impact: one side faces the lamp, the other does not."""
    radius = log_uniform(rng, 7, 22)
    x, y = free_point(rng, part.face, 0.6 * radius)
    field = blob(rng, x, y, radius, 0.025, rng.uniform(1.0, 1.25)) / np.float32(radius)
    hollow = np.clip(1 - (field + 1) ** 2, 0, 1) ** 2
    steepness = log_uniform(rng, 0.09, 0.42)
    return Damage(
        replace(part, height=part.height - np.float32(steepness * radius / 1.5) * hollow),
        inside(field * np.float32(radius) + 0.04 * radius) * part.coverage,
    )


def chip(part: Surface, rng: np.random.Generator) -> Damage:
    """A piece broken out of the edge of the plate or the rim of the bore, with a rough fracture around it."""
    angle = rng.uniform(0, 2 * np.pi)
    radius = log_uniform(rng, 4, 17)
    if rng.random() < 0.7:
        reach = np.arange(100, 210, 0.5)
        along = np.stack([np.cos(angle) * reach, np.sin(angle) * reach])
        column, row = canvas_point(*along)
        limits = np.clip(np.stack([row, column]).astype(int), 0, CANVAS - 1)
        edge = rounded_box(part.face.half, part.face.corner)[limits[0], limits[1]]
        x, y = along[:, int(np.argmin(np.abs(edge)))]
    else:
        x, y = np.cos(angle) * part.face.bore.radius, np.sin(angle) * part.face.bore.radius
    field = blob(rng, float(x), float(y), radius, 0.12, rng.uniform(1.0, 1.5)) + 0.5 * noise(rng, 2.5)
    gone = inside(field + np.float32(min(radius * rng.uniform(0.25, 0.5), 5.0)))
    broken = inside(field)
    rough = noise(rng, 2.0) * 0.5 + noise(rng, 4.5) * 0.6
    # The fracture slopes down to the missing piece, and its grains glitter.
    height = part.height - broken * (np.clip(-field, 0, 6) * 0.45 + 0.3 + 0.7 * rough)
    albedo = part.albedo * (1 + broken * (0.12 * rough - 0.08))
    return Damage(
        Surface(part.face, f32(height), f32(albedo), part.coverage * (1 - gone), part.finish * (1 - broken)),
        broken * part.coverage,
    )


def crack(part: Surface, rng: np.random.Generator) -> Damage:
    """A thin line from a hole or the bore into the metal, sometimes forked."""
    holes = (*part.face.holes[: part.face.big_holes], part.face.bore)
    hole = holes[int(rng.integers(len(holes)))]
    angle = rng.uniform(0, 2 * np.pi)
    length, width = log_uniform(rng, 16, 75), log_uniform(rng, 0.5, 1.1)
    depth = log_uniform(rng, 0.3, 0.85)
    origin = np.array([hole.x, hole.y]) + (hole.radius - 0.5) * np.array([np.cos(angle), np.sin(angle)])

    def walk(start: NDArray[np.float64], heading: float, reach: float) -> NDArray[np.float64]:
        turns = heading + np.clip(np.cumsum(rng.normal(0, 0.35, max(3, int(reach / 2.2)))), -0.9, 0.9)
        turns = turns + rng.normal(0, 0.3, turns.size)
        steps = 2.2 * np.stack([np.cos(turns), np.sin(turns)], 1)
        return start + np.vstack([np.zeros((1, 2)), np.cumsum(steps, 0)])

    trunk = walk(origin, angle, length)
    line = stroke(trunk, width, np.linspace(1, 0.45, len(trunk) - 1))
    if rng.random() < 0.4:
        fork = walk(trunk[len(trunk) // 2], angle + rng.choice([-0.8, 0.8]), 0.4 * length)
        line = np.maximum(line, stroke(fork, 0.8 * width, np.linspace(0.8, 0.3, len(fork) - 1)))
    line = line * part.coverage
    return Damage(
        replace(part, height=part.height - 0.25 * line, albedo=part.albedo * (1 - depth * line)),
        np.minimum(2 * line, 1),
    )


def missing_hole(part: Surface, rng: np.random.Generator) -> Damage:
    """A hole that was not drilled, or only started with a centre drill."""
    skip = int(rng.integers(len(part.face.holes)))
    hole = part.face.holes[skip]
    solid = blank(part.face, skip)
    height = solid.height
    if rng.random() < 0.5:
        radius = log_uniform(rng, 1.5, 0.7 * hole.radius)
        height = height - 0.8 * np.clip(radius - circle(hole.x, hole.y, 0), 0, radius)
    surface = Surface(
        part.face, height, part.albedo * (solid.albedo / blank(part.face).albedo), solid.coverage, part.finish
    )
    return Damage(surface, inside(circle(hole.x, hole.y, hole.radius + hole.chamfer + 1)))


def blocked_hole(part: Surface, rng: np.random.Generator) -> Damage:
    """A hole with metal chips in it, from a few at the wall to a full plug."""
    hole = part.face.holes[int(rng.integers(len(part.face.holes)))]
    rim = circle(hole.x, hole.y, hole.radius)
    size = log_uniform(rng, 0.45, 1.3) * hole.radius
    angle, off = rng.uniform(0, 2 * np.pi), max(0.0, hole.radius - size) * 0.9
    x, y = hole.x + off * np.cos(angle), hole.y + off * np.sin(angle)
    lump = inside(blob(rng, x, y, size, 0.15) + 0.5 * noise(rng, 2.5)) * inside(rim)
    curls = np.zeros_like(lump)
    for _ in range(int(rng.integers(2, 6))):
        turn = rng.uniform(0, 2 * np.pi) + np.linspace(0, rng.uniform(1.5, 4.5), 20)
        bow = rng.uniform(0.2, 0.55) * size
        spread = rng.normal(0, 0.3 * size, 2)
        points = np.stack([x + spread[0] + bow * np.cos(turn), y + spread[1] + bow * np.sin(turn)], 1)
        curls = np.maximum(curls, stroke(points, rng.uniform(0.8, 1.5), np.full(19, 1.0)))
    curls = curls * inside(rim - 1)
    filled = np.maximum(lump, curls)
    rough = noise(rng, 2.2)
    level = -rng.uniform(3.0, 6.0) + 1.1 * rough + 2.0 * curls
    shine = log_uniform(rng, 0.35, 0.75) * (1 + 0.2 * rough) + 0.3 * curls
    return Damage(
        Surface(
            part.face,
            part.height + filled * (level - part.height),
            part.albedo + filled * (shine - part.albedo),
            np.maximum(part.coverage, filled),
            part.finish * (1 - filled),
        ),
        filled,
    )


def stain(part: Surface, rng: np.random.Generator) -> Damage:
    """Oil or oxide: darker, duller metal with a soft, irregular outline and a slightly darker rim."""
    radius = log_uniform(rng, 7, 32)
    x, y = free_point(rng, part.face, 0.3 * radius)
    field = blob(rng, x, y, radius, 0.2, rng.uniform(1.0, 1.5))
    for _ in range(int(rng.integers(0, 3))):
        dx, dy = rng.normal(0, 0.8 * radius, 2)
        field = np.minimum(field, blob(rng, x + dx, y + dy, radius * rng.uniform(0.25, 0.6), 0.2))
    soft = float(rng.uniform(1.0, 3.0))
    weight = f32(np.clip(0.5 - (field + 0.8 * noise(rng, 5)) / (2 * soft), 0, 1)) * part.coverage
    brim = weight * np.exp(-(((field + soft) / 2.5) ** 2))
    darkness = log_uniform(rng, 0.14, 0.5)
    uneven = 1 + 0.25 * noise(rng, 0.5 * radius)
    tint = 1 - darkness * (weight * np.clip(uneven, 0.5, 1.4) + 0.3 * brim)
    return Damage(replace(part, albedo=part.albedo * tint, finish=part.finish * (1 - 0.6 * weight)), weight)


def wrong_finish(part: Surface, rng: np.random.Generator) -> Damage:
    """A patch treated with a grinder: coarse marks across those of the milling cutter."""
    radius = log_uniform(rng, 11, 34)
    x, y = free_point(rng, part.face, 0.4 * radius)
    gx, gy = grid()
    lean = rng.uniform(-0.5, 0.5)
    dx, dy = gx - np.float32(x), gy - np.float32(y)
    along = dx * np.float32(np.cos(lean)) + dy * np.float32(np.sin(lean))
    across = dy * np.float32(np.cos(lean)) - dx * np.float32(np.sin(lean))
    strip = rng.standard_normal((512, 24), dtype=np.float32) + 1.2 * rng.standard_normal((512, 1), dtype=np.float32)
    # The strokes of the grinder end at random places, so the outline is frayed along them.
    frayed = f32(
        cv2.remap(strip[:, :1], np.zeros_like(across), across / 1.6 + 256, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    )
    field = blob(rng, x, y, radius, 0.1, rng.uniform(1.0, 1.3)) + 0.09 * radius * frayed
    marks = f32(cv2.remap(strip, along / 14 + 12, across * 1.1 + 256, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP))
    weight = np.clip(0.5 - field / 3, 0, 1) * part.coverage
    contrast = log_uniform(rng, 0.07, 0.2)
    shift = 0.6 * contrast * (1 if rng.random() < 0.5 else -1)
    finish = part.finish + weight * (contrast * marks + np.float32(shift) - part.finish)
    return Damage(replace(part, finish=f32(np.maximum(finish, -0.7))), f32(weight))


KINDS: dict[str, Callable[[Surface, np.random.Generator], Damage]] = {
    "scratch": scratch,
    "dent": dent,
    "chip": chip,
    "crack": crack,
    "missing_hole": missing_hole,
    "blocked_hole": blocked_hole,
    "stain": stain,
    "wrong_finish": wrong_finish,
}
