"""How a part lies under the camera: found in every frame and undone, so that only the part itself remains to be judged.

A part that lies a little further left in its fixture, or turned a little, is a good part, and yet nothing of it is
where the model knows it. The pose that lays a frame onto the mean of the good frames is found by Gauss-Newton steps
with fixed matrices (the inverse compositional algorithm, Baker & Matthews, "Lucas-Kanade 20 Years On", IJCV 2004),
from coarse to fine, at the points that say most about it.

A pose, float [N, 4], is a turn c and a shift t as complex numbers, (re c, im c, re t, im t): the point z = x + iy of
the registered frame is at c * z + t in the frame, from the middle, in halves of the longer side.
"""

import numpy as np
import torch
import torch.nn.functional as F
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray
from torch import Tensor, nn

from andon_trainer.network.tensors import evenly, to_unit

LEAST_NOISE = 0.25  # of the mean deviation: places where good frames happen to be all the same do not decide alone
STEPS = 4  # at each level
POINTS = 1000  # of each level, those that say most
MARGIN = 0.1  # of the halves of the longer side: what is nearer to the border may be gone in another frame
ROUNDS = 3  # at each level, of template and poses by turns
FRAMES = 200  # good frames, evenly from all, that the template is made of
FAR = 3.0  # deviations; a larger difference is a defect's, and counts as so many
# This share of the mean curvature is added in all directions: a round part, however turned, is left as it is.
HELD_BACK = 1e-3
FURTHEST = 0.15  # a turn or shift beyond is none of these parts: the frame is left as it is
# Most good frames must, moved by up to this turn, growth and shift, come to the same picture again, to less than what a
# shift of one pixel makes, or nothing is registered. Of the picture, the edge is left out.
TRIED = 0.06
EDGE = 0.15
MOST = 0.9
BATCH = 32
REST = torch.tensor([1.0, 0.0, 0.0, 0.0])  # the pose of a part that lies as good parts do on average


class Level(nn.Module):
    """A template at one scale: the points that are compared, and what their differences say about the pose."""

    points: Tensor  # [K, 3] x, y and 1
    template: Tensor  # [K] grey levels of the mean good frame, their mean 0 and deviation 1
    noise: Tensor  # [K] deviation of good frames
    solve: Tensor  # [K, 4] differences in deviations to a change of turn and shift

    def __init__(self, points: Tensor, template: Tensor, noise: Tensor, solve: Tensor) -> None:
        super().__init__()
        for name, value in {"points": points, "template": template, "noise": noise, "solve": solve}.items():
            self.register_buffer(name, value)

    def forward(self, seen: Tensor, pose: Tensor) -> Tensor:
        """Grey frames float [N, 1, h, w] at this scale and poses [N, 4] to poses nearer to the template's."""
        for _ in range(STEPS):
            found = standardised(sample(seen, self.points[:, None], pose)[:, 0, :, 0])  # [N, K]
            difference = ((found - self.template) / self.noise).clamp(-FAR, FAR)
            pose = after_inverse(pose, difference @ self.solve)
        return pose


