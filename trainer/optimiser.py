"""What turns gradients into steps."""

import torch
from torch import nn

# Scales and offsets of batch normalisation, and biases, take shorter steps than the kernels.
VECTOR_SHARE = 0.3


class Optimiser:
    """Muon for kernels, AdamW for what is no matrix.

    Muon (Jordan et al., 2024) makes a step equally long in all directions of a kernel seen as a matrix of outputs and
    inputs, so that what few frames show is learned as fast as what all do. A kernel [out, in, h, w] that lies channels
    last is a matrix [out, h * w * in] without being copied.
    """

    def __init__(self, network: nn.Module, weight_decay: float) -> None:
        """`weight_decay` pulls on kernels only: normalisation's scales and all biases are better left alone."""
        self.network = network
        self.kernels = [p for p in network.parameters() if p.ndim == 4]
        self.matrices = [nn.Parameter(as_matrix(kernel.data)) for kernel in self.kernels]
        vectors = [p for p in network.parameters() if p.ndim < 4]
        self.muon = torch.optim.Muon(self.matrices, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
        self.adam = torch.optim.AdamW(vectors, weight_decay=0.0)

    def step(self, learning_rate: float) -> None:
        """Change the weights by their gradients, and forget these."""
        for kernel, matrix in zip(self.kernels, self.matrices, strict=True):
            assert kernel.grad is not None
            matrix.grad = kernel.grad.permute(0, 2, 3, 1).flatten(1)
        for optimiser, share in ((self.muon, 1.0), (self.adam, VECTOR_SHARE)):
            for group in optimiser.param_groups:
                group["lr"] = share * learning_rate
            optimiser.step()  # type: ignore[no-untyped-call]
        self.network.zero_grad(set_to_none=True)


def as_matrix(kernel: torch.Tensor) -> torch.Tensor:
    """A kernel [out, in, h, w], channels last in memory, as [out, h * w * in] in the same memory."""
    return kernel.permute(0, 2, 3, 1).view(len(kernel), -1)
