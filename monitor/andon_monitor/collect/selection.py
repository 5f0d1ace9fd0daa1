"""Which frames are worth keeping as training images, and why others are not."""

from collections import Counter, deque
from collections.abc import Collection, Sequence
from statistics import median

from andon_monitor.collect.picture import Picture, Thumbnail, Thumbnails, distance, measure
from andon_monitor.collect.trigger import Trigger
from andon_monitor.errors import ImageError, UsageError
from andon_monitor.image_files.decoding import DecodingLimits
from andon_monitor.inspection.frames import Frame
from andon_monitor.sources.folder import GOOD

# Reasons to leave a frame out, in the order in which they are asked for.
OTHER_CAMERA, NOT_TRIGGERED, DEFECT, DAMAGED, DARK, EMPTY, MOVING, BLURRED, NEAR_DUPLICATE = (
    "other camera", "not triggered", "defect", "damaged", "dark", "empty", "moving", "blurred", "near-duplicate",
)  # fmt: skip
REASONS = (OTHER_CAMERA, NOT_TRIGGERED, DEFECT, DAMAGED, DARK, EMPTY, MOVING, BLURRED, NEAR_DUPLICATE)
OPTIONAL = (DARK, EMPTY, MOVING, BLURRED, NEAR_DUPLICATE)  # those that a user can turn off

# Distances of thumbnails in grey levels. The nearest of 120 machined parts under a fixed camera is 3.3 levels away or
# more (two rendered parts), of real parts 7 to 12; two frames of a part that stands still are below 1.
NEAR_LEVELS = 2.0
EMPTY_LEVELS = 3.0  # to a picture of the empty station
STILL_LEVELS = 4.0  # to the frame before: below it nothing moves
NOISE_FACTOR = 1.5  # a noisy camera's frames of one part are as far apart as its noise: that much more is near, too
MAX_NOISE_FACTOR = 2.0  # of a limit without noise: what is further apart is more than noise
# Frames further apart in time are no film in which a movement could be seen.
MAX_GAP_SECONDS = 0.5
RECENT_PAIRS = 200  # successive frames that show whether a source is a film, and its noise
# In a film some successive frames are alike. Where fewer are, each frame shows another part, as with a trigger.
MIN_STILL_SHARE = 0.05
MIN_BRIGHT_LEVEL = 30.0  # of 255, of the brightest pixels: below it there is no light
MIN_CONTRAST_LEVELS = 4.0  # between the darkest and brightest pixels: below it nothing is seen
BLURRED_SHARE = 0.35  # of the usual sharpness
RECENT_SHARP = 100  # frames that say what is usual
MIN_SHARP = 5
RECENT_VIEWS = 100  # of which the share of new ones is told


