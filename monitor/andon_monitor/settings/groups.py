"""Every setting of the monitor, in groups, with its default and its meaning."""

from ipaddress import ip_network
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, FiniteFloat, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from andon_monitor.image_files.decoding import DEFAULT_MAX_BYTES, DEFAULT_MAX_PIXELS
from andon_monitor.model.calibration import MAX_RATE, MIN_RATE
from andon_monitor.model.imaging import TOO_BLURRED, TOO_DARK
from andon_monitor.model.limits import LoadLimits
from andon_monitor.settings.actions import TargetSettings
from andon_monitor.settings.types import Count, Group, Name, PartName, Positive, Ratio, Seconds, Share

PREFIX = "ANDON_"  # of environment variables

ANY_PRODUCT = "*"  # in parts.views: any other product, and parts without one
MAX_PART_VIEWS = 64


def _is_network(text: str) -> str:
    try:
        ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} should be an IP address or a network, such as 10.0.0.0/28") from None
    return text


def _is_token_url(text: str) -> str:
    """The secret is sent there. The message does not repeat the address, which may have a password."""
    try:
        address = urlsplit(text)
        address.port  # noqa: B018 -- raises where it is no number
    except ValueError:
        raise ValueError("should be https://host/path") from None
    local = address.scheme == "http" and address.hostname in ("localhost", "127.0.0.1", "::1")
    if not (address.scheme == "https" or local) or not address.hostname:
        raise ValueError("should be https://host/path; http:// only on this machine, since the secret is sent there")
    if address.username is not None or address.fragment:
        raise ValueError("should have no user, password or fragment; give oauth_client_id and oauth_client_secret_file")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("should have no spaces and only ASCII characters")
    return text


Network = Annotated[str, AfterValidator(_is_network)]
Connections = Annotated[int, Field(ge=4)]

# Settings of kafka that say who logs in, and of the mechanisms without user name: those they need and may have.
LOGIN_OF_MECHANISM = {
    "OAUTHBEARER": (
        ("oauth_token_url", "oauth_client_id", "oauth_client_secret_file"),
        ("oauth_scope", "oauth_ca_file"),
    ),
    "AWS_MSK_IAM": (("aws_region",), ()),
}
LOGIN_SETTINGS = ("username", "password", "password_file", *chain(*chain(*LOGIN_OF_MECHANISM.values())))


class ModelSettings(Group):
    """The model, and the hardware that runs it."""

    path: Path | None = Field(default=None, description="Model file from andon-trainer fit")
    alias: Name | None = Field(
        default=None, description="Name of the model in verdicts and metrics; default: the name on its model card"
    )
    provider: Literal["auto", "cpu", "cuda", "tensorrt"] = Field(
        default="auto", description="onnxruntime execution provider; auto takes a GPU if there is one"
    )
    threads: int = Field(default=0, ge=0, description="Frames inspected in parallel; 0: one per CPU core")
    watch: Seconds = Field(
        default=2.0,
        description="Seconds between checks of model.path for a new model, which a live run swaps in; 0: never check",
    )
    load_timeout: Positive = Field(
        default=LoadLimits.seconds,
        description="Longest time in seconds to open a model file and run its self-test; TensorRT may need minutes",
    )
    max_load_bytes: Count = Field(
        default=LoadLimits.max_bytes, description="Most memory in bytes that opening a model file may take, on a CPU"
    )
    load: Literal["start", "first-frame"] = Field(
        default="start",
        description="When the models of recipes are opened: before the first frame, or with the first frame that needs "
        "one",
    )
    load_wait: Seconds = Field(
        default=5.0,
        description="Longest time in seconds that live frames wait for a model that is being opened, and frames of "
        "other recipes behind them; then they are uninspectable (no_model)",
    )
    memory_bytes: Count | None = Field(
        default=None,
        description="Memory in bytes for the models of recipes; beyond it the least recently used one is closed until "
        "a frame needs it; default: no limit",
    )

    topic: Name | None = Field(
        default=None,
        description="Topic by which the review page tells monitors on other machines of a new model, kafka://...; "
        "needs model.shared",
    )
    shared: Path | None = Field(
        default=None,
        description="Folder that review page and monitors share, for the models of model.topic; it may be mounted "
        "at another path on each machine",
    )

    @property
    def load_limits(self) -> LoadLimits:
        """What opening a model file may take."""
        return LoadLimits(self.load_timeout, self.max_load_bytes)

    @model_validator(mode="after")
    def _topic_and_folder(self) -> Self:
        if (self.topic is None) != (self.shared is None):
            raise ValueError("topic and shared belong together; give both or none")
        return self


