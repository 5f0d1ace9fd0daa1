"""Every setting of the monitor, in groups, with its default and what it means."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from andon_monitor.model.imaging import DEFAULT_MAX_PIXELS

PREFIX = "ANDON_"


Seconds = Annotated[FiniteFloat, Field(ge=0)]


Positive = Annotated[FiniteFloat, Field(gt=0)]


Share = Annotated[FiniteFloat, Field(gt=0, lt=1)]


Ratio = Annotated[FiniteFloat, Field(ge=0, le=1)]


Name = Annotated[str, Field(min_length=1)]


Count = Annotated[int, Field(ge=1)]


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSettings(_Group):
    """The model and what runs it."""

    path: Path | None = Field(default=None, description="model file that andon-trainer fit made")
    alias: Name | None = Field(default=None, description="its name in verdicts and metrics; else its card's")
    provider: Literal["auto", "cpu", "cuda", "tensorrt"] = Field(default="auto", description="what runs the model")
    threads: int = Field(default=0, ge=0, description="frames worked on side by side; 0: one per core")
    watch: Seconds = Field(
        default=2.0, description="seconds between looks at the file, which is swapped in when it changes; 0: never"
    )


class ShadowSettings(_Group):
    """A second model that scores the same live frames and whose verdicts go nowhere but into metrics."""

    path: Path | None = Field(default=None, description="model file that scores beside the first")
    alias: Name | None = Field(default=None, description="its name in metrics; else its card's")
    budget: Annotated[FiniteFloat, Field(gt=0, le=1)] = Field(
        default=0.25, description="share of one core it may take; frames beyond are skipped"
    )
    pending: Count = Field(default=16, description="frames that wait for it, at most")


class SourceSettings(_Group):
    """Where frames come from."""

    uri: Name | None = Field(
        default=None, description="kafka://..., folder, image, video file, rtsp://..., http://... or camera:0"
    )
    camera: Name | None = Field(default=None, description="camera's name where the source itself does not say")
    pace: Literal["max", "recorded"] = Field(default="max", description="tempo of a recording: fastest, or as captured")
    cameras: tuple[Name, ...] = Field(default=(), description="cameras to expect: one that never comes is silent too")
    silence: Positive = Field(default=60.0, description="seconds without a frame after which a camera is silent")


class InspectionSettings(_Group):
    """How frames are inspected, and how many at once."""

    batch_size: Count = Field(default=8, le=1024, description="frames in one batch on a GPU, at most")
    batch_wait: Seconds = Field(default=0.005, description="seconds to wait for it to fill")
    in_flight: Count = Field(default=32, description="frames received and not yet answered, at most")
    in_flight_bytes: Count = Field(default=256 * 2**20, description="bytes of these frames, as they came, at most")
    max_pixels: Count = Field(default=DEFAULT_MAX_PIXELS, description="pixels above which a frame is too_large")
    max_staleness: Seconds | None = Field(default=None, description="seconds after which a live frame is let go by")
    takt: Seconds = Field(default=0.0, description="seconds from capture to verdict that the line allows; 0: any")
    too_dark: Ratio = Field(default=0.2, description="share of the darkest good frame's brightness; 0: off")
    too_blurred: Ratio = Field(default=0.1, description="share of the most blurred good frame's sharpness; 0: off")
    thresholds: dict[str, FiniteFloat] = Field(
        default={}, description="score above which a part is a defect, by camera"
    )

    @model_validator(mode="after")
    def _batches_fit(self) -> Self:
        if self.in_flight < self.batch_size:
            raise ValueError(f"in_flight {self.in_flight} is smaller than batch_size {self.batch_size}")
        return self


class OutputSettings(_Group):
    """Where verdicts and what belongs to them go."""

    verdicts: Name = Field(default="-", description="kafka://..., a .jsonl file, or - for standard output")
    dead_letters: Name | None = Field(
        default=None, description="kafka://... or a folder for frames that could not be inspected"
    )
    evidence: Name | None = Field(
        default=None, description="kafka://... or a review page's folder for defects with images, maps and scores"
    )
    history: Path | None = Field(
        default=None, description="folder for good frames as latent vectors, and defects as they came"
    )
    summary: Path | None = Field(default=None, description="JSON file for the summary of the run")


class EvidenceSettings(_Group):
    """Which frames people are shown, where output.evidence is given."""

    rate: Positive = Field(default=2.0, description="defects a second in the long run; each kind of sample likewise")
    burst: Count = Field(default=30, description="defects at once; each kind of sample likewise")
    borderline: Annotated[FiniteFloat, Field(gt=0, lt=1)] = Field(
        default=0.02, description="share of good parts, those next below the threshold, that count as borderline"
    )
    borderline_interval: Seconds = Field(default=5.0, description="seconds between two borderline frames of a camera")
    good_interval: Seconds = Field(default=10.0, description="seconds between two good frames of a camera")


class ReviewSettings(_Group):
    """The page where people look at defects."""

    store: Path | None = Field(default=None, description="folder of the page's database and images")
    defects: Name | None = Field(default=None, description="kafka://... of the evidence; else run fills the folder")
    verdicts: Name | None = Field(default=None, description="kafka://... of the verdicts")
    labels: Name | None = Field(default=None, description="kafka://... to publish labels to")
    address: Name = Field(default="127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: int = Field(default=9465, ge=0, le=65535, description="port to listen on; 0: a free one")
    prefix: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)*$")] = Field(
        default="", description="path under which a proxy shows the page, such as /andon"
    )
    hosts: tuple[Name, ...] = Field(
        default=("localhost", "127.0.0.1"), description="names the page is called by in a browser; *: any"
    )
    users_file: Path | None = Field(
        default=None, description="file of lines that andon-monitor user makes; turns basic auth on"
    )
    user_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] | None = Field(
        default=None, description="header in which a reverse proxy names the user"
    )
    proxies: tuple[Name, ...] = Field(
        default=("127.0.0.1", "::1"), description="addresses whose user_header is believed"
    )
    labellers: tuple[Name, ...] = Field(default=(), description="users who may label; none given: all who may look")
    keep_days: Positive = Field(default=30.0, description="days after which frames without a label go")
    keep_bytes: Count = Field(default=5 * 10**9, description="bytes of images, at most; those with a label go last")
    keep_free: Annotated[int, Field(ge=0)] = Field(default=10**9, description="bytes of the disk left free")

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.users_file is not None and self.user_header is not None:
            raise ValueError("users_file and user_header are both given; which one?")
        if self.labellers and self.users_file is None and self.user_header is None:
            raise ValueError("labellers are given, but nobody says who a visitor is; give users_file or user_header")
        return self


class KafkaSettings(_Group):
    """Connection, group and delivery, where the source or a sink is kafka://..."""

    security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        default="plaintext", description="protocol of the listener"
    )
    ca_file: Path | None = Field(default=None, description="PEM file of the authorities trusted; else the system's")
    certificate_file: Path | None = Field(default=None, description="PEM file of our own certificate (mutual TLS)")
    key_file: Path | None = Field(default=None, description="PEM file of its key, where it is in another file")
    key_password: SecretStr | None = Field(default=None, description="password of that key")
    check_hostname: bool = Field(default=True, description="whether the broker's certificate must name its host")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        default=None, description="how user and password are sent"
    )
    username: Name | None = Field(default=None, description="user")
    password: SecretStr | None = Field(default=None, description="password; better from the environment or a file")
    password_file: Path | None = Field(default=None, description="file that holds the password")
    client_id: Name = Field(default="andon-monitor", description="how the broker's logs call us")
    group_id: Name = Field(default="andon", description="consumer group; its members share the cameras")
    instance_id: Name | None = Field(default=None, description="name of this member that outlives a restart")
    start: Literal["earliest", "latest"] = Field(default="earliest", description="where a new group begins")
    delivery: Literal["at-least-once", "exactly-once"] = Field(default="at-least-once", description="what is promised")
    transaction_timeout: Positive = Field(default=30.0, description="seconds after which the broker ends a transaction")
    max_message_bytes: Count = Field(default=8 * 2**20, description="largest message, as the topics allow it")
    fetch_bytes: Count = Field(default=32 * 2**20, description="bytes fetched ahead from one broker, about")
    poll_records: Count = Field(default=16, description="frames taken in one poll, at most")
    session_timeout: Positive = Field(default=10.0, description="seconds after which a silent member is given up")
    poll_timeout: Positive = Field(
        default=60.0, description="seconds between two polls, after which it is given up too"
    )
    request_timeout: Positive = Field(default=10.0, description="seconds that one request may take")
    rebalance_timeout: Seconds = Field(
        default=5.0, description="seconds to finish frames before giving their partition up"
    )
    drain_timeout: Positive = Field(default=25.0, description="seconds from SIGTERM to the end of the process, at most")
    stuck_timeout: Positive = Field(default=120.0, description="seconds with lag and no frames until the process ends")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        sasl = self.security.startswith("sasl")
        tls = self.security.endswith("ssl")
        if sasl and self.sasl_mechanism is None:
            raise ValueError(f"security {self.security} needs sasl_mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
        if sasl and self.username is None:
            raise ValueError(f"security {self.security} needs username")
        if sasl and self.password is None and self.password_file is None:
            raise ValueError(f"security {self.security} needs password_file, or password from ANDON_KAFKA_PASSWORD")
        if self.password is not None and self.password_file is not None:
            raise ValueError("password and password_file are both given; which one?")
        if not sasl and (self.sasl_mechanism or self.username or self.password or self.password_file):
            raise ValueError(f"a user or mechanism is given, but security is {self.security}; right is sasl_ssl")
        if not tls and (self.ca_file or self.certificate_file or self.key_file):
            raise ValueError(f"files for TLS are given, but security is {self.security}; right is ssl or sasl_ssl")
        if self.key_file and not self.certificate_file:
            raise ValueError(f"key_file {self.key_file} without certificate_file")
        if self.fetch_bytes < self.max_message_bytes:
            raise ValueError(
                f"fetch_bytes {self.fetch_bytes} is smaller than max_message_bytes {self.max_message_bytes}"
            )
        return self


class StatisticsSettings(_Group):
    """Control charts of each camera."""

    normal_defect_rate: Share | None = Field(
        default=None,
        description="share of defects that is usual; else 0.005, or twice the model's false-alarm rate if more",
    )
    raised_defect_rate: Share | None = Field(
        default=None, description="share of defects to be noticed soon; else three times the usual one"
    )
    cusum_limit: Positive = Field(default=6.0, description="limit of the CUSUM; higher: fewer and later alarms")
    drift_frames: Count = Field(default=200, description="frames that a drift score remembers, about")
    drift_limit: Positive = Field(default=1.0, description="drift that matters, in standard deviations of good frames")
    repeats_limit: Count = Field(default=5, description="frames in a row with one picture at which it is frozen")
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


class ServerSettings(_Group):
    """/metrics, /healthz, /readyz."""

    enabled: bool = Field(default=True, description="whether to serve /metrics, /healthz and /readyz")
    address: Name = Field(default="127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: int = Field(default=9464, ge=0, le=65535, description="port to listen on; 0: a free one")
    certificate_file: Path | None = Field(default=None, description="PEM file of our certificate; turns TLS on")
    key_file: Path | None = Field(default=None, description="PEM file of its key, where it is in another file")
    key_password: SecretStr | None = Field(default=None, description="password of that key")
    username: Name | None = Field(default=None, description="user that /metrics asks for; turns basic auth on")
    password: SecretStr | None = Field(default=None, description="password; better from the environment or a file")
    password_file: Path | None = Field(default=None, description="file that holds the password")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.key_file and not self.certificate_file:
            raise ValueError(f"key_file {self.key_file} without certificate_file")
        if self.password is not None and self.password_file is not None:
            raise ValueError("password and password_file are both given; which one?")
        has_password = self.password is not None or self.password_file is not None
        if self.username is not None and not has_password:
            raise ValueError("username needs password_file, or password from ANDON_SERVER_PASSWORD")
        if self.username is None and has_password:
            raise ValueError("a password is given without username")
        return self


class LoggingSettings(_Group):
    """What is said on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="least severity logged")
    format: Literal["human", "json"] = Field(default="human", description="lines for people, or JSON lines")


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
    shadow: ShadowSettings = ShadowSettings()
    source: SourceSettings = SourceSettings()
    inspection: InspectionSettings = InspectionSettings()
    output: OutputSettings = OutputSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    review: ReviewSettings = ReviewSettings()
    kafka: KafkaSettings = KafkaSettings()
    statistics: StatisticsSettings = StatisticsSettings()
    server: ServerSettings = ServerSettings()
    logging: LoggingSettings = LoggingSettings()