class Selection:
    """Judges frames one after the other, given the images that are kept already.

    `wanted_camera`: frames of others are left out. `kept_reasons`: of OPTIONAL, those for which nothing is left out.
    `empty`: thumbnails of the empty station; with `first_is_empty` the first frame is one, too.
    `trigger`: only frames that it takes.
    """

    def __init__(
        self,
        limits: DecodingLimits,
        wanted_camera: str | None = None,
        kept_reasons: Collection[str] = (),
        empty: Sequence[Thumbnail] = (),
        first_is_empty: bool = False,
        trigger: Trigger | None = None,
    ) -> None:
        self._limits = limits
        self._wanted_camera = wanted_camera
        self._trigger = trigger
        self._asked = [reason for reason in OPTIONAL if reason not in kept_reasons]
        self._empty = list(empty)
        self._first_is_empty = first_is_empty
        self._kept = Thumbnails()
        self._films: dict[str, _Film] = {}
        self._sharp: deque[float] = deque(maxlen=RECENT_SHARP)
        self._views: deque[bool] = deque(maxlen=RECENT_VIEWS)
        self._last_view: Thumbnail | None = None
        self.counts: Counter[str] = Counter()  # frames left out, by reason
        self.frames = 0

    def remember(self, picture: Thumbnail) -> None:
        """An image that is in the folder already."""
        self._kept.add(picture)

    def judge(self, frame: Frame) -> str | None:
        """Why a frame is left out, None where it is to be kept; both are counted."""
        self.frames += 1
        reason = self._why_not(frame)
        if reason is not None:
            self.counts[reason] += 1
        return reason

    @property
    def new_share(self) -> float | None:
        """The share of the last 100 views that were new; None before there were so many.

        A view is a frame that could be used and differs from the one before: a part that stands still is one view.
        """
        return sum(self._views) / RECENT_VIEWS if len(self._views) == RECENT_VIEWS else None

    def _why_not(self, frame: Frame) -> str | None:
        if self._wanted_camera is not None and frame.camera != self._wanted_camera:
            return OTHER_CAMERA
        if self._trigger is not None and not self._trigger.takes(frame):
            return NOT_TRIGGERED
        if frame.label not in (None, GOOD):
            return DEFECT
        if frame.rejection is not None:
            return DAMAGED
        try:
            picture = measure(frame.data, self._limits)
        except ImageError:
            return DAMAGED
        if self._first_is_empty:
            self._first_is_empty = False
            self._empty.append(picture.thumbnail)
        film = self._films.setdefault(frame.camera, _Film())
        film.add(picture.thumbnail, frame.captured_at)
        found = next((reason for reason in self._asked if self._holds(reason, picture, film)), None)
        if found in (None, NEAR_DUPLICATE):
            self._sharp.append(picture.sharpness)
            self._count_view(picture, found is None, film)
        if found is None:
            self._kept.add(picture.thumbnail)
        return found

    def _holds(self, reason: str, picture: Picture, film: "_Film") -> bool:
        match reason:
            case "dark":
                return picture.high < MIN_BRIGHT_LEVEL or picture.high - picture.low < MIN_CONTRAST_LEVELS
            case "empty":
                limit = film.limit(EMPTY_LEVELS)
                return any(distance(picture.thumbnail, empty) <= limit for empty in self._empty)
            case "moving":
                return film.is_moving
            case "blurred":
                usual = median(self._sharp) if len(self._sharp) >= MIN_SHARP else 0.0
                return picture.sharpness < BLURRED_SHARE * usual
        return self._kept.has_near(picture.thumbnail, film.limit(NEAR_LEVELS))

    def _count_view(self, picture: Picture, is_new: bool, film: "_Film") -> None:
        """Count a frame as a view where it is new, or differs from the last one that could be used."""
        last, self._last_view = self._last_view, picture.thumbnail
        if is_new or last is None or distance(last, picture.thumbnail) > film.limit(NEAR_LEVELS):
            self._views.append(is_new)


class _Film:
    """Successive frames of one camera: what moves, and how noisy they are."""

    def __init__(self) -> None:
        self._last: Thumbnail | None = None
        self._last_at = 0.0
        self._still: deque[float | None] = deque(maxlen=RECENT_PAIRS)  # distances of still pairs, None for others
        self.is_moving = False  # whether the latest frame shows a movement

    def add(self, picture: Thumbnail, captured_at: float) -> None:
        """The next frame."""
        last, gap = self._last, captured_at - self._last_at
        self._last, self._last_at = picture, captured_at
        self.is_moving = False
        if last is None or not 0 <= gap <= MAX_GAP_SECONDS:
            return
        apart = distance(last, picture)
        is_still = apart <= self.limit(STILL_LEVELS)
        self._still.append(apart if is_still else None)
        still = sum(pair is not None for pair in self._still)
        self.is_moving = not is_still and still >= MIN_STILL_SHARE * len(self._still)

    def limit(self, levels: float) -> float:
        """A distance in grey levels, or more for a noisy camera."""
        still = [pair for pair in self._still if pair is not None]
        return min(max(levels, NOISE_FACTOR * median(still)), MAX_NOISE_FACTOR * levels) if still else levels


def check_reasons(option: str, reasons: Sequence[str]) -> None:
    """Raise UsageError where one of these is no reason that can be turned off."""
    for reason in reasons:
        if reason not in OPTIONAL:
            raise UsageError(f"{option}: {reason!r} should be {', '.join(OPTIONAL[:-1])} or {OPTIONAL[-1]}")
