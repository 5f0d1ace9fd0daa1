"""From outputs to a score: the memory, the scales, and the map that explains the score."""

import cv2
import numpy as np
import pytest
import torch
from andon_monitor.inspection.regions import find_regions
from andon_monitor.model.card import InputSpec
from andon_trainer.architecture import Architecture
from andon_trainer.network.conv_dense import Autoencoder
from andon_trainer.network.encoder import BUILT_IN, load_encoder
from andon_trainer.network.linear import fit_linear
from andon_trainer.network.registration import fit_registration, warp
from andon_trainer.network.tensors import evenly, top_mean
from andon_trainer.scoring import encoding
from andon_trainer.scoring.detector import SCORE_PER_DEVIATION, Detector, Member, prepare_frames
from andon_trainer.scoring.patch_memory import PatchMemory
from andon_trainer.scoring.texture import TextureFeatures

from tests.fixtures.detectors import detector_of, member_of
from tests.fixtures.images import plate, plates

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def network() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(Architecture(64, 64, 1, components=0)).eval()


def frames(count: int) -> np.ndarray:
    return RNG.integers(0, 256, (count, 64, 64, 1), dtype=np.uint8)


def test_of_very_many_frames_some_are_used_from_first_to_last() -> None:
    numbered = np.arange(1000)[:, None, None, None]
    assert evenly(numbered, 5).ravel().tolist() == [0, 250, 500, 749, 999]
    assert np.array_equal(evenly(numbered, 2000), numbered)


@pytest.fixture
def few_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder is shown few copies of good parts, which cost most of the time."""
    monkeypatch.setattr(encoding, "MAX_VARIED_FRAMES", 120)


def test_held_out_frames_score_one_on_average_with_the_promised_spread(network: Autoencoder) -> None:
    held_out = frames(24)
    detector = detector_of(network, frames(30), held_out, texture=True)
    with torch.no_grad():
        scores = detector(torch.from_numpy(held_out))[0].numpy()
    # One of them is further from the others than the scale believes.
    assert scores.mean() == pytest.approx(1, abs=0.02)
    assert scores.std(ddof=1) == pytest.approx(SCORE_PER_DEVIATION, rel=0.2)


@pytest.mark.parametrize(
    ("images", "texture", "features", "texture_features"),
    [(99, False, False, False), (99, True, False, True), (100, False, True, True), (100, True, True, True)],
)
def test_memories_are_used_from_a_hundred_images_on_and_of_texture_features_of_textures_always(
    network: Autoencoder, images: int, texture: bool, features: bool, texture_features: bool
) -> None:
    member = member_of(network, frames(images), frames(8), texture)
    assert (member.memory is not None) == features
    assert (member.grain_memory is not None) == texture_features
    assert len(member.scales) == 1 + features + texture_features


def test_on_aligned_parts_each_place_s_difference_counts_instead_of_features() -> None:
    torch.manual_seed(0)
    aligned = Autoencoder(Architecture(64, 64, 1, components=4)).eval()
    member = member_of(aligned, frames(100), frames(8), texture=True)
    assert member.memory is None
    assert len(member.scales) == 3


@pytest.mark.parametrize("images", [40, 110])
def test_the_map_is_in_units_of_the_score(network: Autoencoder, images: int) -> None:
    """The score is the mean of the map's top cells: whatever raises it is to be seen."""
    detector = detector_of(network, frames(images), frames(12), texture=True)
    with torch.no_grad():
        score, anomaly_map, reconstruction, latent = detector(torch.from_numpy(frames(5)))
    assert anomaly_map.shape == (5, 16, 16)
    assert reconstruction.shape == (5, 64, 64, 1)
    assert reconstruction.dtype == torch.uint8
    assert latent.shape == (5, 2 + 64), "brightness and contrast of the frame, then the network's"
    assert torch.allclose(top_mean(anomaly_map[:, None]), score, atol=1e-5)


def test_the_map_of_several_networks_is_the_mean_of_theirs(network: Autoencoder) -> None:
    torch.manual_seed(1)
    other = Autoencoder(network.arch).eval()
    training_frames, held_out = frames(40), frames(12)
    shown = torch.from_numpy(frames(5))
    with torch.no_grad():
        alone = [detector_of(each, training_frames, held_out, texture=True)(shown) for each in (network, other)]
        score, anomaly_map, reconstruction, latent = detector_of([network, other], training_frames, held_out, True)(
            shown
        )
    assert not torch.allclose(alone[0][1], alone[1][1])
    assert torch.allclose(anomaly_map, (alone[0][1] + alone[1][1]) / 2, atol=1e-5)
    assert torch.allclose(top_mean(anomaly_map[:, None]), score, atol=1e-5)
    assert torch.equal(reconstruction, alone[0][2])
    assert torch.equal(latent, alone[0][3])


