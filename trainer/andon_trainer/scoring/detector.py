"""From the network's outputs to one score: what is exported as the model's graph.

Up to four anomaly maps make the score. The error head's logits say where the frame differs from its reconstruction in
a way that corruption taught. The second map depends on the parts. Of aligned parts it is the plain difference to the
linear reconstruction, in standard deviations of each place; of others, without an encoder and with enough images, it is
the distance to a patch memory of the features of good parts (Roth et al., "PatchCore", CVPR 2022, here on the
autoencoder's own features). The third is the distance to another such memory, of texture features. The fourth is what a
dense autoencoder leaves of the features of an encoder that was trained on photographs. Each map is put on the scale of
good parts that the weights never saw; of textures, of those that are as rough. The anomaly map of the model is their
weighted sum, so that several maps that are slightly unusual count as much as one that is very unusual. The score is the
mean of its largest cells.

Where there is time for several networks, each is trained without another part of the images, and their maps are
averaged: a network misjudges good parts of a sort that it was not shown, but the others were.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from andon_monitor.model.imaging import Pixels
from torch import Tensor, nn

from andon_trainer.architecture import FEATURE_STRIDE, MAP_STRIDE
from andon_trainer.network.conv_dense import Autoencoder, Output, compact
from andon_trainer.network.encoder import NONE, Encoder
from andon_trainer.network.feature_autoencoder import FeatureAutoencoder
from andon_trainer.network.mask import FrameMask, HiddenCells, MaskedFrames
from andon_trainer.network.registration import Registration, inverse, warp
from andon_trainer.network.tensors import TOP_SHARE, batched, evenly, normalise, pool, to_unit, top_mean, upsample
from andon_trainer.scoring.encoding import rebuild_features
from andon_trainer.scoring.patch_memory import PART_CLUSTERS, PatchMemory
from andon_trainer.scoring.scale import MIN_STD, Expectation, Scale, Surface, roughness
from andon_trainer.scoring.texture import TextureFeatures

# The score is 1 for the average good part and this much more for each standard deviation above it, so that scores are
# positive and their ratio to the threshold (about 1.6 to 2) fits one histogram for all models.
SCORE_PER_DEVIATION = 0.2
MAX_MEMORY_CELLS = 2**20  # of the training frames whose features are held at once: 280 MB
# With fewer images of good parts a memory has holes: whatever no training image happened to show counts as a defect.
# Only texture features of textures, which are alike all over, are remembered of any number of images.
MIN_MEMORY_IMAGES = 100
# Distances are smooth, and every good part has a few places that are new: their scale comes from a larger share.
MEMORY_TOP_SHARE = 0.01
# Where parts are aligned, texture features, which know no place, tell less than the comparison of each place with its
# usual look. Elsewhere head and features belong to one network, which misjudges the same parts with both: they share
# one vote.
TEXTURE_WEIGHT_OF_ALIGNED = 0.5
SHARED_WEIGHT = 0.5
MIN_SUM_STD = 0.1  # of the sum of maps, in deviations of each; with less, several flat maps have left rounding errors
# Places that are further below the worst place of an average good part are not raised, see `sum_of_tops`.
RAISED_DEVIATIONS = 8.0


class AnomalyMap(NamedTuple):
    """One map of how wrong each place is: [N, 1, h/4, w/4] or [N, 1, h/8, w/8]."""

    cells: Tensor
    top_share: float = TOP_SHARE  # the share of cells whose mean sets the map's scale
    weight: float = 1.0  # in the sum of maps
    hidden: HiddenCells | None = None  # by a mask

    def top(self) -> Tensor:
        """The mean of each frame's largest cells: [N]."""
        return top_mean_of(self.cells, self.hidden, self.top_share)

    def median(self) -> Tensor:
        """The median cell of each frame: [N]."""
        if self.hidden is None:
            return self.cells.flatten(1).median(dim=1).values
        return torch.where(self.hidden.hidden, torch.nan, self.cells).flatten(1).nanmedian(dim=1).values


def top_mean_of(cells: Tensor, hidden: HiddenCells | None, share: float = TOP_SHARE) -> Tensor:
    """`top_mean` of the cells that a mask leaves, [N, 1, h, w] to [N]."""
    return top_mean(cells, share) if hidden is None else hidden.top_mean(cells, share)


def joined(batches: Sequence[AnomalyMap]) -> AnomalyMap:
    """The same map of several batches of frames as one."""
    first = batches[0]
    cells, hidden = torch.cat([batch.cells for batch in batches]), first.hidden
    if hidden is not None:
        each = [batch.hidden.hidden.expand_as(batch.cells) for batch in batches if batch.hidden is not None]
        hidden = hidden._replace(hidden=torch.cat(each))
    return first._replace(cells=cells, hidden=hidden)