class Registration(nn.Module):
    """Frames to their poses, and frames as they would be if the part lay as good parts do on average."""

    def __init__(self, levels: list[Level]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames float [N, C, H, W] to poses [N, 4]."""
        pose = REST.expand(frames.shape[0], 4)
        for level, seen in zip(self.levels, coarse_to_fine(frames), strict=True):
            pose = level(seen, pose)
        near = ((pose - REST).abs() < FURTHEST).all(dim=1, keepdim=True)
        return torch.where(near, pose, REST)

    @torch.no_grad()
    def poses(self, frames: Pixels) -> NDArray[np.float32]:
        """The poses float32 [N, 4] of frames uint8 [N, H, W, C]."""
        batches = (frames[i : i + BATCH] for i in range(0, len(frames), BATCH))
        return np.concatenate([self(to_unit(torch.from_numpy(batch))).numpy() for batch in batches])

    def apply_to(self, frames: Pixels) -> Pixels:
        """Frames uint8 [N, H, W, C], registered."""
        return laid(frames, self.poses(frames))


def laid(frames: Pixels, poses: NDArray[np.float32]) -> Pixels:
    """Frames uint8 [N, H, W, C] whose poses [N, 4] are known, registered."""
    registered = np.empty_like(frames)
    for i in range(0, len(frames), BATCH):
        moved = warp(to_unit(torch.from_numpy(frames[i : i + BATCH])), torch.from_numpy(poses[i : i + BATCH]))
        registered[i : i + BATCH] = (moved * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return registered


def coarse_to_fine(frames: Tensor) -> list[Tensor]:
    """Frames float [N, C, H, W] in grey, at an eighth, a quarter and half of the size."""
    half = F.avg_pool2d(frames.mean(dim=1, keepdim=True), 2)
    quarter = F.avg_pool2d(half, 2)
    return [F.avg_pool2d(quarter, 2), quarter, half]


def warp(x: Tensor, pose: Tensor) -> Tensor:
    """Maps [N, C, H, W] of frames, each point taken from where its pose [N, 4] finds it: the same shape."""
    return sample(x, places(x.shape[2:], x.device), pose)


def places(size: torch.Size, device: torch.device) -> Tensor:
    """x, y and 1 of the middles of `size` (H, W) pixels: [H, W, 3]."""
    height, width = size
    longer = max(height, width)
    y, x = torch.meshgrid(
        (2 * torch.arange(height, device=device) + 1 - height) / longer,
        (2 * torch.arange(width, device=device) + 1 - width) / longer,
        indexing="ij",
    )
    return torch.stack([x, y, torch.ones_like(x)], dim=-1)


def sample(x: Tensor, points: Tensor, pose: Tensor) -> Tensor:
    """Maps [N, C, H, W] where poses [N, 4] put points [h, w, 3]: linear between pixels, beyond the border as on it.

    Returns [N, C, h, w].
    """
    height, width = x.shape[2:]
    longer = max(height, width)
    # One matrix product takes points there in what `grid_sample` calls the frame: from -1 to 1 on both axes.
    to_frame = move(pose) * torch.tensor([longer / width, longer / height], device=x.device)  # [N, 3, 2]
    there = (points.flatten(0, 1) @ to_frame).reshape(-1, *points.shape[:2], 2)
    return F.grid_sample(x, there, mode="bilinear", padding_mode="border", align_corners=False)


def move(pose: Tensor) -> Tensor:
    """Poses [N, 4] as matrices [N, 3, 2], points (x, y, 1) in front of them."""
    a, b, tx, ty = pose.unbind(1)
    return torch.stack([a, b, -b, a, tx, ty], dim=1).reshape(-1, 3, 2)


def after_inverse(pose: Tensor, change: Tensor) -> Tensor:
    """Undo a change (turn less 1, and shift, [N, 4]), then move as `pose` does."""
    a, b, tx, ty = pose.unbind(1)
    c, d, sx, sy = (change + REST).unbind(1)
    square = c * c + d * d
    re, im = (a * c + b * d) / square, (b * c - a * d) / square  # turn / turn of the change
    return torch.stack([re, im, tx - (re * sx - im * sy), ty - (im * sx + re * sy)], dim=1)


def inverse(pose: Tensor) -> Tensor:
    """The poses [N, 4] that undo these."""
    return after_inverse(REST[None], pose - REST)


def standardised(values: Tensor) -> Tensor:
    """Values [N, K] less their mean, over their deviation: the same in another light."""
    centred = values - values.mean(dim=1, keepdim=True)
    return centred / (centred.square().mean(dim=1, keepdim=True) + 1e-6).sqrt()


@torch.no_grad()
def fit_registration(frames: Pixels, seed: int) -> Registration | None:
    """Fit to good frames uint8 [N, H, W, C]; None where they, moved a little, are not found again."""
    grey = to_unit(torch.from_numpy(evenly(frames, FRAMES))).mean(dim=1, keepdim=True)
    poses = REST.repeat(len(grey), 1)
    levels: list[Level] = []
    for seen in coarse_to_fine(grey):
        for _ in range(ROUNDS):
            poses = fit_level(seen, poses)(seen, poses)
            poses = poses - poses.mean(dim=0) + REST  # the middle of the good ones stays where it is
        levels.append(fit_level(seen, poses))
    registration = Registration(levels).eval()
    return registration if finds_again(registration, grey, seed) else None


def fit_level(seen: Tensor, poses: Tensor) -> Level:
    """The template of grey frames [N, 1, h, w] in their poses [N, 4], and what a Gauss-Newton step on it needs."""
    size = seen.shape[2:]
    values = standardised(warp(seen, poses).flatten(1))  # [N, h * w]
    mean, noise = values.mean(dim=0), values.std(dim=0)
    noise = noise + LEAST_NOISE * noise.mean()
    longer = max(size)
    dy, dx = torch.gradient(mean.reshape(size), spacing=2 / longer)
    dx, dy = dx.flatten() / noise, dy.flatten() / noise
    points = places(size, seen.device).flatten(0, 1)
    x, y, _ = points.unbind(1)
    inside = (x.abs() < size[1] / longer - MARGIN) & (y.abs() < size[0] / longer - MARGIN)
    telling = torch.where(inside, dx.square() + dy.square(), 0)
    best = telling.topk(min(POINTS, int(inside.sum()))).indices.sort().values
    dx, dy, x, y, noise = (values[best] for values in (dx, dy, x, y, noise))
    descent = torch.stack([dx * x + dy * y, dy * x - dx * y, dx, dy], dim=1)  # [K, 4]
    # What light does to the points, which `standardised` undoes, says nothing about the pose.
    template = standardised(mean[best][None])[0]
    basis = torch.linalg.qr(torch.stack([1 / noise, template / noise], dim=1)).Q
    descent = descent - basis @ (basis.T @ descent)
    curvature = descent.T @ descent
    held_back = HELD_BACK * curvature.diagonal().mean() * torch.eye(4)
    return Level(points[best], template, noise, torch.linalg.solve(curvature + held_back, descent.T).T)


def finds_again(registration: Registration, grey: Tensor, seed: int) -> bool:
    """Whether good frames [N, 1, H, W] come to the same picture after they were moved."""
    generator = torch.Generator().manual_seed(seed)
    moved = warp(grey, REST + TRIED * (2 * torch.rand(len(grey), 4, generator=generator) - 1))
    straight, again = (warp(frames, registration(frames)) for frames in (grey, moved))
    one_pixel = REST + torch.tensor([0.0, 0.0, 1.0, 1.0]) * 2 / max(grey.shape[2:])
    beside = warp(straight, one_pixel.expand(len(grey), 4))
    middle = [slice(round(EDGE * length), length - round(EDGE * length)) for length in grey.shape[2:]]

    def error(other: Tensor) -> Tensor:
        difference = (other - straight)[:, :, middle[0], middle[1]]
        return F.avg_pool2d(difference, 2).square().flatten(1).mean(dim=1)

    return bool((error(again) < error(beside)).float().mean() >= MOST)
