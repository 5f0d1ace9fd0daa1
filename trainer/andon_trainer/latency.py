"""`fit --latency`: the best model that a core of this machine runs in so much time, found before anything is trained.

What a model costs depends on its graph, not on what it has learned. So graphs of untrained networks are timed, one
after the other: in the order in which they find less, as was measured on several sets (docs/developer/what-lost.md).
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from andon_monitor.errors import UsageError
from andon_monitor.model.file import OUTPUTS, SCORE, cut
from andon_monitor.model.imaging import Pixels, input_mask
from andon_monitor.model.session import Session

from andon_trainer.architecture import DEFAULT_SIZE, Architecture
from andon_trainer.data.images import TrainingImages
from andon_trainer.export.graph import to_onnx
from andon_trainer.export.metadata import serialise
from andon_trainer.network.conv_dense import Autoencoder
from andon_trainer.network.encoder import BUILT_IN, NONE, SMALL, Encoder, load_encoder
from andon_trainer.network.mask import FrameMask
from andon_trainer.network.registration import fit_registration
from andon_trainer.network.tensors import evenly
from andon_trainer.options import FitOptions
from andon_trainer.progress import Progress
from andon_trainer.scoring.detector import MIN_MEMORY_IMAGES, Detector, Member, remember
from andon_trainer.scoring.encoding import rebuild_features

SMALLER_SIDES = (256, 192, 128)
REBUILT_IMAGES = 20  # with their copies enough for an autoencoder of features of the usual size
SCALED_IMAGES = 8
WARM_UP_FRAMES, TIMED_FRAMES = 3, 20

Load = Callable[[FitOptions], TrainingImages]


@dataclass(frozen=True)
class Plan:
    """What decides how long a model takes for a frame."""

    side: int | None  # of the input, as `FitOptions.side`; None for what suits the images
    encoder: str
    networks: int = 1
    size: str = DEFAULT_SIZE  # of the networks, one of WIDTHS


@dataclass(frozen=True)
class TimedPlan:
    """A plan, the size of its frames, and how long a frame takes."""

    plan: Plan
    height: int
    width: int
    seconds: float


@dataclass(frozen=True, eq=False)
class LatencyChoice:
    """The best plan that keeps a latency, the next better one, which does not, and the images for the plan."""

    options: FitOptions
    images: TrainingImages
    limit: float  # seconds
    chosen: TimedPlan
    better: TimedPlan | None


def choose_within_latency(
    options: FitOptions, images: TrainingImages, networks: int, load: Load, progress: Progress
) -> LatencyChoice:
    """The best model that takes at most `options.latency` seconds for a frame, and the options that make it.

    `images`: as they are loaded without a limit; `networks`: as many as the budget is enough for; `load`: loads images
    for other options. Raises UsageError where no model is that fast here.
    """
    assert options.latency is not None
    texture = images.pooling > 1
    better: TimedPlan | None = None
    for plan in plans(options, images):
        progress("timing models", 0.0)
        wanted = replace(options, side=plan.side, encoder=plan.encoder, size=plan.size)
        loaded = images if plan.side == options.side else load(wanted)
        timed = time_plan(wanted, loaded, texture, plan)
        if timed.seconds > options.latency:
            better = timed
            continue
        if options.networks is None and networks > 1:
            timed, better = add_networks(wanted, loaded, texture, timed, networks, better)
        chosen = replace(wanted, networks=timed.plan.networks)
        return LatencyChoice(chosen, loaded, options.latency, timed, better)
    assert better is not None
    least = math.ceil(1000 * better.seconds)
    raise UsageError(
        f"--latency {1000 * options.latency:g}ms: the fastest model takes {1000 * better.seconds:.1f} ms a frame on "
        f"a core of this machine; give {least}ms or more"
    )


def plans(options: FitOptions, images: TrainingImages) -> list[Plan]:
    """Plans in the order in which models find less. What the options name is not changed."""
    encoders = [BUILT_IN, SMALL, NONE] if options.encoder is None else [options.encoder]
    side = round((images.spec.height * images.spec.width) ** 0.5)
    smaller = [] if options.side is not None else [each for each in SMALLER_SIDES if each < 0.9 * side]
    networks = options.networks or 1
    # The smaller encoder costs least of what is found, then fewer pixels; no encoder costs most.
    found = [Plan(options.side, encoder, networks, options.size) for encoder in encoders if encoder != NONE]
    found += [Plan(each, encoders[-2 if NONE in encoders[1:] else -1], networks, options.size) for each in smaller]
    if NONE in encoders:
        found += [Plan(each, NONE, networks, options.size) for each in (options.side, *smaller)]
    return list(dict.fromkeys(found))


def add_networks(
    options: FitOptions,
    images: TrainingImages,
    texture: bool,
    single: TimedPlan,
    most: int,
    better: TimedPlan | None,
) -> tuple[TimedPlan, TimedPlan | None]:
    """The same plan with as many networks as the latency allows, and the next better plan."""
    assert options.latency is not None
    two = time_plan(options, images, texture, replace(single.plan, networks=2))
    each = max(two.seconds - single.seconds, 1e-6)
    allowed = min(most, 1 + int((options.latency - single.seconds) / each))

    def with_networks(count: int) -> TimedPlan:
        plan = replace(single.plan, networks=count)
        return replace(single, plan=plan, seconds=single.seconds + (count - 1) * each)

    return with_networks(allowed), better or (with_networks(allowed + 1) if allowed < most else None)


def time_plan(options: FitOptions, images: TrainingImages, texture: bool, plan: Plan) -> TimedPlan:
    """How long a model of these options takes for a frame on one core."""
    arch = options.conv_dense(images.spec, images.pooling)
    encoder = load_encoder(plan.encoder, images.spec.channels)
    detector = untrained(arch, images, texture, plan.networks, encoder, options.seed)
    height, width = images.spec.height, images.spec.width
    return TimedPlan(plan, height, width, seconds_per_frame(detector, images.pixels))


def untrained(
    arch: Architecture, images: TrainingImages, texture: bool, networks: int, encoder: Encoder | None, seed: int
) -> Detector:
    """A detector with the graph of a trained one; parts that are no texture count as aligned, which takes longer."""
    masked = input_mask(images.spec)
    frames = evenly(images.pixels, MIN_MEMORY_IMAGES)
    registration = fit_registration(frames, seed, masked)
    mask = None if masked is None else FrameMask.fit(frames, masked)
    members = []
    with torch.random.fork_rng(devices=[]):
        for number in range(networks):
            torch.manual_seed(number)
            network = Autoencoder(replace(arch, components=0) if texture else arch).eval()
            member = remember(network, frames, texture, number, registration, None, mask)
            if encoder is not None:
                few = evenly(frames, REBUILT_IMAGES)
                rebuild = rebuild_features(encoder, few, True, number, None, mask)
                member = Member(member.network, None, member.grain, member.grain_memory, rebuild).eval()
            members.append(member)
    detector = Detector(members, registration, encoder, mask).eval()
    detector.standardise(evenly(frames, SCALED_IMAGES))
    return detector


def seconds_per_frame(detector: Detector, frames: Pixels) -> float:
    """The median time that a core computes the score of one frame uint8 [N, H, W, C], as the monitor does.

    Time in which other programs have the core does not count.
    """
    graph = serialise(to_onnx(detector, frames.shape[1:]))
    session = Session(cut(graph, OUTPUTS)[SCORE], "a model", "cpu")
    times = []
    for i in range(WARM_UP_FRAMES + TIMED_FRAMES):
        frame = frames[i % len(frames)][None]
        start = time.thread_time()
        session.run([SCORE], frame)
        times.append(time.thread_time() - start)
    return float(np.median(times[WARM_UP_FRAMES:]))
