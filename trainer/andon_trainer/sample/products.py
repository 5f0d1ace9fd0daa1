"""What the sample's line makes: a plate, seen from above and from below, and a cover, seen from above.

Lengths are in part pixels: one part pixel is one pixel of the finished image. x points right, y down; the origin is the
centre of the part's face.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Hole:
    """A drilled, countersunk hole: its centre, radius and the countersink's width in part pixels."""

    x: float
    y: float
    radius: float
    chamfer: float


@dataclass(frozen=True)
class Slot:
    """A milled pocket: an upright slot with round ends."""

    x: float
    y: float
    half_length: float
    radius: float
    depth: float


@dataclass(frozen=True)
class Engraving:
    """A number engraved into the face, and its centre."""

    text: str
    x: float
    y: float


@dataclass(frozen=True)
class Face:
    """One side of a product, as one camera sees it: a milled plate with a bore in the middle of a turned disc.

    `boss_height` is the height of the disc above the plate. `big_holes` is how many of `holes`, from the first on, are
    large enough for a crack to start from.
    """

    product: str
    view: str
    half: tuple[float, float]
    corner: float
    boss_radius: float
    boss_height: float
    bore: Hole
    holes: tuple[Hole, ...]
    big_holes: int
    pocket: Slot | None = None
    engraving: Engraving | None = None

    @property
    def name(self) -> str:
        """Product and view, as folders of images and recipes are named."""
        return f"{self.product}-{self.view}"


BORE = Hole(0.0, 0.0, 41.0, 4.5)
CORNER_HOLES = tuple(Hole(x, y, 13.0, 3.5) for x in (-121.0, 121.0) for y in (-99.0, 99.0))
SMALL_HOLES = (Hole(0.0, -107.0, 6.5, 2.0), Hole(0.0, 107.0, 6.5, 2.0))

PLATE_TOP = Face(
    product="plate",
    view="top",
    half=(156.0, 134.0),
    corner=34.0,
    boss_radius=80.0,
    boss_height=5.0,
    bore=BORE,
    holes=(*CORNER_HOLES, *SMALL_HOLES),
    big_holes=4,
    pocket=Slot(-118.0, 0.0, 30.0, 12.0, 9.0),
    engraving=Engraving("A-07", 117.0, 0.0),
)

# The same holes from the other side, where only the bore has a wide countersink; the disc is a turned recess.
PLATE_BOTTOM = replace(
    PLATE_TOP,
    view="bottom",
    boss_radius=62.0,
    boss_height=-4.0,
    bore=Hole(0.0, 0.0, 41.0, 8.0),
    holes=(
        *(replace(hole, chamfer=1.5) for hole in CORNER_HOLES),
        *(replace(hole, chamfer=1.0) for hole in SMALL_HOLES),
    ),
    pocket=None,
    engraving=None,
)

COVER_TOP = Face(
    product="cover",
    view="top",
    half=(140.0, 140.0),
    corner=62.0,
    boss_radius=66.0,
    boss_height=6.0,
    bore=Hole(0.0, 0.0, 26.0, 4.0),
    holes=(
        *(Hole(x, y, 11.0, 3.0) for x, y in ((-98.0, 0.0), (98.0, 0.0), (0.0, -98.0), (0.0, 98.0))),
        *(Hole(x, y, 7.0, 2.0) for x in (-74.0, 74.0) for y in (-74.0, 74.0)),
    ),
    big_holes=4,
    engraving=Engraving("B-12", 50.0, 106.0),
)

FACES = (PLATE_TOP, PLATE_BOTTOM, COVER_TOP)