class PreparedFrames(NamedTuple):
    """N frames, normalised: as the camera took them, and as the network sees them, registered and pooled."""

    frame: Tensor  # [N, C, H, W] as the camera took them
    x: Tensor  # [N, C, H / pooling, W / pooling] as the network sees them
    mean: Tensor  # [N, 1, 1, 1] of the registered frames
    spread: Tensor  # [N, 1, 1, 1]
    pose: Tensor | None  # [N, 4]; None where nothing is registered
    inverse_pose: Tensor | None  # the same, undone
    features: Tensor | None = None  # [N, F, h, w] of the encoder, of the registered frames; None without an encoder
    masked: MaskedFrames | None = None  # as the mask lies on the frames that the camera took


def prepare_frames(
    frames: Tensor,
    registration: Registration | None = None,
    pooling: int = 1,
    encoder: Encoder | None = None,
    mask: FrameMask | None = None,
) -> PreparedFrames:
    """Register frames uint8 [N, H, W, C], replace what is masked, normalise, pool and encode."""
    unit, masked = to_unit(frames), None
    pose = None if registration is None else registration(unit)
    back = None if pose is None else inverse(pose)
    if mask is not None:
        unit, masked = mask(unit, back)
    frame, mean, spread = normalise(unit)
    if pose is not None:
        unit = warp(unit, pose)
    features = None if encoder is None else encoder(unit)
    if registration is None and pooling == 1:
        return PreparedFrames(frame, frame, mean, spread, None, None, features, masked)
    return PreparedFrames(frame, *normalise(pool(unit, pooling)), pose, back, features, masked)


def unregister(x: Tensor, inverse_pose: Tensor | None) -> Tensor:
    """Maps [N, C, h, w] of registered frames as maps of the frames that the camera took."""
    return x if inverse_pose is None else warp(x, inverse_pose)


