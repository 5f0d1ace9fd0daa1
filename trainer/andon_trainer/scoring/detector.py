"""From the network's outputs to one score: what is exported as the model's graph.

Up to three readings of the error make the score. The error head's logits say where the frame differs from its
reconstruction in a way that corruption taught. The second depends on what is learned from. On aligned parts it is the
plain difference to the linear reconstruction, in standard deviations of each place; on others, with images enough, a
patch memory says where the features are like none that good parts have (Roth et al., "PatchCore", CVPR 2022, here on
the autoencoder's own features). The third is another such memory, of the surface's grain. Each is a map, put on the
scale of good parts that the weights never saw and that are as rough. The anomaly map is their weighted sum, so that
what several readings find a little odd counts as much as what one finds very odd, and the score is the mean of the
map's largest cells.

Where the time is enough for several networks, each is trained without another part of the images, and their maps are
averaged: a network is wrong about good parts of a sort that it was not shown, the others were.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from andon_monitor.model.imaging import Pixels
from torch import Tensor, nn

from andon_trainer.architecture import FEATURE_STRIDE, MAP_STRIDE
from andon_trainer.network.conv_dense import Autoencoder, Output
from andon_trainer.network.registration import Registration, inverse, warp
from andon_trainer.network.tensors import evenly, normalise, pool, to_unit, upsample
from andon_trainer.scoring.patch_memory import PatchMemory
from andon_trainer.scoring.scale import Expectation, Scale, Surface, roughness
from andon_trainer.scoring.texture import Grain
from andon_trainer.training.loss import TOP_SHARE, top_mean

# The score is 1 for the average good part and this much more for each standard deviation above it, so that scores are
# positive and their ratio to the threshold (about 1.6 to 2) can be read in one histogram for all models.
DEVIATION = 0.2
MEMORY_CELLS = 2**20  # of all training frames, at most, are held at once: 280 MB
# With fewer images of good parts a memory has holes: what no training image happened to show counts as a defect. Only
# the grain of textures, which is alike all over, is remembered of any number.
MEMORY_MIN_IMAGES = 100
# Distances are smooth, and every good part has a few places that are new: they are scaled by more of their map.
MEMORY_TOP_SHARE = 0.01
# Where a part lies alike, its grain, which knows no place, says less than what compares each place with the usual one.
# Elsewhere head and features are of one network, which is wrong about the same parts with both: they have one vote.
GRAIN_OF_ALIGNED = 0.5
SHARED = 0.5
# Of the sum of readings, each in deviations: what varies less is no reading, but what is left of several flat ones.
LEAST_SPREAD = 0.1
BATCH = 16


class Reading(NamedTuple):
    """One map of the error, [N, 1, h/4, w/4] or [N, 1, h/8, w/8], the share of it that sets its scale, and its vote."""

    cells: Tensor
    top_share: float = TOP_SHARE
    weight: float = 1.0

    def top(self) -> Tensor:
        """What frames read where they are worst: [N]."""
        return top_mean(self.cells, self.top_share)


class Seen(NamedTuple):
    """N frames as they came, normalised, and as the network sees them: registered and pooled first."""

    frame: Tensor  # [N, C, H, W]
    x: Tensor  # [N, C, H / pooling, W / pooling]
    mean: Tensor  # [N, 1, 1, 1] of the registered frames
    spread: Tensor  # [N, 1, 1, 1]
    pose: Tensor | None  # [N, 4]; None where nothing is registered


def see(frames: Tensor, registration: Registration | None = None, pooling: int = 1) -> Seen:
    """What the detector makes its readings of: of frames uint8 [N, H, W, C]."""
    unit = to_unit(frames)
    frame, mean, spread = normalise(unit)
    if registration is None and pooling == 1:
        return Seen(frame, frame, mean, spread, None)
    pose = None
    if registration is not None:
        pose = registration(unit)
        unit = warp(unit, pose)
    return Seen(frame, *normalise(pool(unit, pooling)), pose)


def put_back(x: Tensor, pose: Tensor | None) -> Tensor:
    """Maps [N, C, h, w] of registered frames as maps of the frames as they came."""
    return x if pose is None else warp(x, inverse(pose))


class Member(nn.Module):
    """A network and its memories, and how they read good parts that none of them saw."""

    def __init__(
        self, network: Autoencoder, memory: PatchMemory | None, grain: Grain, grain_memory: PatchMemory | None
    ) -> None:
        super().__init__()
        self.network = network
        self.memory = memory
        self.grain = grain
        self.grain_memory = grain_memory
        self.surface = Surface()  # how rough good parts are
        self.expectations: list[Expectation] = []  # one for each reading
        self.scales: list[Scale] = []  # the same
        self.scale = Scale()  # of their sum

    def judge(self, seen: Seen, output: Output) -> Tensor:
        """How many standard deviations of good parts the frames are from them at each place: [N, 1, h/4, w/4]."""
        relative = self.relative(self.readings(seen, output), self.surface(roughness(seen.x)))
        return self.scale.deviations(self.sum(relative))

    def readings(self, seen: Seen, output: Output) -> list[Reading]:
        """What says how wrong each place of the frames is, unscaled."""
        shared = 1.0 if self.memory is None else SHARED
        readings = [Reading(put_back(output.logits, seen.pose), weight=shared)]
        if output.difference is not None:
            cells = F.avg_pool2d(output.difference.abs().mean(dim=1, keepdim=True), MAP_STRIDE // 2)
            readings.append(Reading(put_back(cells, seen.pose)))
        if self.memory is not None:
            distance = put_back(self.memory(output.features), seen.pose)
            readings.append(Reading(distance, MEMORY_TOP_SHARE, shared))
        if self.grain_memory is not None:
            distance = self.grain_memory(self.grain(seen.frame))
            readings.append(Reading(distance, MEMORY_TOP_SHARE, 1.0 if output.difference is None else GRAIN_OF_ALIGNED))
        return readings

    def relative(self, readings: list[Reading], rough: Tensor) -> list[Reading]:
        """The readings as multiples of what good parts as rough read: `rough` [N, SCALES] in deviations."""
        pairs = zip(self.expectations, readings, strict=True)
        return [reading._replace(cells=expectation.relative(reading.cells, rough)) for expectation, reading in pairs]

    def sum(self, relative: list[Reading]) -> Tensor:
        """Relative readings in standard deviations of good parts, weighted and added up by place: [N, 1, h/4, w/4]."""
        maps = [r.weight * scale.deviations(r.cells) for scale, r in zip(self.scales, relative, strict=True)]
        size = maps[0].shape[-2:]
        return torch.stack([cells if cells.shape[-2:] == size else upsample(cells) for cells in maps]).sum(dim=0)

    @torch.no_grad()
    def standardise(self, batches: list[Seen]) -> None:
        """Put readings and their sum on the scale of good frames, some in each batch, that the weights never saw."""
        rough = torch.cat([roughness(seen.x) for seen in batches])
        self.surface = Surface.of(rough)
        rough = self.surface(rough)
        answers = [self.readings(seen, self.network(seen.x)) for seen in batches]
        readings = [
            same[0]._replace(cells=torch.cat([batch.cells for batch in same])) for same in zip(*answers, strict=True)
        ]
        medians = [reading.cells.flatten(1).median(dim=1).values for reading in readings]
        self.expectations = [
            Expectation.of(median, reading.top(), rough) for median, reading in zip(medians, readings, strict=True)
        ]
        relative = self.relative(readings, rough)
        self.scales = [
            Scale.of(reading.top(), least=max(expectation.rounding, 1e-6))
            for reading, expectation in zip(relative, self.expectations, strict=True)
        ]
        self.scale = Scale.of(top_mean(self.sum(relative)), least=LEAST_SPREAD)


class Detector(nn.Module):
    """The exported graph: uint8 frames to score, anomaly map, reconstruction and latent vector.

    Where there are several members, the map is their mean; reconstruction and latent vector are the first one's.
    """

    def __init__(self, members: Sequence[Member], registration: Registration | None = None) -> None:
        super().__init__()
        self.registration = registration
        self.members = nn.ModuleList(members)
        self.pooling = members[0].network.arch.pooling

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Frames uint8 [N, H, W, C] to score [N], map [N, h/4, w/4], reconstruction like the frames, latent [N, D].

        h and w are what the network sees of H and W. The latent vector is brightness, contrast, the pose where frames
        are registered, and the network's code.
        """
        seen = see(frames, self.registration, self.pooling)
        first, *others = cast(list[Member], list(self.members))
        code, pyramid = first.network.encode(seen.x)
        # The reconstruction comes from this tensor alone: here the monitor parts the graph into encoder and decoder.
        pose = [] if seen.pose is None else [seen.pose]
        latent = torch.cat([seen.mean.flatten(1), seen.spread.flatten(1), *pose, code], dim=1)
        brightness, contrast, *pose, code = torch.split(
            latent, [1, 1, *(p.shape[1] for p in pose), code.shape[1]], dim=1
        )
        reconstruction, rebuilt = first.network.decode(code)
        judged = [first.judge(seen, first.network.judge(seen.x, code, pyramid, reconstruction, rebuilt))]
        judged += [member.judge(seen, member.network(seen.x)) for member in others]
        anomaly_map = 1 + DEVIATION * torch.stack(judged).mean(dim=0)  # [N, 1, h/4, w/4]
        score = top_mean(anomaly_map)  # [N]
        lit = reconstruction * contrast[:, :, None, None] + brightness[:, :, None, None]
        lit = put_back(lit, pose[0] if pose else None)
        pixels = F.interpolate(lit, scale_factor=2.0 * self.pooling, mode="bilinear")
        pixels = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        return score, anomaly_map[:, 0], pixels, latent


