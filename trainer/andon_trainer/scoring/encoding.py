"""What the encoder is shown of good parts: these, slightly varied, and those mirrored and turned that are good, too.

An autoencoder of a few hundred good parts takes for wrong how a part lies or is lit if none of them lay or was lit so.
More to learn from costs nothing on the line.
"""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from andon_monitor.model.imaging import Pixels
from torch import Tensor

from andon_trainer.augmentation.variation import Variation, to_float, to_levels, vary
from andon_trainer.network.encoder import Encoder
from andon_trainer.network.feature_autoencoder import FeatureAutoencoder
from andon_trainer.network.mask import FrameMask
from andon_trainer.network.registration import Registration, register
from andon_trainer.network.tensors import batched, evenly, to_unit

MAX_GOOD_FRAMES = 400  # that are chosen from
# With copies: 7 ms each, 70 MB for 100. A hundred in eight symmetries tell more than 400 in two.
MAX_VARIED_FRAMES = 800
MAX_COPIES = 8  # of one frame, itself included
VARIATION = Variation(moved=0.5)  # by 1 degree, 1 % and 1.5 %: registered parts lie no further from their place
# An autoencoder of the features of good parts misses those of mirrored or turned good parts by less than this many
# times as much (squared) as those of other good parts: then these are good parts, too. Textures and round parts reach
# 1.0 to 1.6, parts at any angle 1.7 where they are turned and 3.0 where they are mirrored, aligned parts 4 and more.
MAX_SYMMETRY_ERROR = 2.0
TESTED_FRAMES = 40  # of good parts, half of them to fit to; the others are encoded eight times

Encode = Callable[[Pixels], Tensor]  # frames uint8 [N, H, W, C] to features float [N, F, h, w]


class Symmetry(NamedTuple):
    """One of the eight ways to turn a square by right angles and mirror it; frames that are not square have four."""

    transposed: bool = False
    flipped: bool = False  # upside down
    mirrored: bool = False  # left and right

    def of(self, frames: Pixels) -> Pixels:
        """Frames uint8 [N, H, W, C], turned and mirrored."""
        turned = frames.swapaxes(1, 2) if self.transposed else frames
        turned = turned[:, ::-1] if self.flipped else turned
        return np.ascontiguousarray(turned[:, :, ::-1] if self.mirrored else turned)


def rebuild_features(
    encoder: Encoder,
    good_frames: Pixels,
    texture: bool,
    seed: int,
    registration: Registration | None = None,
    mask: FrameMask | None = None,
) -> FeatureAutoencoder:
    """The autoencoder of an encoder's features of good frames, uint8 [N, H, W, C] and not registered yet."""
    frames = evenly(good_frames, MAX_GOOD_FRAMES)
    if registration is not None:
        frames = register(frames, registration.poses(frames))

    run = encoder.in_runtime()

    def encode(frames: Pixels) -> Tensor:
        units = (to_unit(batch) for batch in batched(frames))
        return torch.cat([run(unit if mask is None else mask(unit)[0]) for unit in units])

    symmetries = possible_symmetries(frames)
    if registration is not None or mask is not None:
        symmetries = symmetries[:1]  # neither suits a mirrored part
    elif not texture:
        symmetries = find_symmetries(frames, encode, seed)
    return FeatureAutoencoder.fit(encode(varied(frames, symmetries, seed)), seed)


def possible_symmetries(frames: Pixels) -> tuple[Symmetry, ...]:
    """All ways to turn and mirror frames [N, H, W, C] that keep their size; the first changes nothing."""
    ways = (Symmetry(*each) for each in product((False, True), repeat=3))
    return tuple(each for each in ways if frames.shape[1] == frames.shape[2] or not each.transposed)


def find_symmetries(frames: Pixels, encode: Encode, seed: int) -> tuple[Symmetry, ...]:
    """The ways to turn and mirror frames of good parts, [N, H, W, C], that make other good parts."""
    possible, chosen = possible_symmetries(frames), evenly(frames, TESTED_FRAMES)
    known, others = chosen[::2], chosen[1::2]
    rebuild = FeatureAutoencoder.fit(encode(known), seed)
    errors = [float(rebuild(encode(each.of(others))).square().mean()) for each in possible]
    return tuple(each for each, error in zip(possible, errors, strict=True) if error <= MAX_SYMMETRY_ERROR * errors[0])


def varied(frames: Pixels, symmetries: tuple[Symmetry, ...], seed: int) -> Pixels:
    """Frames [N, H, W, C] and copies of them that lie and are lit a little differently, as many in each symmetry."""
    rng = np.random.default_rng(seed)
    frames = evenly(frames, MAX_VARIED_FRAMES // len(symmetries))
    copies = []
    for i in range(len(frames), min(MAX_VARIED_FRAMES, MAX_COPIES * len(frames))):
        copy, number = divmod(i, len(frames))
        turned = symmetries[copy % len(symmetries)].of(frames[number : number + 1])[0]
        copies.append(to_levels(vary(to_float(turned), rng, VARIATION)))
    return np.stack([*frames, *copies])