class Member(nn.Module):
    """A network with its patch memories, and the scale of good parts that none of them saw.

    Names of attributes with weights are part of a model's `weights_sha256`.
    """

    def __init__(
        self,
        network: Autoencoder,
        memory: PatchMemory | None,
        grain: TextureFeatures,
        grain_memory: PatchMemory | None,
        rebuild: FeatureAutoencoder | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.memory = memory
        self.grain = grain
        self.grain_memory = grain_memory
        self.rebuild = rebuild
        self.surface = Surface()  # how rough good parts are
        self.expectations: list[Expectation] = []  # one for each map
        self.scales: list[Scale] = []  # the same
        self.own_scale = Scale()  # of the sum of all maps but that of the encoder's features
        self.scale = Scale()  # of the sum of all

    def judge(self, frames: PreparedFrames, output: Output) -> Tensor:
        """How many standard deviations of good parts the frames are from them at each place: [N, 1, h/4, w/4]."""
        return self.deviations(self.anomaly_maps(frames, output), roughness(frames.x) if self.is_texture else None)

    def deviations(self, maps: list[AnomalyMap], measured: Tensor | None) -> Tensor:
        """The same of anomaly maps and of the roughness [N, SCALES] that was measured; None of it for parts."""
        rough = None if measured is None else self.surface(measured)
        return self.scale.deviations(self.sum(self.relative(maps, rough)))

    def anomaly_maps(self, frames: PreparedFrames, output: Output) -> list[AnomalyMap]:
        """How wrong each place of the frames is, by each of the methods, unscaled."""
        shared = 1.0 if self.memory is None else SHARED_WEIGHT
        maps = [AnomalyMap(unregister(output.logits, frames.inverse_pose), weight=shared)]
        if output.difference is not None:
            cells = F.avg_pool2d(output.difference.abs().mean(dim=1, keepdim=True), MAP_STRIDE // 2)
            maps.append(AnomalyMap(unregister(cells, frames.inverse_pose)))
        if self.memory is not None:
            distance = unregister(self.memory(output.features), frames.inverse_pose)
            maps.append(AnomalyMap(distance, MEMORY_TOP_SHARE, shared))
        if self.grain_memory is not None:
            distance = self.grain_memory(self.grain(frames.frame, frames.masked))
            weight = 1.0 if output.difference is None else TEXTURE_WEIGHT_OF_ALIGNED
            maps.append(AnomalyMap(distance, MEMORY_TOP_SHARE, weight))
        if self.rebuild is not None and frames.features is not None:
            cells = F.interpolate(self.rebuild(frames.features), size=output.logits.shape[2:], mode="bilinear")
            maps.append(AnomalyMap(unregister(cells, frames.inverse_pose), MEMORY_TOP_SHARE))
        if frames.masked is None:
            return maps
        return [each._replace(hidden=frames.masked.cells(each.cells)) for each in maps]

    @property
    def is_texture(self) -> bool:
        """Whether the parts are a texture, whose maps follow its roughness.

        Of parts that look alike, each place has a roughness of its own; what is rougher may be worn or dirty.
        """
        return self.grain.texture

    def relative(self, maps: list[AnomalyMap], rough: Tensor | None) -> list[AnomalyMap]:
        """The maps as multiples of those of good parts, as rough ones where `rough` [N, SCALES] in deviations says."""
        pairs = zip(self.expectations, maps, strict=True)
        return [each._replace(cells=expectation.relative(each.cells, rough)) for expectation, each in pairs]

    def sum(self, relative: list[AnomalyMap]) -> Tensor:
        """Relative maps in standard deviations of good parts, weighted and added up: [N, 1, h/4, w/4]."""
        if self.rebuild is None:
            return self.sum_of_places(relative)
        *own, features = relative
        own_sum = self.own_scale.deviations(self.sum_of_places(own))
        return sum_of_tops(own_sum, self.scales[-1].deviations(features.cells), features.hidden)

    def sum_of_places(self, relative: list[AnomalyMap]) -> Tensor:
        """The same of the first of the maps, place by place."""
        maps = [r.weight * scale.deviations(r.cells) for scale, r in zip(self.scales, relative, strict=False)]
        size = maps[0].shape[-2:]
        return torch.stack([cells if cells.shape[-2:] == size else upsample(cells) for cells in maps]).sum(dim=0)

    @torch.no_grad()
    def standardise(self, batches: list[PreparedFrames]) -> None:
        """Put maps and their sum on the scale of good frames, some in each batch, that the weights never saw."""
        answers = [self.anomaly_maps(frames, self.network(frames.x)) for frames in batches]
        maps = [joined(same) for same in zip(*answers, strict=True)]
        self.scale_to(maps, torch.cat([roughness(frames.x) for frames in batches]) if self.is_texture else None)

    def scale_to(self, maps: list[AnomalyMap], measured: Tensor | None) -> None:
        """The same with anomaly maps of the good frames and their roughness [N, SCALES]; None of it for parts."""
        rough = None
        if measured is not None:
            self.surface = Surface.of(measured)
            rough = self.surface(measured)
        self.expectations = [Expectation.of(each.median(), each.top(), rough) for each in maps]
        relative = self.relative(maps, rough)
        self.scales = [
            Scale.of(each.top(), min_std=max(expectation.rounding, MIN_STD))
            for each, expectation in zip(relative, self.expectations, strict=True)
        ]
        hidden = maps[0].hidden
        # The smallest spread of a sum at which the rounding of its maps changes no score visibly.
        rounding = [
            each.weight * expectation.rounding / scale.std
            for each, expectation, scale in zip(maps, self.expectations, self.scales, strict=True)
        ]
        if self.rebuild is not None:
            *own, of_features = rounding
            tops = top_mean_of(self.sum_of_places(relative[:-1]), hidden)
            self.own_scale = Scale.of(tops, min_std=max(sum(own), MIN_SUM_STD))
            rounding = [sum(own) / self.own_scale.std, of_features]
        self.scale = Scale.of(top_mean_of(self.sum(relative), hidden), min_std=max(sum(rounding), MIN_SUM_STD))


def sum_of_tops(own: Tensor, features: Tensor, hidden: HiddenCells | None = None) -> Tensor:
    """The sum of two maps [N, 1, h, w], raised so far that its top is the sum of their tops: [N, 1, h, w].

    `hidden`: cells that a mask leaves out.

    The encoder's cells are larger than the other maps', and what both see of one defect is seldom at the same place.
    """
    both = own + features
    top = top_mean_of(both, hidden)
    missing = top_mean_of(own, hidden) + top_mean_of(features, hidden, MEMORY_TOP_SHARE) - top
    above, highest = both + RAISED_DEVIATIONS, (top + RAISED_DEVIATIONS).clamp_min(1)
    return both + missing.reshape(-1, 1, 1, 1) * (above / highest.reshape(-1, 1, 1, 1)).clamp(0, 1)


class Detector(nn.Module):
    """The exported graph: uint8 frames to score, anomaly map, reconstruction and latent vector.

    Where there are several members, the map is their mean; reconstruction and latent vector are the first one's.
    """

    def __init__(
        self,
        members: Sequence[Member],
        registration: Registration | None = None,
        encoder: Encoder | None = None,
        mask: FrameMask | None = None,
    ) -> None:
        super().__init__()
        self.registration = registration
        self.encoder = encoder
        self.mask = mask
        self.members = nn.ModuleList(members)
        self.pooling = members[0].network.arch.pooling

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Frames uint8 [N, H, W, C] to score [N], map [N, h/4, w/4], reconstruction like the frames, latent [N, D].

        h and w are what the network sees of H and W. The latent vector is brightness, contrast, the pose where frames
        are registered, and the network's code.
        """
        prepared = self.prepare(frames)
        first, *others = cast(list[Member], list(self.members))
        code, pyramid = first.network.encode(prepared.x)
        # The reconstruction comes from this tensor alone: here the monitor cuts the graph into encoder and decoder.
        pose = [] if prepared.pose is None else [prepared.pose]
        latent = torch.cat([prepared.mean.flatten(1), prepared.spread.flatten(1), *pose, code], dim=1)
        brightness, contrast, *pose, code = torch.split(
            latent, [1, 1, *(p.shape[1] for p in pose), code.shape[1]], dim=1
        )
        reconstruction, rebuilt = first.network.decode(code)
        judged = [first.judge(prepared, first.network.judge(prepared.x, code, pyramid, reconstruction, rebuilt))]
        judged += [member.judge(prepared, member.network(prepared.x)) for member in others]
        anomaly_map = 1 + SCORE_PER_DEVIATION * torch.stack(judged).mean(dim=0)  # [N, 1, h/4, w/4]
        hidden = None if prepared.masked is None else prepared.masked.cells(anomaly_map)
        score = top_mean_of(anomaly_map, hidden)  # [N]
        if hidden is not None:
            anomaly_map = hidden.apply(anomaly_map)
        lit = reconstruction * contrast.reshape(-1, 1, 1, 1) + brightness.reshape(-1, 1, 1, 1)
        lit = unregister(lit, inverse(pose[0]) if pose else None)
        pixels = F.interpolate(lit, scale_factor=2.0 * self.pooling, mode="bilinear")
        pixels = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        return score, anomaly_map.squeeze(1), pixels, latent

    def prepare(self, frames: Tensor) -> PreparedFrames:
        """Frames uint8 [N, H, W, C], prepared for the members."""
        return prepare_frames(frames, self.registration, self.pooling, self.encoder, self.mask)

    @torch.no_grad()
    def standardise(self, good_frames: Pixels) -> None:
        """Put every member on the scale of good frames uint8 [N, H, W, C] that its weights never saw."""
        batches = [self.prepare(frames) for frames in batched(good_frames)]
        for member in cast(list[Member], list(self.members)):
            member.standardise(batches)

    def to_dict(self) -> dict[str, Any]:
        """The architecture as the model card keeps it, with the number of patches in the first member's memories."""
        first = cast(Member, self.members[0])
        memories = {"memory_patches": first.memory, "grain_patches": first.grain_memory}
        patches = {name: 0 if memory is None else memory.size for name, memory in memories.items()}
        encoder = {"encoder": NONE if self.encoder is None else self.encoder.name}
        return first.network.arch.to_dict() | patches | {"registered": self.registration is not None} | encoder


@torch.no_grad()
def remember(
    network: Autoencoder,
    training_frames: Pixels,
    texture: bool,
    seed: int,
    registration: Registration | None = None,
    encoder: Encoder | None = None,
    mask: FrameMask | None = None,
) -> Member:
    """A trained network with patch memories of its training frames, uint8 [N, H, W, C] and not registered yet.

    With an encoder, also a dense autoencoder of what its features are on these frames.

    `texture` says whether good parts are a texture, `mask` where in the frames the network looks. The member has no
    scale yet, see `Detector.standardise`.
    """
    network = compact(network)
    cells = network.arch.height * network.arch.width // FEATURE_STRIDE**2
    remembered = evenly(training_frames, max(MAX_MEMORY_CELLS // cells, MIN_MEMORY_IMAGES))
    pooling = network.arch.pooling

    def memory_of(
        describe: Callable[[PreparedFrames], Tensor], at_rest: bool, clusters: int | None = None
    ) -> PatchMemory:
        """A memory of features of registered frames (at rest), or of frames as the camera took them."""
        features, inspected = [], []
        for batch in batched(remembered):
            frames = prepare_frames(batch, registration, pooling, mask=mask)
            features.append(describe(frames))
            if mask is not None and frames.masked is not None:
                hidden = (mask.at_rest if at_rest else frames.masked.cells)(features[-1]).hidden
                inspected.append(~hidden.expand(len(batch), -1, -1, -1))
        return PatchMemory.fit(torch.cat(features), seed, torch.cat(inspected) if inspected else None, clusters)

    many = len(training_frames) >= MIN_MEMORY_IMAGES
    own_features = network.linear is None and encoder is None and many
    memory = memory_of(lambda frames: network(frames.x).features, True) if own_features else None
    features, texture_memory = TextureFeatures(texture, pooling), None
    if texture or many:
        clusters = None if texture else PART_CLUSTERS
        texture_memory = memory_of(lambda frames: features(frames.frame, frames.masked), False, clusters)
    how = training_frames, texture, seed, registration, mask
    rebuild = None if encoder is None else rebuild_features(encoder, *how)
    return Member(network, memory, features, texture_memory, rebuild).eval()
