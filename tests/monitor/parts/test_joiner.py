"""Views to verdicts of parts: what counts, whatever the order, and after a crash at any point."""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from andon_monitor.parts.joiner import MAX_OTHER_NAMES, Joiner, Source
from andon_monitor.parts.state import PartitionState
from andon_monitor.parts.verdict import PartVerdict, Rules
from andon_monitor.parts.views import View

from tests.fixtures.part_views import RULES, make_view


def join(views: Iterable[View], rules: Rules = RULES, until: float = 1e6) -> list[PartVerdict]:
    """All verdicts of views in this order from one source, read to `until` seconds at the end."""
    joiner = Joiner(rules)
    found: list[PartVerdict] = []
    for offset, view in enumerate(views):
        found += joiner.advance(0, Source("a", offset, view.time)) or []
        found += joiner.add(view)[1]
    joiner.tick(0, Source("a", 10**9, round(until * 1000)))
    return found + joiner.close_due()


def only(views: Iterable[View], rules: Rules = RULES) -> dict[str, Any]:
    (verdict,) = join(views, rules)
    return json.loads(verdict.to_json())


def test_a_part_is_good_once_all_its_views_are() -> None:
    joiner = Joiner(RULES)
    assert joiner.add(make_view(name="top", order="A-17", product="cover")) == ("joined", [])
    result, (verdict,) = joiner.add(make_view(name="left", seconds=3, order="A-17"))
    fields = json.loads(verdict.to_json())
    assert result == "joined"
    assert fields | {"id": "", "views": []} == {
        "id": "",
        "part": {"id": "4711", "product": "cover", "order": "A-17"},
        "verdict": "good",
        "revision": 1,
        "cause": "complete",
        "started_at": "1970-01-01T00:00:00.000Z",
        "ended_at": "1970-01-01T00:00:03.000Z",
        "false_alarm_rate": {"bound": 0.002, "if_independent": 0.001999},
        "p_value": 0.8,
        "views": [],
    }
    assert [view["view"] for view in fields["views"]] == ["top", "left"]


@pytest.mark.parametrize(
    ("outcomes", "verdict", "reason"),
    [
        (("good", "defect"), "defect", None),
        (("defect", "uninspectable"), "defect", None),
        (("good", "uninspectable"), "incomplete", "uninspectable"),
        (("good",), "incomplete", "missing"),
        (("defect",), "defect", None),
    ],
)
def test_only_good_views_make_a_good_part(outcomes: tuple[str, ...], verdict: str, reason: str | None) -> None:
    views = [make_view(name=name, outcome=outcome) for name, outcome in zip(("top", "left"), outcomes, strict=False)]
    fields = only(views)
    assert (fields["verdict"], fields.get("reason")) == (verdict, reason)
    assert fields.get("defects", []) == [view.name for view in views if view.outcome == "defect"]
    assert fields.get("missing", []) == ["top", "left"][len(outcomes) :]
    assert fields["cause"] == ("complete" if len(outcomes) == 2 else "timeout")


def test_a_product_has_its_own_views_and_one_without_any_is_never_good() -> None:
    rules = replace(RULES, views={"cover": ("a", "b"), "lid": ("a",)})
    covers = [make_view(name="a", product="cover"), make_view(name="b")]
    assert only(covers, rules)["verdict"] == "good"
    assert only([make_view(name="a", product="lid")], rules)["verdict"] == "good"
    assert only([make_view(name="a", product="box")], rules)["reason"] == "unknown_product"
    assert only([make_view(name="a", product="lid", outcome="defect")], rules)["verdict"] == "defect"
    mixed = [make_view(name="b", product="cover"), make_view(name="a", product="lid")]
    assert only(mixed, rules)["reason"] == "products_differ"


