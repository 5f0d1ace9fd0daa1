"""Registration: how a part lies under the camera is found in every frame and undone.

A part that lies a little further left in its fixture, or is turned a little, is a good part, but nothing of it is where
the model expects it. The pose that warps a frame onto the mean of the good frames is found by Gauss-Newton steps with
fixed matrices (the inverse compositional algorithm, Baker & Matthews, "Lucas-Kanade 20 Years On", IJCV 2004), from
coarse to fine, at the points that tell most about the pose.

A pose, float [N, 4], is a turn c and a shift t as complex numbers, (re c, im c, re t, im t): the point z = x + iy of
the registered frame is at c * z + t in the frame, measured from the centre in halves of the longer side.
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from andon_monitor.model.imaging import Pixels
from andon_monitor.model.mask import Masked
from numpy.typing import NDArray
from torch import Tensor, nn

from andon_trainer.network.tensors import evenly, to_unit

NOISE_FLOOR_SHARE = 0.25  # of the mean deviation, added: places where good frames happen to be equal must not dominate
STEPS_PER_LEVEL = 4
POINTS_PER_LEVEL = 1000  # those that tell most about the pose
MARGIN = 0.1  # in halves of the longer side: points nearer to the border may be outside another frame
ROUNDS_PER_LEVEL = 3  # of template and poses in turn
TEMPLATE_FRAMES = 200  # good frames, evenly from all, for the template
MAX_DEVIATIONS = 3.0  # a larger difference is a defect's and counts as this much
# Share of the mean curvature that is added in all directions, so that a round part is not turned at random.
RIDGE_SHARE = 1e-3
# Turn or shift from which on a frame shows no such part and stays as it is: radians and halves of the longer side.
MAX_POSE_CHANGE = 0.15
# Registration is used only if it works: good frames, moved by up to MAX_TRIED_CHANGE in turn, scale and shift, must
# come to the same picture again, with a smaller error than a shift of one pixel makes. The border of the picture, this
# share of each side, does not count.
MAX_TRIED_CHANGE = 0.06
BORDER_SHARE = 0.15
MIN_REGISTERED_SHARE = 0.9  # of the good frames for which this must hold
BATCH_FRAMES = 32
# With a mask, points near it tell nothing about the pose: nearer than parts move, times this, and two pixels of the
# scale, which interpolation blends. What is under the mask of a part that lies as oddly as any good one, or a little
# more, then changes no step.
MASK_REACH = 1.5
MASK_MARGIN_PIXELS = 2
MIN_POINTS = 50  # of a scale, that a mask has to leave
REST = torch.tensor([1.0, 0.0, 0.0, 0.0])  # the pose of a part that lies as good parts do on average
# A pose (a, b, tx, ty) times this is the matrix [[a, b], [-b, a], [tx, ty]], row by row.
AS_MATRIX = torch.tensor([[1.0, 0, 0, 1, 0, 0], [0, 1, -1, 0, 0, 0], [0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1]])
UNCHANGED = torch.eye(3)
# A pose times this is the same matrix with a third column of zeros.
AS_SQUARE_MATRIX = torch.cat([AS_MATRIX.reshape(4, 3, 2), torch.zeros(4, 3, 1)], dim=2).flatten(1)  # [4, 9]


class Level(nn.Module):
    """A template at one scale: the points that are compared, and the change of pose that their differences call for."""

    points: Tensor  # [K, 3] x, y and 1
    template: Tensor  # [K] grey levels of the mean good frame, their mean 0 and deviation 1
    noise: Tensor  # [K] deviation of good frames
    solve: Tensor  # [K, 4] differences in deviations to a change of turn and shift

    def __init__(self, points: Tensor, template: Tensor, noise: Tensor, solve: Tensor) -> None:
        super().__init__()
        for name, value in {"points": points, "template": template, "noise": noise, "solve": solve}.items():
            self.register_buffer(name, value)

    def forward(self, grey: Tensor, poses: Tensor) -> Tensor:
        """Grey frames float [N, 1, h, w] at this scale and poses as matrices [N, 3, 2] to ones nearer the template."""
        # These steps are unrolled in the exported graph, and exporting takes time for each operator.
        units = grid_units(grey)
        grid = poses * units
        to_matrix = self.solve @ AS_SQUARE_MATRIX.to(grey.device)  # [K, 9]
        unchanged = UNCHANGED.to(grey.device)
        for _ in range(STEPS_PER_LEVEL):
            found = standardised(sample(grey, self.points @ grid).flatten(1))  # [N, K]
            difference = ((found - self.template) / self.noise).clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)
            # The change is undone before the pose moves; for a small change, its negative undoes it.
            grid = (unchanged - (difference @ to_matrix).reshape(-1, 3, 3)) @ grid
        return grid / units


class Registration(nn.Module):
    """Finds the poses of frames, and warps frames to where good parts lie on average."""

    def __init__(self, levels: list[Level]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames float [N, C, H, W] to poses [N, 4]."""
        poses = move(REST.expand(frames.shape[0], 4))
        for level, scaled in zip(self.levels, coarse_to_fine(frames), strict=True):
            poses = level(scaled, poses)
        pose = pose_of(poses)
        near = ((pose - REST).abs() < MAX_POSE_CHANGE).all(dim=1, keepdim=True)
        return torch.where(near, pose, REST)

    @torch.no_grad()
    def poses(self, frames: Pixels) -> NDArray[np.float32]:
        """The poses float32 [N, 4] of frames uint8 [N, H, W, C]."""
        batches = (frames[i : i + BATCH_FRAMES] for i in range(0, len(frames), BATCH_FRAMES))
        return np.concatenate([self(to_unit(torch.from_numpy(batch))).numpy() for batch in batches])

    def apply_to(self, frames: Pixels) -> Pixels:
        """Frames uint8 [N, H, W, C], registered."""
        return register(frames, self.poses(frames))


