"""What a link to a target does."""

from dataclasses import dataclass
from typing import Protocol

from andon_monitor.actions.facts import Fact
from andon_monitor.errors import AndonError, first_line


class LinkError(AndonError):
    """A target that does not answer, or refuses. `lasting`: it would refuse the same message again."""

    def __init__(self, message: str, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: to an address of the target, with the id of the verdict that it follows from.

    `expires_after`: seconds after which nobody should act on it any more, None where it stays true. `fact`: the
    verdict, for links that show it; None for a state of an output that follows from none, and from an outbox.
    """

    address: str
    payload: str
    id: str
    expires_after: float | None = None
    fact: Fact | None = None


class Link(Protocol):
    """A connection to one target. A single thread uses it; everything but `close` raises LinkError."""

    def open(self) -> None:
        """Connect. Nothing that was sent over an earlier connection is sent again."""

    def check(self) -> None:
        """Raise where the connection is known to be gone. Called often: nothing is sent to find out."""

    def send(self, message: Message) -> None:
        """Return once the target has the message, or has changed its output."""

    def beat(self, address: str, count: int, alive: bool) -> None:
        """Show a heartbeat: `count` grows while frames are answered in time (`alive`), and stands still else."""

    def acknowledged(self, address: str) -> bool:
        """Whether somebody acknowledged at this address what is held, since the last call."""

    def probe(self) -> str:
        """Try the connection, change nothing, and say in a few words what answered."""

    def close(self) -> None:
        """Close the connection. Never raises."""


def words(error: BaseException) -> str:
    """What a library or the system says about an error, on one line, or its name where it says nothing."""
    text = getattr(error, "verify_message", None) or getattr(error, "strerror", None)
    return text or (first_line(error) if str(error).strip() else type(error).__name__)
