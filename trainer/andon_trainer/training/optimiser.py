"""The optimiser: from gradients to steps."""

import torch
from torch import nn

MUON_RATE = 10 / 3  # Muon's learning rate, as a multiple of AdamW's


class Optimiser:
    """AdamW, and Muon for the kernels if wanted.

    Muon (Jordan et al., 2024) makes steps equally long in all directions of a kernel as a matrix of outputs and inputs,
    so that what only a few frames show is learned as fast as what all show. A kernel [out, in, h, w] that lies channels
    last is a matrix [out, h * w * in] without being copied.
    """

    def __init__(self, network: nn.Module, weight_decay: float, muon: bool) -> None:
        """`weight_decay` is applied to kernels only, not to the scales of normalisation or to biases."""
        self.network = network
        kernels = [p for p in network.parameters() if p.ndim == 4]
        vectors = [p for p in network.parameters() if p.ndim < 4]
        groups = [{"params": vectors, "weight_decay": 0.0}]
        self.matrices = {kernel: nn.Parameter(as_matrix(kernel.data)) for kernel in kernels if muon}
        self.muon = None
        if muon:
            matrices = list(self.matrices.values())
            self.muon = torch.optim.Muon(matrices, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
        else:
            groups.append({"params": kernels, "weight_decay": weight_decay})
        self.adam = torch.optim.AdamW(groups, fused=True)  # fused takes a quarter of the time

    def step(self, learning_rate: float) -> None:
        """Change the weights by their gradients, and clear these."""
        for group in self.adam.param_groups:
            group["lr"] = learning_rate
        self.adam.step()
        if self.muon is not None:
            for kernel, matrix in self.matrices.items():
                assert kernel.grad is not None
                matrix.grad = kernel.grad.permute(0, 2, 3, 1).flatten(1)
            for group in self.muon.param_groups:
                group["lr"] = MUON_RATE * learning_rate
            self.muon.step()  # type: ignore[no-untyped-call]
        self.network.zero_grad(set_to_none=True)


def as_matrix(kernel: torch.Tensor) -> torch.Tensor:
    """A kernel [out, in, h, w], channels last in memory, as [out, h * w * in] in the same memory."""
    return kernel.permute(0, 2, 3, 1).view(len(kernel), -1)
