"""The state of a joiner as records of a compacted topic: one for each part, and one that says how far all was read."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from andon_monitor.errors import SourceError
from andon_monitor.parts.joiner import Joiner, OpenPart, Source
from andon_monitor.parts.views import View

PROGRESS_KEY = b"\0progress"  # no part's id: those are printable

Item = tuple[bytes, bytes | None]  # key and value; a part that is forgotten has no value


@dataclass
class Progress:
    """Up to where the input of a partition is in the state: the next offset, in the topic of this UUID."""

    topic_id: str | None = None
    next_offset: int = 0


@dataclass
class PartitionState:
    """A joiner, and how far its input has been read."""

    joiner: Joiner
    progress: Progress = field(default_factory=Progress)

    def changes(self) -> Iterator[Item]:
        """Records for what has changed since the last call."""
        joiner = self.joiner
        for part_id in sorted(joiner.changed):
            part = joiner.parts.get(part_id)
            yield part_id.encode(), None if part is None else _pack(part)
        joiner.changed.clear()
        yield PROGRESS_KEY, self._pack_progress()

    def restore(self, items: Iterable[Item]) -> None:
        """Take up what `changes` gave, in its order. Raises SourceError for what is not a state."""
        newest: dict[bytes, bytes] = {}
        for key, value in items:
            if value is None:
                newest.pop(key, None)
            else:
                newest[key] = value
        try:
            progress = json.loads(newest.pop(PROGRESS_KEY, b"{}"))
            parts = [_unpack(key.decode(), value) for key, value in newest.items()]
            sources = {int(name): Source(*place) for name, place in progress.get("sources", {}).items()}
            self.joiner.restore(parts, sources, progress.get("expected", 0))
            self.progress = Progress(progress.get("topic_id"), progress.get("next", 0))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SourceError(f"the state of parts cannot be read ({type(error).__name__}: {error})") from None

    def _pack_progress(self) -> bytes:
        joiner, progress = self.joiner, self.progress
        fields = {
            "topic_id": progress.topic_id,
            "next": progress.next_offset,
            "expected": joiner.expected_sources,
            "sources": {
                str(name): [source.epoch, source.offset, source.time] for name, source in sorted(joiner.sources.items())
            },
        }
        return json.dumps(fields).encode()


def _pack(part: OpenPart) -> bytes:
    views = {view.id: view for view in (*part.firsts.values(), *part.defects.values())}
    fields = {
        "views": [view.to_state() for view in views.values()],
        "firsts": [view.id for view in part.firsts.values()],
        "defects": [view.id for view in part.defects.values()],
        "repeats": part.repeats,
        "decided": part.decided,
        "outcome": part.outcome,
    }
    return json.dumps(fields, ensure_ascii=False).encode()


def _unpack(part_id: str, value: bytes) -> OpenPart:
    fields = json.loads(value)
    views = {view["id"]: View.from_state(part_id, view) for view in fields["views"]}
    return OpenPart(
        part_id,
        firsts={views[name].name: views[name] for name in fields["firsts"]},
        defects={views[name].name: views[name] for name in fields["defects"]},
        repeats=fields["repeats"],
        decided=fields["decided"],
        outcome=fields["outcome"],
    )
