"""Frames are found by what they are, page by page, through indexes."""

import sqlite3

from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import FrameQuery

PAGE = 49
DEFECTS = FrameQuery(kind="defect")


def test_10_000_defects_are_found_through_indexes(store: Store) -> None:
    """Not by a clock: what SQLite says it will do."""
    with sqlite3.connect(store.folder / "review.sqlite") as connection:
        connection.row_factory = sqlite3.Row
        row = dict(connection.execute("SELECT * FROM frames WHERE kind = 'defect'").fetchone())
        names = ", ".join(f'"{name}"' for name in row)
        for i in range(10_000):
            new = row | {"number": 1000 + i, "id": f"{i:032x}", "captured_at": row["captured_at"] + i}
            connection.execute(f"INSERT INTO frames ({names}) VALUES ({', '.join('?' * len(new))})", [*new.values()])
    page = store.frames.find(DEFECTS, limit=PAGE)
    assert len(page) == PAGE
    assert store.frames.count(DEFECTS) == 10_012
    last = page[-2]
    place = (last.captured_at, last.number)
    assert store.frames.find(DEFECTS, before=place, limit=PAGE)[0].id == page[-1].id
    assert store.frames.neighbours(last, DEFECTS) == (page[-3].id, page[-1].id)
    asked: list[str] = []
    connection = store.frames._database.connection
    connection.set_trace_callback(asked.append)
    store.frames.find(DEFECTS, before=place, limit=PAGE)
    store.frames.neighbours(last, DEFECTS)
    store.frames.find(FrameQuery(camera=last.camera, with_picture=True), limit=1)
    connection.set_trace_callback(None)
    assert len(asked) == 4
    steps = [step[3] for query in asked for step in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
    assert not [step for step in steps if step.startswith("SCAN")], steps
    assert not [step for step in steps if "TEMP B-TREE FOR ORDER BY" in step], steps