def test_with_an_encoder_scores_keep_their_scale_and_unusual_features_raise_them(network: Autoencoder) -> None:
    rng = np.random.default_rng(0)

    def parts(count: int, bar: bool = False) -> np.ndarray:
        grey = np.full((count, 64, 64, 1), 120.0) + rng.normal(0, 2, (count, 64, 64, 1))
        if bar:
            grey[:, 20:44, 30:34] = 200
        return grey.clip(0, 255).astype(np.uint8)

    encoder, held_out = load_encoder(BUILT_IN), parts(24)
    detector = detector_of(network, parts(20), held_out, texture=False, encoder=encoder)
    (member,) = detector.members
    assert len(member.scales) == 2, "head, features"
    with torch.no_grad():
        scores = detector(torch.from_numpy(held_out))[0].numpy()
        prepared = detector.prepare(torch.from_numpy(parts(2, bar=True)))
        *_, error = member.anomaly_maps(prepared, network(prepared.x))
    assert scores.mean() == pytest.approx(1, abs=0.05)
    assert scores.std(ddof=1) == pytest.approx(SCORE_PER_DEVIATION, rel=0.2)
    assert error.cells.shape == (2, 1, 16, 16)
    rows, columns = np.unravel_index(error.cells.flatten(1).argmax(dim=1).numpy(), (16, 16))
    assert (np.abs(rows - 7.5) < 5).all()
    assert (np.abs(columns - 7.5) < 5).all()


@pytest.mark.parametrize(("texture", "excused"), [(True, True), (False, False)])
def test_roughness_excuses_textures_only(network: Autoencoder, texture: bool, excused: bool) -> None:
    """The rougher half of these good frames differs more everywhere; a part as rough may be worn."""
    rng = np.random.default_rng(0)
    contrasts = rng.uniform(2, 20, 60)
    smooth = rng.normal(0, 40, (60, 8, 8, 1)).repeat(8, axis=1).repeat(8, axis=2)
    grain = rng.normal(0, 1, (60, 64, 64, 1)) * contrasts[:, None, None, None]
    held_out = (128 + smooth + grain).clip(0, 255).astype(np.uint8)
    member = member_of(network, held_out[:20], held_out[20:], texture)
    slopes = torch.stack([each.slopes for each in member.expectations])
    assert bool((slopes != 0).any()) == excused


@pytest.mark.usefixtures("few_copies")
def test_with_an_encoder_the_network_s_own_features_are_not_remembered(network: Autoencoder) -> None:
    member = member_of(network, frames(100), frames(8), texture=True, encoder=load_encoder(BUILT_IN))
    assert member.memory is None
    assert len(member.scales) == 3, "head, texture features, encoder features"


def test_maps_count_alike_whatever_their_units(network: Autoencoder) -> None:
    held_out, unseen = frames(12), torch.from_numpy(frames(5))
    member = member_of(network, frames(110), held_out, texture=True)
    detector = Detector([member])
    assert len(member.scales) > 1
    maps = member.anomaly_maps
    with torch.no_grad():
        before = detector(unseen)[0]
        member.anomaly_maps = lambda prepared, output: [
            each._replace(cells=7 + 1000 * each.cells) if i else each for i, each in enumerate(maps(prepared, output))
        ]
        member.standardise([prepare_frames(torch.from_numpy(held_out))])
        after = detector(unseen)[0]
    assert torch.allclose(before, after, atol=1e-3)


def test_the_maps_of_the_network_have_one_vote_and_texture_features_of_aligned_parts_half_of_one(
    network: Autoencoder,
) -> None:
    def votes(network: Autoencoder, images: int, texture: bool) -> list[float]:
        member = member_of(network, frames(images), frames(8), texture)
        prepared = prepare_frames(torch.from_numpy(frames(2)))
        with torch.no_grad():
            return [each.weight for each in member.anomaly_maps(prepared, network(prepared.x))]

    torch.manual_seed(0)
    aligned = Autoencoder(Architecture(64, 64, 1, components=4)).eval()
    assert votes(network, 100, texture=True) == [0.5, 0.5, 1], "head and features, texture"
    assert votes(network, 40, texture=True) == [1, 1], "head, texture"
    assert votes(aligned, 100, texture=False) == [1, 1, 0.5], "head, difference, texture"


def test_scale_survives_maps_that_do_not_vary() -> None:
    features = TextureFeatures(texture=True)
    memory = PatchMemory.fit(features(torch.randn(4, 1, 64, 64)), seed=0)
    member = Member(Autoencoder(Architecture(64, 64, 1, components=0)).eval(), None, features, memory)
    same = torch.from_numpy(np.repeat(frames(1), 6, axis=0))
    member.standardise([prepare_frames(same)])
    with torch.no_grad():
        assert torch.isfinite(Detector([member])(same)[0]).all()