class ShadowSettings(Group):
    """A second model that scores the same live frames. Its verdicts appear only in metrics."""

    path: Path | None = Field(default=None, description="Model file of the shadow")
    alias: Name | None = Field(
        default=None, description="Name of the shadow in metrics; default: the name on its model card"
    )
    budget: Annotated[FiniteFloat, Field(gt=0, le=1)] = Field(
        default=0.25, description="Largest share of one CPU core that the shadow may use; it skips further frames"
    )
    pending: Count = Field(default=16, description="Largest number of frames that wait for the shadow")


class RecipeSettings(Group):
    """A rule in the list of recipes: which frames it takes, the model that inspects them, and how.

    The first rule that takes a frame counts. Patterns are globs: * any text, ? one character, [ab] one of these.
    """

    camera: Name = Field(default="*", description="Pattern of the cameras whose frames it takes")
    product: str = Field(
        default="*", description="Pattern of the products it takes; a frame without a product has an empty text"
    )
    model: Path = Field(description="Model file from andon-trainer fit")
    name: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")] | None = Field(
        default=None, description="Name in verdicts and metrics; default: the model file's name without its ending"
    )
    threshold: FiniteFloat | None = Field(default=None, description="Threshold override; a score above is a defect")
    false_alarm_rate: Annotated[FiniteFloat, Field(ge=MIN_RATE, le=MAX_RATE)] | None = Field(
        default=None, description="Share of good parts to flag, which sets the threshold; default: the model's"
    )
    too_dark: Ratio | None = Field(default=None, description="Instead of inspection.too_dark")
    too_blurred: Ratio | None = Field(default=None, description="Instead of inspection.too_blurred")
    regions: bool | None = Field(default=None, description="Instead of inspection.regions")
    scale: Positive | None = Field(default=None, description="Millimetres per pixel, instead of inspection.scales")
    shadow: Path | None = Field(
        default=None, description="Second model that scores the same live frames; its verdicts are only in metrics"
    )

    @model_validator(mode="after")
    def _one_threshold(self) -> Self:
        if self.threshold is not None and self.false_alarm_rate is not None:
            raise ValueError("threshold and false_alarm_rate are both given; which one?")
        return self


class SourceSettings(Group):
    """Where frames come from."""

    uri: Name | None = Field(
        default=None,
        description="kafka://..., a folder, image or video file, rtsp://..., http://..., camera:0, "
        "genicam:..., pylon:... or watch:FOLDER",
    )
    camera: Name | None = Field(default=None, description="Camera name for a source that does not give one")
    pace: Literal["max", "recorded"] = Field(
        default="max", description="Playback speed of a recording: as fast as possible, or as recorded"
    )
    cameras: tuple[Name, ...] = Field(
        default=(), description="Cameras to expect; one of them that never sends a frame counts as silent"
    )
    products: tuple[Name, ...] = Field(
        default=(),
        max_length=100,
        description="Products whose verdicts are counted in metrics, all others as other; default: none are counted",
    )
    silence: Positive = Field(default=60.0, description="Seconds without a frame after which a camera counts as silent")
    transport: Literal["tcp", "udp"] = Field(
        default="tcp",
        description="How the packets of an RTSP camera come: tcp loses none in the network, udp is not held up by one",
    )
    timeout: Positive = Field(
        default=5.0,
        description="Seconds without a frame after which a network camera counts as lost and is opened again; more for "
        "one that only sends when it is triggered",
    )
    ca_file: Path | None = Field(
        default=None,
        description="Certificate (PEM) by which a camera at rtsps:// or https:// must prove itself: its own, or its "
        "authority's; without one its certificate is not checked",
    )
    redirects: bool = Field(
        default=True,
        description="Whether a network camera may send on to another address, by a redirect or a playlist; false where "
        "review.source_hosts limits what a set-up opens",
    )
    then: Annotated[str, Field(pattern=r"^(keep|delete|move:.+)$")] = Field(
        default="keep",
        description="What becomes of an image of a watched folder after its verdict: keep, delete or move:FOLDER; one "
        "that is uninspectable is always kept",
    )
    state_file: Path | None = Field(
        default=None,
        description="Where a watched folder's images that have their verdict are noted; default: .andon-watch in it",
    )
    settle: Positive = Field(
        default=1.0, description="Seconds for which an image of a watched folder must not have changed to be complete"
    )