def batched(frames: Pixels) -> Iterator[Tensor]:
    """Frames uint8 [N, H, W, C], a batch at a time."""
    for i in range(0, len(frames), BATCH):
        yield torch.from_numpy(frames[i : i + BATCH])


@torch.no_grad()
def build_member(
    network: Autoencoder,
    training_frames: Pixels,
    held_out: Pixels,
    texture: bool,
    seed: int,
    registration: Registration | None = None,
) -> Member:
    """What judges with a trained network: memories from its training frames, scales from those held out from it.

    Frames are as they came, not registered yet; `texture` says whether the good parts are one.
    """
    cells = network.arch.height * network.arch.width // FEATURE_STRIDE**2
    looked_at = evenly(training_frames, max(MEMORY_CELLS // cells, MEMORY_MIN_IMAGES))
    pooling = network.arch.pooling

    def remember(describe: Callable[[Seen], Tensor]) -> PatchMemory:
        seen = (see(batch, registration, pooling) for batch in batched(looked_at))
        return PatchMemory.fit(torch.cat([describe(batch) for batch in seen]), seed)

    many = len(training_frames) >= MEMORY_MIN_IMAGES
    memory = remember(lambda seen: network(seen.x).features) if network.linear is None and many else None
    grain, grain_memory = Grain(texture, pooling), None
    if texture or many:
        grain_memory = remember(lambda seen: grain(seen.frame))
    member = Member(network, memory, grain, grain_memory).eval()
    member.standardise([see(frames, registration, pooling) for frames in batched(held_out)])
    return member