def register(frames: Pixels, poses: NDArray[np.float32]) -> Pixels:
    """Frames uint8 [N, H, W, C] whose poses [N, 4] are known, registered."""
    registered = np.empty_like(frames)
    for i in range(0, len(frames), BATCH_FRAMES):
        batch = slice(i, i + BATCH_FRAMES)
        moved = warp(to_unit(torch.from_numpy(frames[batch])), torch.from_numpy(poses[batch]))
        registered[batch] = (moved * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return registered


def coarse_to_fine(frames: Tensor) -> list[Tensor]:
    """Frames float [N, C, H, W] in grey, at an eighth, a quarter and half of the size."""
    half = F.avg_pool2d(frames.mean(dim=1, keepdim=True), 2)
    quarter = F.avg_pool2d(half, 2)
    return [F.avg_pool2d(quarter, 2), quarter, half]


def warp(x: Tensor, pose: Tensor) -> Tensor:
    """Maps [N, C, H, W] of frames, each point taken from where the pose [N, 4] puts it: the same shape.

    Beyond the border as on it: points are moved to the middles of the outermost pixels first, because onnxruntime takes
    three times as long on colour where it has to look for the border itself. The moved points are in units of these
    middles, so that one operator with the same bounds for x and y moves them; with bounds of their own it takes as long
    as everything else here.
    """
    right, bottom = 1 - 1 / x.shape[3], 1 - 1 / x.shape[2]
    outermost = torch.tensor([[right, 0], [0, bottom]], device=x.device)
    matrix = move(pose) * (grid_units(x) / outermost.sum(dim=0))
    inside = (places(x.shape[2:], x.device).flatten(0, 1) @ matrix).clamp(-1, 1) @ outermost
    moved = F.grid_sample(x, inside.unsqueeze(1), mode="bilinear", padding_mode="zeros", align_corners=False)
    return moved.reshape(x.shape)


def places(size: torch.Size, device: torch.device) -> Tensor:
    """x, y and 1 of the middles of `size` (H, W) pixels: [H, W, 3]."""
    height, width = size
    y, x = np.mgrid[1 - height : height : 2, 1 - width : width : 2] / max(height, width)
    return torch.from_numpy(np.stack([x, y, np.ones_like(x)], axis=-1).astype(np.float32)).to(device)


def grid_units(x: Tensor) -> Tensor:
    """Halves of the longer side of maps [N, C, H, W] in the units of `grid_sample`, -1 to 1 on both axes: [2]."""
    height, width = x.shape[2:]
    longer = max(height, width)
    return torch.tensor([longer / width, longer / height], device=x.device)


def sample(x: Tensor, grid: Tensor) -> Tensor:
    """Maps [N, C, H, W] at points [N, K, 2] in `grid_units`: linear between pixels, beyond the border as on it.

    Returns [N, C, 1, K].
    """
    return F.grid_sample(x, grid.unsqueeze(1), mode="bilinear", padding_mode="border", align_corners=False)


# Products with constants, `split` and `cat` are one operator each of the exported graph; `unbind` and `stack` are one
# or two for each number, and an index with None one for each axis.


def move(pose: Tensor) -> Tensor:
    """Poses [N, 4] as matrices [N, 3, 2], points (x, y, 1) in front of them."""
    return (pose @ AS_MATRIX.to(pose.device)).reshape(-1, 3, 2)


def pose_of(matrix: Tensor) -> Tensor:
    """The poses [N, 4] of matrices [N, 3, 2]."""
    first, _, last = torch.split(matrix, 1, dim=1)
    return torch.cat([first, last], dim=2).squeeze(1)


def inverse(pose: Tensor) -> Tensor:
    """The poses [N, 4] that undo these."""
    a, b, tx, ty = torch.split(pose, 1, dim=1)
    square = a * a + b * b
    re, im = a / square, -b / square
    return torch.cat([re, im, im * ty - re * tx, -(im * tx + re * ty)], dim=1)


def standardised(values: Tensor) -> Tensor:
    """Values [N, K] less their mean, over their deviation: the same in another light."""
    centred = values - values.mean(dim=1, keepdim=True)
    return centred / (centred.square().mean(dim=1, keepdim=True) + 1e-6).sqrt()


@torch.no_grad()
def fit_registration(frames: Pixels, seed: int, masked: Masked | None = None) -> Registration | None:
    """Fit to good frames uint8 [N, H, W, C]; None where it does not work on them.

    `masked`: bool [H, W], pixels of a part at rest that tell nothing about its pose.
    """
    grey = to_unit(torch.from_numpy(evenly(frames, TEMPLATE_FRAMES))).mean(dim=1, keepdim=True)
    poses = REST.repeat(len(grey), 1)
    levels: list[Level] = []
    scales = coarse_to_fine(grey)
    seen = [None if masked is None else unmasked_points(masked, scaled.shape[2:], 0.0) for scaled in scales]
    if any(few_points(points) for points in seen):
        return None
    for scaled, points in zip(scales, seen, strict=True):
        for _ in range(ROUNDS_PER_LEVEL):
            poses = pose_of(fit_level(scaled, poses, points)(scaled, move(poses)))
            poses = poses - poses.mean(dim=0) + REST  # their mean stays at rest
        levels.append(fit_level(scaled, poses, points))
    if masked is not None:
        reach = MASK_REACH * largest_move(poses, masked)
        seen = [unmasked_points(masked, scaled.shape[2:], reach) for scaled in scales]
        if any(few_points(points) for points in seen):
            return None
        levels = [fit_level(scaled, poses, points) for scaled, points in zip(scales, seen, strict=True)]
    registration = Registration(levels).eval()
    return registration if finds_again(registration, grey, seed) else None


def largest_move(poses: Tensor, masked: Masked) -> float:
    """How far masked pixels, bool [H, W], are from rest in the poses [N, 4], at most: in halves of the longer side."""
    points = places(torch.Size(masked.shape), poses.device)[torch.tensor(masked)]
    if not len(points):
        return 0.0
    outermost = torch.cat([points[points[:, i].argsort()[[0, -1]]] for i in (0, 1)])
    return float((outermost @ move(poses) - outermost[:, :2]).norm(dim=2).max())


def unmasked_points(masked: Masked, size: torch.Size, reach: float) -> Tensor:
    """Points of frames at a scale (h, w) that are far enough from masked pixels bool [H, W]: bool [h * w].

    `reach`: halves of the longer side.
    """
    step = masked.shape[1] // size[1]  # pixels of the frame for one of this scale
    far = float(np.ceil(reach * max(masked.shape) / 2 + MASK_MARGIN_PIXELS * step))
    # Without any masked pixel OpenCV's distances are huge.
    distance = torch.from_numpy(cv2.distanceTransform((~masked).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
    nearest = -F.max_pool2d(-distance[None], step)  # of a pixel of this scale
    return (nearest[0, : size[0], : size[1]] > far).flatten()


def few_points(seen: Tensor | None) -> bool:
    """Whether a mask leaves too few points, bool [h * w], to tell a pose by."""
    return seen is not None and int(seen.sum()) < MIN_POINTS


def fit_level(grey: Tensor, poses: Tensor, seen: Tensor | None = None) -> Level:
    """The template of grey frames [N, 1, h, w] in their poses [N, 4], and what a Gauss-Newton step on it needs.

    `seen`: bool [h * w], points that count; all by default.
    """
    size = grey.shape[2:]
    values = standardised(warp(grey, poses).flatten(1))  # [N, h * w]
    mean, noise = values.mean(dim=0), values.std(dim=0)
    noise = noise + NOISE_FLOOR_SHARE * noise.mean()
    longer = max(size)
    dy, dx = torch.gradient(mean.reshape(size), spacing=2 / longer)
    dx, dy = dx.flatten() / noise, dy.flatten() / noise
    points = places(size, grey.device).flatten(0, 1)
    x, y, _ = points.unbind(1)
    inside = (x.abs() < size[1] / longer - MARGIN) & (y.abs() < size[0] / longer - MARGIN)
    if seen is not None:
        inside = inside & seen
    information = torch.where(inside, dx.square() + dy.square(), 0)
    best = information.topk(min(POINTS_PER_LEVEL, int(inside.sum()))).indices.sort().values
    dx, dy, x, y, noise = (values[best] for values in (dx, dy, x, y, noise))
    descent = torch.stack([dx * x + dy * y, dy * x - dx * y, dx, dy], dim=1)  # [K, 4]
    # `standardised` undoes changes of light, so they must not change the pose either.
    template = standardised(mean[best][None])[0]
    basis = torch.linalg.qr(torch.stack([1 / noise, template / noise], dim=1)).Q
    descent = descent - basis @ (basis.T @ descent)
    curvature = descent.T @ descent
    ridge = RIDGE_SHARE * curvature.diagonal().mean() * torch.eye(4)
    return Level(points[best], template, noise, torch.linalg.solve(curvature + ridge, descent.T).T)


def finds_again(registration: Registration, grey: Tensor, seed: int) -> bool:
    """Whether good frames [N, 1, H, W] come to the same picture again after they were moved."""
    generator = torch.Generator().manual_seed(seed)
    moved = warp(grey, REST + MAX_TRIED_CHANGE * (2 * torch.rand(len(grey), 4, generator=generator) - 1))
    straight, again = (warp(frames, registration(frames)) for frames in (grey, moved))
    one_pixel = REST + torch.tensor([0.0, 0.0, 1.0, 1.0]) * 2 / max(grey.shape[2:])
    shifted = warp(straight, one_pixel.expand(len(grey), 4))
    middle = [slice(round(BORDER_SHARE * length), length - round(BORDER_SHARE * length)) for length in grey.shape[2:]]

    def error(other: Tensor) -> Tensor:
        difference = (other - straight)[:, :, middle[0], middle[1]]
        return F.avg_pool2d(difference, 2).square().flatten(1).mean(dim=1)

    return bool((error(again) < error(shifted)).float().mean() >= MIN_REGISTERED_SHARE)