class CameraSettings(Group):
    """An industrial camera, genicam:SERIAL or pylon:SERIAL. What is not given stays as the camera is set up."""

    producer: Path | None = Field(
        default=None,
        description="GenTL producer of the camera's maker (a .cti file, or a folder of them), through which genicam: "
        "opens the camera instead of Aravis",
    )
    pixel_format: Name | None = Field(
        default=None, description="Pixel format by its name in the camera, such as Mono8, Mono12p or BayerRG8"
    )
    exposure: Positive | None = Field(default=None, description="Exposure time in microseconds")
    gain: FiniteFloat | None = Field(
        default=None, description="Gain in decibels; in the camera's own steps where it has no other"
    )
    region: tuple[int, int, int, int] | None = Field(
        default=None, description="Part of the sensor to read: left, top, width and height in pixels"
    )
    frame_rate: Positive | None = Field(
        default=None, description="Frames per second; with trigger software the most frames per second"
    )
    trigger: Literal["off", "hardware", "software"] | None = Field(
        default=None,
        description="What starts an exposure: off (the camera runs freely), hardware (the input trigger_line) or "
        "software (the monitor, whenever it can take a frame)",
    )
    trigger_line: Name = Field(default="Line1", description="Input of the hardware trigger, by its name in the camera")
    chunks: tuple[Name, ...] = Field(
        default=(),
        description="Chunk data to send with each frame as headers, by their names in the camera, such as "
        "[ExposureTime, EncoderValue, LineStatusAll]",
    )
    features: dict[Name, bool | int | float | str] = Field(
        default={},
        description="Other features of the camera by name, such as {BinningHorizontal: 2}; set first, in this order",
    )


class InspectionSettings(Group):
    """How frames are inspected, and how many at a time."""

    batch_size: Count = Field(default=8, le=1024, description="Largest number of frames in a batch on a GPU")
    batch_wait: Seconds = Field(default=0.005, description="Longest time in seconds to wait until a batch is full")
    in_flight: Count = Field(
        default=32, description="Largest number of frames received whose verdicts are not yet written"
    )
    in_flight_bytes: Count = Field(
        default=256 * 2**20, description="Largest total size of these frames in bytes, encoded"
    )
    max_pixels: Count = Field(
        default=DEFAULT_MAX_PIXELS,
        description="Frames with more pixels are not decoded; their verdict is uninspectable (too_large)",
    )
    max_decoding_bytes: Count = Field(
        default=DEFAULT_MAX_BYTES,
        description="Frames that need more memory for decoding are not decoded; uninspectable (too_large)",
    )
    max_staleness: Seconds | None = Field(
        default=None,
        description="Live frames older than this many seconds are skipped; their verdict is uninspectable (stale)",
    )
    takt: Seconds = Field(
        default=0.0, description="Seconds from capture to verdict that the line allows, for an alert; 0: no limit"
    )
    too_dark: Ratio = Field(
        default=TOO_DARK,
        description="Frames darker than this share of the darkest calibration frame are uninspectable; 0: off",
    )
    too_blurred: Ratio = Field(
        default=TOO_BLURRED,
        description="Frames less sharp than this share of the least sharp calibration frame are uninspectable; 0: off",
    )
    thresholds: dict[str, FiniteFloat] = Field(
        default={}, description="Threshold overrides by camera, such as {station-9: 1.3}; a score above is a defect"
    )
    regions: bool = Field(
        default=True,
        description="Whether a defect's verdict says where: regions of the anomaly map above the threshold; a defect "
        "then takes about twice as long",
    )
    scales: dict[str, Positive] = Field(
        default={},
        description="Millimetres per pixel of frames by camera, such as {station-9: 0.05}; regions are then also in "
        "millimetres",
    )

    @model_validator(mode="after")
    def _batches_fit(self) -> Self:
        if self.in_flight < self.batch_size:
            raise ValueError(f"in_flight {self.in_flight} is smaller than batch_size {self.batch_size}")
        return self