def test_the_rate_of_a_part_and_what_each_view_needs_for_it() -> None:
    rules = replace(RULES, false_alarm_rate=0.001)
    fields = only([make_view(name="top", rate=0.001), make_view(name="left", rate=0.002)], rules)
    rates = fields["false_alarm_rate"]
    assert rates == {"bound": 0.003, "if_independent": 0.002998, "wanted": 0.001, "for_each_view": 0.0005}
    assert fields["p_value"] == 0.8
    none = only([make_view(name="top", rate=None), make_view(name="left", rate=None)])
    assert "false_alarm_rate" not in none


def test_the_first_view_of_a_name_counts_and_a_defect_counts_always() -> None:
    again = [make_view(name="top", seconds=0, outcome="uninspectable"), make_view(name="top", seconds=1)]
    assert only([*again, make_view(name="left")])["uninspectable"] == ["top"]
    worse = [make_view(name="top"), make_view(name="top", seconds=1, outcome="defect"), make_view(name="left")]
    fields = only(worse)
    assert (fields["verdict"], fields["defects"], fields["repeated_views"]) == ("defect", ["top"], 1)
    assert [view.get("repeated") for view in fields["views"]] == [None, None, True]
    other = only([make_view(name="top"), make_view(name="side", outcome="defect"), make_view(name="left")])
    assert (other["verdict"], other["defects"]) == ("defect", ["side"])


def test_a_second_delivery_changes_nothing() -> None:
    views = [make_view(name="top"), make_view(name="left", outcome="defect")]
    joiner = Joiner(RULES)
    assert [joiner.add(view)[0] for view in [*views[:1], *views, *views]] == [
        *("joined", "duplicate", "joined", "duplicate", "duplicate")
    ]
    assert joiner.advance(0, Source("a", 5, 0)) == []
    assert joiner.advance(0, Source("a", 5, 0)) is None
    assert joiner.advance(0, Source("a", 4, 0)) is None
    assert joiner.advance(0, Source("another topic", 0, 0)) == []


def test_a_late_view_never_makes_a_part_good_and_a_late_defect_corrects_it_once() -> None:
    late = [make_view(name="top"), make_view("other", seconds=11), make_view(name="left", seconds=5)]
    verdicts = [verdict for verdict in join(late) if verdict.part == "4711"]
    assert [(v.outcome, v.revision) for v in verdicts] == [("incomplete", 1)]
    worse = [*late[:2], make_view(name="left", seconds=5, outcome="defect")]
    worse.append(make_view(name="top", seconds=6, outcome="defect"))
    first, second = [json.loads(verdict.to_json()) for verdict in join(worse) if verdict.part == "4711"]
    assert (first["verdict"], second["verdict"], second["revision"]) == ("incomplete", "defect", 2)
    assert (second["revises"], second["cause"], second["defects"]) == (first["id"], "late", ["left"])
    assert second["id"] != first["id"]


def test_a_part_that_comes_again_later_is_another_one() -> None:
    passes = [make_view(name=name, seconds=start) for start in (0, 31) for name in ("top", "left")]
    assert [verdict.revision for verdict in join(passes)] == [1, 1]
    assert len({verdict.id for verdict in join(passes)}) == 2
    assert len(join([replace(view, time=min(view.time, 30_000)) for view in passes])) == 1


def test_nothing_times_out_before_every_source_has_been_read_that_far() -> None:
    joiner = Joiner(RULES)
    joiner.expect_sources(2)
    joiner.advance(0, Source("a", 0, 0))
    joiner.add(make_view())
    assert joiner.advance(0, Source("a", 1, 60_000)) == []
    assert joiner.advance(1, Source("a", 0, 10_000)) == []
    (verdict,) = joiner.advance(1, Source("a", 1, 10_001)) or []
    assert verdict.reason == "missing"
    joiner.advance(1, Source("a", 2, 60_000))
    assert joiner.parts == {}