@pytest.mark.usefixtures("few_copies")
@pytest.mark.parametrize("encoder", [None, BUILT_IN])
def test_the_rounding_of_several_flat_maps_is_not_magnified(network: Autoencoder, encoder: str | None) -> None:
    """Of frames that are all but the same no map varies; runtimes differ by half a millionth in each of them."""
    same = frames(1).astype(np.int16)
    nearly = np.clip(same + RNG.integers(-1, 2, (122, 64, 64, 1)), 0, 255).astype(np.uint8)
    held_out = nearly[110:]
    detector = detector_of(network, nearly[:110], held_out, texture=False, encoder=encoder and load_encoder(encoder))
    (member,) = detector.members
    with torch.no_grad():
        prepared = detector.prepare(torch.from_numpy(held_out))
        maps = member.anomaly_maps(prepared, network(prepared.x))
        other = [each._replace(cells=each.cells * (1 + 5e-7)) for each in maps]
        first, second = (
            top_mean(member.scale.deviations(member.sum(member.relative(each, None)))) for each in (maps, other)
        )
    assert len(maps) == 3
    assert SCORE_PER_DEVIATION * float((first - second).abs().max()) < 2e-5


def test_a_part_that_lies_elsewhere_is_judged_as_if_it_did_not() -> None:
    """The score hardly changes, and map and reconstruction are those of the frame that the camera took."""
    rng = np.random.default_rng(0)
    large = cv2.GaussianBlur(rng.uniform(0, 255, (96, 96)), (0, 0), 4)
    large = ((large - large.min()) / np.ptp(large) * 200 + 20).astype(np.float32)

    def part(x: float, y: float, spot: bool = False) -> np.ndarray:
        scene = large.copy()
        if spot:
            scene[44:50, 52:58] = 255
        moved = cv2.warpAffine(scene, np.array([[1, 0, x - 16.0], [0, 1, y - 16.0]]), (64, 64))
        return (moved + rng.normal(0, 1, (64, 64))).clip(0, 255).round().astype(np.uint8)[..., None]

    good = np.stack([part(*rng.uniform(-1, 1, 2)) for _ in range(60)])
    registration = fit_registration(good[:40], seed=0)
    assert registration is not None
    registered = registration.apply_to(good[:40])
    arch = Architecture(64, 64, 1, components=4)
    linear, _ = fit_linear(registered, np.arange(40), arch, seed=0)
    torch.manual_seed(0)
    network = Autoencoder(arch).eval()
    network.linear = linear
    detector = detector_of(network, good[:40], good[40:], texture=False, registration=registration)
    with torch.no_grad():
        shown = torch.from_numpy(np.stack([part(0, 0), part(3, -2), part(0, 0, spot=True), part(3, -2, spot=True)]))
        score, anomaly_map, reconstruction, latent = detector(shown)
    assert (score[1] - score[0]).abs() < 0.5 * (score[3] - score[1])
    assert (score[3] - score[2]).abs() < 0.5 * (score[3] - score[1])
    there, here = anomaly_map[2:3, None], anomaly_map[3:4, None]
    moved = warp(there, torch.tensor([[1.0, 0.0, -3 / 32, 2 / 32]]))
    assert (moved - here).abs().mean() < 0.6 * (there - here).abs().mean()
    assert latent.shape == (4, 2 + 4 + 4 + 64)
    assert (latent[3, 4:6] - latent[2, 4:6]).tolist() == pytest.approx([3 / 32, -2 / 32], abs=0.01)
    inner = (slice(8, 56), slice(8, 56))
    apart = (reconstruction[1][inner].float() - shown[1][inner].float()).abs().mean()
    assert apart < 0.5 * (reconstruction[0][inner].float() - shown[1][inner].float()).abs().mean()


@pytest.mark.parametrize(("shift", "degrees"), [((0.0, 0.0), 0.0), ((4.0, -3.0), 4.0), ((-5.0, 3.0), -5.0)])
def test_the_region_of_a_defect_on_a_moved_part_is_where_the_camera_sees_it(
    shift: tuple[float, float], degrees: float
) -> None:
    registration = fit_registration(plates(40), seed=0)
    assert registration is not None
    torch.manual_seed(0)
    network = Autoencoder(Architecture(64, 96, 1)).eval()
    detector = detector_of(network, plates(40), plates(12), texture=False, registration=registration)
    frame = plate(shift, degrees)
    frame[20:26, 60:66] = 255
    with torch.no_grad():
        _, anomaly_map, _, _ = detector(torch.from_numpy(frame[None]))
    values = anomaly_map[0].numpy()
    camera_size = (2 * frame.shape[1], 2 * frame.shape[0])  # as a camera with twice the pixels has it
    spec = InputSpec(height=64, width=96, channels=1, frame_size=camera_size)
    regions = find_regions(values, float(values.max()) / 2, spec, camera_size)
    left, top, width, height = regions.found[0].box
    assert (left + width / 2, top + height / 2) == pytest.approx((126, 46), abs=8)
    x, y, _ = regions.found[0].peak
    assert (x, y) == pytest.approx((126, 46), abs=8)