class OutputSettings(Group):
    """Where verdicts and other output go."""

    verdicts: Name = Field(default="-", description="kafka://..., a .jsonl file, or - for standard output")
    dead_letters: Name | None = Field(
        default=None, description="kafka://... or a folder that keeps frames that could not be inspected"
    )
    evidence: Name | None = Field(
        default=None,
        description="kafka://... or the folder of a review page, for pictures of defects with heatmap and score",
    )
    parts: Name | None = Field(
        default=None,
        description="Where a verdict for each part goes (see parts.views): a .jsonl file of run, or kafka://... of "
        "andon-monitor parts",
    )
    history: Path | None = Field(
        default=None, description="Folder that keeps good frames as latent vectors and defects as original files"
    )
    summary: Path | None = Field(default=None, description="JSON file to write the summary of the run to")
    patience: Seconds = Field(
        default=2.0,
        le=3600,
        description="Seconds for which verdicts wait for slow evidence or history. After that they go on without it, "
        "and a crash may lose some of it. 0: do not wait",
    )
    actions: Annotated[tuple[TargetSettings, ...], Field(max_length=100)] = Field(
        default=(), description="Machines and services that act on verdicts, each with its rules"
    )
    act_on: Literal["verdict", "acknowledgement"] = Field(
        default="verdict",
        description="When targets that act now do so: when the verdict is known, or once it is durable. The first is "
        "faster and needs no broker; a crash may come between an action and its verdict",
    )
    action_deadline: Positive = Field(
        default=1.0,
        le=3600,
        description="Seconds from capture within which a verdict must be known to act on it; after that the frame "
        "counts as late, and the heartbeat stops until frames are answered in time again",
    )
    outbox: Path | None = Field(
        default=None, description="Folder that keeps messages for targets that remember until they have them"
    )
    outbox_messages: Count = Field(
        default=100_000, description="Most messages in it for one target; beyond it the oldest are dropped and counted"
    )
    act_on_recordings: bool = Field(
        default=False,
        description="Whether to act on frames of a recording, as if they were captured now; for trying out: gates move",
    )

    @model_validator(mode="after")
    def _actions_fit(self) -> Self:
        names = [target.name for target in self.actions]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"actions: the name {name} is there twice")
        if self.outbox is None and any(target.remembers for target in self.actions):
            name = next(target.name for target in self.actions if target.remembers)
            raise ValueError(f"actions: {name}: needs outbox, a folder that keeps its messages, or remember: false")
        return self


class PartsSettings(Group):
    """A verdict for each part, joined from the verdicts of its views."""

    views: dict[Name, tuple[Name, ...]] = Field(
        default={},
        description="Views of a part by product, such as {cover: [top, left], '*': [top]}; * is any other product. A "
        "frame's view is what its producer says, else its camera",
    )
    timeout: Positive = Field(
        default=30.0,
        description="Seconds from the capture of a part's first view within which the others must be captured and "
        "inspected",
    )
    keep: Seconds = Field(
        default=60.0,
        description="Seconds after the time-out for which a part is remembered; later views of it are a new part",
    )
    max_parts: Count = Field(
        default=10_000,
        description="Largest number of parts open or remembered at once, with Kafka in each partition; beyond it the "
        "oldest is closed",
    )
    false_alarm_rate: Share | None = Field(
        default=None, description="Share of good parts that may be flagged; a part's verdict says what each view needs"
    )

    @model_validator(mode="after")
    def _views_fit(self) -> Self:
        for product, names in self.views.items():
            if not 1 <= len(names) <= MAX_PART_VIEWS:
                raise ValueError(f"views of {product}: {len(names)} views; right are 1 to {MAX_PART_VIEWS}")
            if len(set(names)) < len(names):
                raise ValueError(f"views of {product}: a view is there twice")
        return self