def test_memory_is_bounded_and_the_oldest_part_is_closed_first() -> None:
    rules = replace(RULES, max_parts=100)
    joiner = Joiner(rules)
    verdicts = [
        verdict for number in range(1000) for verdict in joiner.add(make_view(str(number), seconds=number / 1000))[1]
    ]
    assert len(joiner.parts) == 100
    assert joiner.open_parts == 100
    assert [verdict.part for verdict in verdicts] == [str(number) for number in range(900)]
    assert {(v.outcome, v.fields["cause"]) for v in verdicts} == {("incomplete", "overflow")}
    joiner.add(make_view("999", "left", 0.999))
    assert joiner.add(make_view("x", seconds=2))[1] == []  # a part that is closed makes room first
    for number in range(10_000):
        joiner.add(make_view("x", f"view {number}", 2))
        joiner.add(make_view("x", "top", 2.001 + number / 10_000))
    part = joiner.parts["x"]
    assert len(part.firsts) == 1 + MAX_OTHER_NAMES
    assert joiner.add(make_view("x", "one more", 2, "defect"))[0] == "unexpected"
    assert len(joiner._open) < 200


def stream(rng: random.Random, sources: int = 3) -> list[list[View]]:
    """A line: each source has the views of some cameras in the order of time; some views are missing or bad."""
    views = ("top", "left", "right")
    found: list[list[View]] = [[] for _ in range(sources)]
    for number in range(60):
        for place, name in enumerate(views):
            seconds = 2.0 * number + 0.5 * place + rng.random() / 3
            outcome = rng.choices(("good", "defect", "uninspectable"), (8, 1, 1))[0]
            if rng.random() < 0.9:
                found[place % sources].append(make_view(f"part {number}", name, seconds, outcome))
    return found


def interleaved(streams: Sequence[list[View]], rng: random.Random) -> list[tuple[int, int, View]]:
    """(source, offset, view): each source in its order, between sources any; bursts as from a backlog."""
    places, found = [0] * len(streams), []
    while any(place < len(views) for place, views in zip(places, streams, strict=True)):
        source = rng.randrange(len(streams))
        for _ in range(rng.choice((1, 2, 40))):
            if places[source] < len(streams[source]):
                found.append((source, places[source], streams[source][places[source]]))
                places[source] += 1
    return found


def run(records: Sequence[tuple[int, int, View]], sources: int = 3, crash: random.Random | None = None) -> list[str]:
    """Verdicts as JSON. With `crash` the joiner is now and then replaced by one that takes up its state."""
    rules = replace(RULES, views={"*": ("top", "left", "right")})
    state = PartitionState(Joiner(rules))
    state.joiner.expect_sources(sources)
    log: list[Any] = []
    found: list[PartVerdict] = []
    for source, offset, view in records:
        closed = state.joiner.advance(source, Source("a", offset, view.time))
        if closed is not None:
            found += closed + state.joiner.add(view)[1]
        if crash is not None:
            log += state.changes()
            if crash.random() < 0.2:
                state = PartitionState(Joiner(rules))
                state.restore(log)
    for source in range(sources):
        state.joiner.tick(source, Source("a", 10**6, 10**9))
    return [verdict.to_json() for verdict in found + state.joiner.close_due()]


@pytest.mark.parametrize("seed", range(20))
def test_any_interleaving_redelivery_and_crash_gives_the_same_verdicts(seed: int) -> None:
    rng = random.Random(seed)
    streams = stream(rng)
    plain = interleaved(streams, rng)
    expected = run(plain)
    assert len(expected) == len({view.part for views in streams for view in views})
    assert len({json.loads(line)["verdict"] for line in expected}) == 3
    assert sorted(run(interleaved(streams, rng))) == sorted(expected)
    again = [record for place, record in enumerate(plain) for record in (*plain[max(0, place - 5) : place], record)]
    assert run(again) == expected
    assert run(plain, crash=rng) == expected


def test_parts_do_not_matter_to_each_other() -> None:
    streams = stream(random.Random(7))
    together = run(interleaved(streams, random.Random(8)))
    alone = [
        line
        for number in range(60)
        for line in run(interleaved([[v for v in s if v.part == f"part {number}"] for s in streams], random.Random(9)))
    ]
    assert sorted(alone) == sorted(together)
