"""The page *Parts*: the newest verdict of each part, with links to its views; and what is refused."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from andon_monitor.errors import EvidenceError
from andon_monitor.formats.part_record import read_part_record
from andon_monitor.model.file import Model
from andon_monitor.parts.joiner import Joiner
from andon_monitor.review.store import Store
from andon_monitor.review.store.part_table import trim_parts
from andon_monitor.review.store.rows import PartQuery
from andon_monitor.review.topic_reader import TopicReader
from andon_monitor.settings.groups import KafkaSettings

from tests.fixtures.part_views import RULES, make_view
from tests.fixtures.review_line import fill, frames, ids, inspect
from tests.fixtures.review_page import Client, serving


def verdicts() -> list[bytes]:
    """Of a good part, a defect, one without its view left, and a correction of the good one."""
    views = [make_view("a", "top", product="cover"), make_view("a", "left")]
    views += [make_view("b", "top", 1, "defect"), make_view("b", "left", 1), make_view("<c>", "top", 2)]
    joiner = Joiner(RULES)
    found = [verdict for view in views for verdict in joiner.add(view)[1]] + joiner.finish()
    found += joiner.add(make_view("a", "top", 3, "defect"))[1]
    return [verdict.to_json().encode() for verdict in found]


def shown(store: Store, **query: str) -> list[tuple[str, str, int]]:
    return [(part.part_id, part.verdict, part.revision) for part in store.parts.find(PartQuery(**query), 10)]


def test_a_correction_replaces_the_verdict_whichever_comes_first(tmp_path: Path) -> None:
    good, defect, incomplete, correction = verdicts()
    store = Store(tmp_path)
    revision = store.revision()
    assert store.add(parts=[good, defect, incomplete, correction, good, defect]) == []
    assert shown(store) == [("a", "defect", 2), ("<c>", "incomplete", 1), ("b", "defect", 1)]
    assert store.parts.count() == {"good": 0, "defect": 2, "incomplete": 1}
    assert shown(store, verdict="defect", product="cover") == [("a", "defect", 2)]
    assert shown(store, part="b") == [("b", "defect", 1)]
    assert store.revision() != revision
    with store._database.transaction() as connection:
        trim_parts(connection, 1)
    assert shown(store) == [("a", "defect", 2)]
    other = Store(tmp_path / "other")
    other.add(parts=[correction, good])
    assert shown(other) == [("a", "defect", 2)]


def test_the_page_shows_parts_and_leads_to_their_views(model: Model, tmp_path: Path) -> None:
    store = fill(tmp_path, inspect(model, frames(5)))
    with serving(store) as url:
        client = Client(url)
        assert ">Parts</a>" not in client.get("/")[1]
        assert "No part yet" in client.get("/parts")[1]
        (defect,) = ids(store)
        first = json.loads(verdicts()[1])
        first["views"][0]["id"] = defect
        store.add(parts=[json.dumps(first).encode(), *verdicts()[2:]])
        assert ">Parts</a>" in client.get("/")[1]
        status, page = client.get("/parts")
        assert status == 200
        assert f'<a href="/frames/{defect}">top</a>' in page
        assert "&lt;c&gt;" in page
        assert "<c>" not in page
        assert "left missing" in page
        assert "corrected: a view came late" in page
        assert "No part with these filters" in client.get("/parts?verdict=good")[1]
        assert "left missing" not in client.get("/parts?part=b")[1]


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "fine"},
        {"id": "x"},
        {"part": {}},
        {"part": {"id": "x" * 1000}},
        {"views": []},
        {"revision": 0},
        {"ended_at": "never"},
        {"ended_at": -1e300},
        {"ended_at": math.nan},
        {"missing": ["x"] * 1000},
    ],
)
def test_what_is_no_verdict_of_a_part_is_refused_in_one_line(change: dict[str, Any], tmp_path: Path) -> None:
    data = json.dumps(json.loads(verdicts()[0]) | change).encode()
    with pytest.raises(EvidenceError, match=r"^a part: [^\n]*$"):
        read_part_record(data)
    store = Store(tmp_path)
    assert len(store.add(parts=[data, *verdicts()[:1]])) == 1
    assert len(shown(store)) == 1


def test_a_topic_of_parts_is_read_into_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    reader = TopicReader(store, "parts", "kafka://nowhere:9092/andon.parts", KafkaSettings())
    values = [*verdicts(), b"no part"]
    records: Any = [SimpleNamespace(partition=0, offset=i, value=value) for i, value in enumerate(values)]
    reader._keep(records)
    assert len(shown(store)) == 3
    assert store.refused == {"parts": 1}
    assert store.progress.next_offsets("kafka://nowhere:9092/andon.parts") == {0: 5}