class EvidenceSettings(Group):
    """Which frames people see on the review page, where output.evidence is given."""

    rate: Positive = Field(
        default=2.0, description="Defects per second on average; the same limit applies to each other kind of frame"
    )
    burst: Count = Field(
        default=30, description="Defects in a burst; the same limit applies to each other kind of frame"
    )
    borderline: Annotated[FiniteFloat, Field(gt=0, lt=1)] = Field(
        default=0.02, description="Share of good parts that count as borderline: those with the highest scores"
    )
    borderline_interval: Seconds = Field(default=5.0, description="Seconds between two borderline frames of a camera")
    good_interval: Seconds = Field(default=10.0, description="Seconds between two good frames of a camera")


class ReviewSettings(Group):
    """The web page where people label defects."""

    store: Path | None = Field(default=None, description="Folder with the page's database and images")
    defects: Name | None = Field(
        default=None,
        description="Topic of pictures to fill the page from, kafka://...; not needed if run writes to the same folder",
    )
    verdicts: Name | None = Field(default=None, description="Topic of verdicts to count, kafka://...")
    parts: Name | None = Field(default=None, description="Topic of the verdicts of parts to show, kafka://...")
    labels: Name | None = Field(default=None, description="Topic to publish labels to, kafka://...")
    changes: Name | None = Field(default=None, description="Topic to publish changes of models to, kafka://...")
    address: Name = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0: all")
    port: int = Field(default=9465, ge=0, le=65535, description="Port to listen on; 0: any free port")
    prefix: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)*$")] = Field(
        default="", description="Path under which a proxy serves the page, such as /andon"
    )
    hosts: tuple[Name, ...] = Field(
        default=("localhost", "127.0.0.1"), description="Host names by which browsers open the page; *: any"
    )
    users_file: Path | None = Field(
        default=None, description="File of users with lines from andon-monitor user; turns the sign-in on"
    )
    user_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] | None = Field(
        default=None, description="HTTP header in which a reverse proxy passes the user's name"
    )
    proxies: tuple[Network, ...] = Field(
        default=("127.0.0.1", "::1"),
        description="Addresses or networks of proxies, whose user_header is trusted; the TCP connection's own count",
    )
    session_hours: Positive = Field(
        default=12.0, description="Hours after which a user of users_file has to sign in again"
    )
    labellers: tuple[Name, ...] = Field(
        default=(), description="Users who may label; default: everyone who may see the page"
    )
    changers: tuple[Name, ...] = Field(
        default=(),
        description="Users who may change models on the page, which writes their files; anybody: whoever sees a page "
        "without sign-in; default: nobody",
    )
    training: Path | None = Field(
        default=None,
        description="Folder of the training images, for refits from the page; with several model files it has a folder "
        "for each, of the name of its recipe",
    )
    recordings: Path | None = Field(
        default=None,
        description="Folder of recordings (.mcap files, videos, folders of images), or one of them, on which the page "
        "compares models; a refit is compared on the newest",
    )
    lines: Path | None = Field(
        default=None,
        description="Folder of the settings files that the page writes, one for each line; with it, lines are set up "
        "on the page",
    )
    sources: Path | None = Field(
        default=None,
        description="Folder below which a set-up may read recordings, videos and folders of images; default: none",
    )
    source_hosts: tuple[Name, ...] = Field(
        default=(), description="Hosts of the cameras and brokers that a set-up may open; default: any"
    )
    fit_cores: Count | None = Field(
        default=None,
        description="Cores that a refit or a comparison may use; default: half of those that the page may use",
    )
    fit_options: tuple[Name, ...] = Field(
        default=(), description="Further options of andon-trainer fit for refits, such as [--size, small]"
    )
    four_eyes: bool = Field(
        default=False, description="Whether a second one of the changers has to agree before a model is changed"
    )
    connections: Connections = Field(
        default=256, description="Largest number of open connections; the oldest idle one makes room for a new one"
    )
    request_timeout: Positive = Field(default=30.0, description="Longest time in seconds for an answer")
    keep_days: Positive = Field(default=30.0, description="Days after which frames without a label are deleted")
    keep_bytes: Count = Field(
        default=5 * 10**9,
        description="Largest total size of the images in bytes; beyond it the oldest are deleted, labelled ones last",
    )
    keep_free: Annotated[int, Field(ge=0)] = Field(
        default=10**9, description="Free space in bytes to leave on the disk"
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.users_file is not None and self.user_header is not None:
            raise ValueError("users_file and user_header are both given; which one?")
        if self.labellers and self.users_file is None and self.user_header is None:
            raise ValueError("labellers are given, but nobody says who a visitor is; give users_file or user_header")
        signs_in = self.users_file is not None or self.user_header is not None
        if not signs_in and self.changers not in ((), ("anybody",)):
            raise ValueError("changers are given, but nobody says who a visitor is; give users_file or user_header")
        if self.four_eyes and (not signs_in or len(set(self.changers)) < 2):
            raise ValueError("four_eyes needs users who sign in, and two changers at least")
        return self


class KafkaSettings(Group):
    """Connection, consumer group and delivery, where a source or an output is kafka://..."""

    part_headers: dict[Name, PartName] = Field(
        default={},
        description="Headers of frames that say which part they show, by the name to keep them under: part, product, "
        "order, station, view, encoder or any other, such as {SerialNumber: part}; attributes of CloudEvents count "
        "anyway",
    )
    security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        default="plaintext", description="Security protocol of the brokers' listener"
    )
    ca_file: Path | None = Field(
        default=None, description="PEM file of trusted certificate authorities; default: the system's"
    )
    certificate_file: Path | None = Field(
        default=None, description="PEM file of the monitor's own certificate (mutual TLS)"
    )
    key_file: Path | None = Field(default=None, description="PEM file of the certificate's key, if in a separate file")
    key_password: SecretStr | None = Field(default=None, description="Password of the key")
    check_hostname: bool = Field(default=True, description="Whether the broker's certificate must match its host name")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"] | None = Field(
        default=None,
        description="SASL mechanism: three for user name and password, OAUTHBEARER for tokens of an OpenID Connect "
        "server, AWS_MSK_IAM for Amazon MSK",
    )
    username: Name | None = Field(default=None, description="User name")
    password: SecretStr | None = Field(
        default=None, description="Password; better given by environment variable or password_file"
    )
    password_file: Path | None = Field(default=None, description="File that holds the password")
    oauth_token_url: Annotated[Name, AfterValidator(_is_token_url)] | None = Field(
        default=None, description="Token endpoint for OAUTHBEARER: https://..., on this machine also http://..."
    )
    oauth_client_id: Name | None = Field(default=None, description="Client id for the token endpoint")
    oauth_client_secret_file: Path | None = Field(
        default=None, description="File that holds the client secret; it is read again for every token"
    )
    oauth_scope: Name | None = Field(default=None, description="Scope to ask for, if the token endpoint wants one")
    oauth_ca_file: Path | None = Field(
        default=None,
        description="PEM file of trusted certificate authorities for the token endpoint; default: the system's",
    )
    aws_region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")] | None = Field(
        default=None, description="Region of the cluster for AWS_MSK_IAM, such as eu-central-1"
    )
    client_id: Name = Field(default="andon-monitor", description="Client name in the broker's logs")
    group_id: Name = Field(default="andon", description="Consumer group; its members share the cameras")
    instance_id: Name | None = Field(
        default=None, description="Static member name in the group, which survives a restart"
    )
    start: Literal["earliest", "latest"] = Field(
        default="earliest",
        description="Where a new group starts to read; an existing one continues, or reads from the log's start what "
        "retention has left and partitions that were added",
    )
    delivery: Literal["at-least-once", "exactly-once"] = Field(
        default="at-least-once", description="Delivery guarantee of verdicts and dead letters"
    )
    transaction_timeout: Positive = Field(
        default=30.0, description="Seconds after which the broker aborts a transaction"
    )
    max_message_bytes: Count = Field(
        default=8 * 2**20, description="Largest message in bytes, as configured for the topics"
    )
    fetch_bytes: Count = Field(
        default=32 * 2**20, description="Approximate number of bytes fetched ahead from one broker"
    )
    max_decompressed_bytes: Count = Field(
        default=64 * 2**20,
        description="Largest decompressed size in bytes of a batch of compressed records; the records of a larger one "
        "are uninspectable",
    )
    poll_records: Count = Field(default=16, description="Largest number of frames per poll")
    session_timeout: Positive = Field(
        default=10.0, description="Seconds without a heartbeat after which the group removes this member"
    )
    poll_timeout: Positive = Field(
        default=60.0, description="Seconds without a poll after which the group removes this member"
    )
    request_timeout: Positive = Field(default=10.0, description="Longest time in seconds for one request")
    rebalance_timeout: Seconds = Field(
        default=5.0, description="Seconds to finish frames in flight before a partition is given up"
    )
    drain_timeout: Positive = Field(
        default=25.0, description="Longest time in seconds from SIGTERM to the end of the process"
    )
    stuck_timeout: Positive = Field(
        default=120.0, description="Seconds with consumer lag but no new frames after which the process ends"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        tls = self.security.endswith("ssl")
        self._check_login()
        if not tls and (self.ca_file or self.certificate_file or self.key_file):
            raise ValueError("files for TLS are given, but security has no ssl; right is ssl or sasl_ssl")
        if self.key_file and not self.certificate_file:
            raise ValueError("key_file without certificate_file")
        if self.fetch_bytes < self.max_message_bytes:
            raise ValueError("fetch_bytes is smaller than max_message_bytes")
        return self

    def _check_login(self) -> None:
        """Raise ValueError where the settings of the login are not those of `sasl_mechanism`, all and no others."""
        given = {name for name in LOGIN_SETTINGS if getattr(self, name) is not None}
        if not self.security.startswith("sasl"):
            if given or self.sasl_mechanism:
                raise ValueError("a user or mechanism is given, but security has no sasl; right is sasl_ssl")
            return
        if self.sasl_mechanism is None:
            raise ValueError(
                "this security needs sasl_mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM"
            )
        if self.password is not None and self.password_file is not None:
            raise ValueError("password and password_file are both given; which one?")
        needed, allowed = LOGIN_OF_MECHANISM.get(self.sasl_mechanism, (("username",), ("password", "password_file")))
        for name in needed:
            if name not in given:
                raise ValueError(f"{self.sasl_mechanism} needs {name}")
        if "password" in allowed and not given & {"password", "password_file"}:
            raise ValueError("this security needs password_file, or password from ANDON_KAFKA_PASSWORD")
        for name in sorted(given - {*needed, *allowed}):
            raise ValueError(f"{name} is given, but is not for {self.sasl_mechanism}")
        if self.sasl_mechanism == "AWS_MSK_IAM" and self.security != "sasl_ssl":
            raise ValueError("AWS_MSK_IAM needs security sasl_ssl")


class StatisticsSettings(Group):
    """Control charts of each camera."""

    normal_defect_rate: Share | None = Field(
        default=None,
        description="Usual share of defects; default: 0.005, or twice the model's false-alarm rate if that is more",
    )
    raised_defect_rate: Share | None = Field(
        default=None,
        description="Share of defects that should raise an alarm soon; default: three times the usual share",
    )
    cusum_limit: Positive = Field(
        default=6.0, description="Alarm limit of the CUSUM; a higher limit means fewer and later alarms"
    )
    drift_frames: Count = Field(default=200, description="Approximate number of recent frames in a drift score")
    drift_limit: Positive = Field(
        default=1.0,
        description="Alarm limit of drift scores, in standard deviations of the calibration frames (of brightness: at "
        "most a tenth of its mean)",
    )
    repeats_limit: Count = Field(
        default=5, description="Number of identical pictures in a row after which a camera counts as frozen"
    )
    state_file: Path | None = Field(default=None, description="JSON file that keeps the charts over a restart")

    @model_validator(mode="after")
    def _raised_is_more(self) -> Self:
        if self.raised_defect_rate is None:
            return self
        if self.normal_defect_rate is None:
            raise ValueError("raised_defect_rate needs normal_defect_rate")
        if self.raised_defect_rate <= self.normal_defect_rate:
            raise ValueError(
                f"raised_defect_rate {self.raised_defect_rate} should be above normal_defect_rate "
                f"{self.normal_defect_rate}"
            )
        return self


class ServerSettings(Group):
    """The HTTP server with /metrics, /healthz and /readyz."""

    enabled: bool = Field(default=True, description="Whether to serve /metrics, /healthz and /readyz")
    address: Name = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0: all")
    port: int = Field(default=9464, ge=0, le=65535, description="Port to listen on; 0: any free port")
    certificate_file: Path | None = Field(
        default=None, description="PEM file of the server's certificate; turns TLS on"
    )
    key_file: Path | None = Field(default=None, description="PEM file of the certificate's key, if in a separate file")
    key_password: SecretStr | None = Field(default=None, description="Password of the key")
    username: Name | None = Field(
        default=None, description="User name required for /metrics; turns basic authentication on"
    )
    password: SecretStr | None = Field(
        default=None, description="Password; better given by environment variable or password_file"
    )
    password_file: Path | None = Field(default=None, description="File that holds the password")
    connections: Connections = Field(
        default=64, description="Largest number of open connections; the oldest idle one makes room for a new one"
    )
    request_timeout: Positive = Field(default=30.0, description="Longest time in seconds for an answer")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.key_file and not self.certificate_file:
            raise ValueError("key_file without certificate_file")
        if self.password is not None and self.password_file is not None:
            raise ValueError("password and password_file are both given; which one?")
        has_password = self.password is not None or self.password_file is not None
        if self.username is not None and not has_password:
            raise ValueError("username needs password_file, or password from ANDON_SERVER_PASSWORD")
        if self.username is None and has_password:
            raise ValueError("a password is given without username")
        return self


class LoggingSettings(Group):
    """Messages on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Lowest level logged")
    format: Literal["human", "json"] = Field(default="human", description="Lines for people, or JSON lines")


class Settings(BaseSettings):
    """Every setting of the monitor."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=PREFIX,
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_ignore_empty=True,
    )

    model: ModelSettings = ModelSettings()
    recipes: Annotated[tuple[RecipeSettings, ...], Field(max_length=1000)] = ()
    shadow: ShadowSettings = ShadowSettings()
    source: SourceSettings = SourceSettings()
    camera: CameraSettings = CameraSettings()
    inspection: InspectionSettings = InspectionSettings()
    output: OutputSettings = OutputSettings()
    parts: PartsSettings = PartsSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    review: ReviewSettings = ReviewSettings()
    kafka: KafkaSettings = KafkaSettings()
    statistics: StatisticsSettings = StatisticsSettings()
    server: ServerSettings = ServerSettings()
    logging: LoggingSettings = LoggingSettings()

    @model_validator(mode="after")
    def _recipes_or_one_model(self) -> Self:
        if not self.recipes:
            return self
        if self.model.path is not None:
            raise ValueError(
                "model.path and recipes are both given; for all other frames, give it as the last recipe: "
                f"- model: {self.model.path}"
            )
        for key, given, instead in (
            ("model.alias", self.model.alias, "name"),
            ("shadow.path", self.shadow.path, "shadow"),
            ("inspection.thresholds", self.inspection.thresholds, "threshold"),
        ):
            if given:
                raise ValueError(f"{key}: with recipes, each has its own {instead}")
        return self
