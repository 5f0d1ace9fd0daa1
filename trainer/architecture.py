"""The network's sizes, apart from the network: what reads folders and arguments needs them without torch."""

from dataclasses import asdict, dataclass
from typing import Any

STRIDE = 32  # the encoder halves the frame five times, so frame sides are multiples of this
MAP_STRIDE = 4  # the logit map is a quarter of the frame
FEATURE_STRIDE = 8  # the features that the patch memory compares are an eighth of it


@dataclass(frozen=True)
class Architecture:
    """`widths` are the channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the frame; height and width multiples of STRIDE.

    `components` is the size of the linear half's code, 0 where it is left out, `latent` that of the convolutional one.
    """

    height: int
    width: int
    channels: int
    widths: tuple[int, int, int, int, int] = (16, 32, 48, 64, 64)
    bottleneck_channels: int = 32
    components: int = 48
    latent: int = 64
    features: int = 32

    def to_dict(self) -> dict[str, Any]:
        """As the model card keeps it."""
        return {"name": "conv-dense", **asdict(self)}
