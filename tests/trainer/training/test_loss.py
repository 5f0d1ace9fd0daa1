"""The loss: zero where all is right, and larger for what is worse."""

import pytest
import torch
from andon_trainer.architecture import LOSSES, Loss
from andon_trainer.network.conv_dense import Output
from andon_trainer.network.tensors import top_mean
from andon_trainer.training.loss import dice, focal, loss, reconstruction_loss, structural_similarity


def output(logits: torch.Tensor, reconstruction: torch.Tensor) -> Output:
    return Output(logits, reconstruction, torch.zeros(1, 4), torch.zeros(1, 32, 8, 8), None)


def test_a_perfect_answer_costs_almost_nothing() -> None:
    clean = torch.randn(2, 1, 64, 64)
    mask = torch.zeros(2, 1, 64, 64)
    mask[0, :, 16:32, 16:32] = 1
    target = torch.nn.functional.max_pool2d(mask, 4)
    parts = loss(output(target * 40 - 20, torch.nn.functional.avg_pool2d(clean, 2)), clean, mask)
    assert parts.total.item() == pytest.approx(0, abs=1e-2)


def test_each_mistake_has_its_part() -> None:
    clean, mask = torch.randn(1, 1, 64, 64), torch.zeros(1, 1, 64, 64)
    half = torch.nn.functional.avg_pool2d(clean, 2)
    quiet, loud = torch.full((1, 1, 16, 16), -20.0), torch.full((1, 1, 16, 16), 3.0)
    right = loss(output(quiet, half), clean, mask)
    blurred = loss(output(quiet, half * 0.5), clean, mask)
    alarm = loss(output(loud, half), clean, mask)
    assert blurred.reconstruction > right.reconstruction + 0.05
    assert blurred.map == right.map
    assert alarm.map > right.map + 0.5
    assert alarm.image > right.image + 0.5


@pytest.mark.parametrize("kind", LOSSES)
def test_every_loss_of_rebuilding_is_least_and_nothing_where_all_is_right(kind: Loss) -> None:
    target = torch.randn(2, 1, 32, 32)
    guess = target.clone().requires_grad_()
    right = reconstruction_loss(guess, target, kind)
    assert right.item() == pytest.approx(0, abs=1e-6)
    (slope,) = torch.autograd.grad(right, guess)
    assert slope.abs().max() < 1e-6
    errors = [reconstruction_loss(target + step, target, kind).item() for step in (-1.0, -0.1, 0.1, 1.0)]
    assert errors[0] > errors[1] > 0
    assert errors[3] > errors[2] > 0


def test_a_defect_smaller_than_a_cell_still_counts() -> None:
    clean, mask = torch.randn(1, 1, 64, 64), torch.zeros(1, 1, 64, 64)
    mask[0, 0, 30, 30] = 1
    half = torch.nn.functional.avg_pool2d(clean, 2)
    missed = torch.full((1, 1, 16, 16), -20.0)
    seen = missed.clone()
    seen[0, 0, 7, 7] = 20
    assert loss(output(seen, half), clean, mask).map < loss(output(missed, half), clean, mask).map


def test_top_mean_is_the_mean_of_the_largest() -> None:
    cells = torch.arange(64 * 64, dtype=torch.float).reshape(1, 1, 64, 64)
    assert top_mean(cells, share=8 / 4096).item() == pytest.approx(4095 - 3.5)
    assert top_mean(cells, share=1 / 4096).item() == pytest.approx(4095 - 1.5), "no single cell decides"


def test_focal_loss_is_the_weighted_cross_entropy_without_focus() -> None:
    logits, target = torch.randn(1, 1, 8, 8), (torch.rand(1, 1, 8, 8) > 0.5).float()
    plain = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
    assert focal(logits, target, gamma=0, alpha=0.5).item() == pytest.approx(0.5 * plain.item(), rel=1e-5)
    assert focal(logits, target) < plain


def test_dice_is_the_share_that_does_not_overlap() -> None:
    target = torch.zeros(1, 1, 20, 20)
    target[..., :10] = 1
    shifted = torch.zeros(1, 1, 20, 20)
    shifted[..., 5:15] = 1
    assert dice(target * 40 - 20, target).item() == pytest.approx(0, abs=1e-2)
    assert dice(shifted * 40 - 20, target).item() == pytest.approx(0.5, abs=0.01)


def test_structural_similarity_is_one_for_equals_less_for_noise_and_negative_for_the_opposite() -> None:
    frame = torch.randn(1, 1, 32, 32)
    assert structural_similarity(frame, frame).item() == pytest.approx(1)
    assert structural_similarity(frame, frame + 0.5 * torch.randn_like(frame)) < 0.95
    assert structural_similarity(frame, -frame) < -0.9


def test_structural_similarity_teaches_every_pixel() -> None:
    right = torch.randn(1, 1, 32, 32)
    rebuilt = (right + 0.1 * torch.randn_like(right)).requires_grad_()
    structural_similarity(rebuilt, right).backward()
    assert rebuilt.grad is not None
    assert (rebuilt.grad != 0).all()


@pytest.mark.parametrize("place", [0, 5, 16, 31])
def test_a_wrong_pixel_is_less_similar_wherever_it_is(place: int) -> None:
    right = 0.1 * torch.randn(1, 1, 32, 32)
    rebuilt = right.clone()
    rebuilt[..., place, place] += 3
    assert structural_similarity(rebuilt, right) < 0.99
