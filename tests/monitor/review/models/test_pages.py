"""The pages Model and Models as a browser sees them: a threshold tried, applied and taken back, and who may."""

import re
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from andon_monitor.model.file import Model
from andon_monitor.review import figures, labels
from andon_monitor.review.models.line_models import LineFile, LineModels, try_notice
from andon_monitor.review.models.trial import Asked, Tried, family, read_asked, try_threshold
from andon_monitor.review.store import Store
from andon_monitor.settings.groups import ReviewSettings
from pydantic import ValidationError

from tests.fixtures.review_line import ids
from tests.fixtures.review_page import Client, serving

USERS = {"user_header": "x-user", "changers": ("ann", "bob")}


@pytest.fixture
def line(store: Store, part: LineFile) -> Iterator[str]:
    with serving(store, models=[part], **USERS) as url:
        yield url


def send(client: Client, page: str, action: str, **fields: str) -> tuple[int, str]:
    """Send the form of a page that leads to `action`, with other values for some of its fields."""
    _, text = client.get(page)
    forms = re.findall(r'<form[^>]*action="[^"]*' + re.escape(action) + r'">(.*?)</form>', text, re.DOTALL)
    assert forms, f"{page} has no form for {action}"
    found = dict(re.findall(r'name="([a-z0-9]+)" value="([^"]*)"', forms[0]))
    status, body, _ = client.ask(action, urlencode(found | fields).encode())
    return status, body.decode()


def test_a_threshold_is_tried_applied_and_undone(store: Store, line: str, part: LineFile, model: Model) -> None:
    ann = Client(line, x_user="ann")
    for query in ("value=20&unit=percent", "value=0.001", "value=30&unit=shift&parts=300", "value=nonsense", "hours=8"):
        assert ann.get(f"/model?{query}")[0] == 200
    _, page = ann.get("/model?value=20&unit=percent")
    assert "Newly flagged" in page
    assert ann.get("/model?value=nonsense")[1].count("is no number") == 1
    status, page = send(ann, "/model?value=20&unit=percent", "/models/threshold", why="a <b>bold</b> reason")
    assert status == 200
    assert "a &lt;b&gt;bold&lt;/b&gt; reason" in page
    assert Model.load(part.path, "cpu").card.calibration.false_alarm_rate == 0.2
    assert "is still from" in page  # no verdict of the new content yet
    status, page = send(ann, "/models", "/models/undo")
    assert (status, part.path.read_bytes()) == (200, model.content)
    status, page = send(ann, "/models", "/models/roll-back")
    assert status == 200
    assert [change.who for change in store.changes.newest(3)] == ["ann", "ann", "ann"]
    content = ann.ask(f"/models/{model.sha256}.onnx")[1]
    assert content == model.content


def test_nobody_else_changes_or_downloads_a_model(store: Store, line: str, part: LineFile, model: Model) -> None:
    before = store.changes.newest(9)
    eve = Client(line, x_user="eve")
    _, page = eve.get("/model?value=20&unit=percent")
    assert "/models/threshold" not in page
    assert "/models/undo" not in eve.get("/models")[1]
    token = re.findall(r'name="token" value="([^"]+)"', eve.get(f"/frames/{ids(store)[0]}")[1])[0]
    fields = {"token": token, "file": "part", "sha256": model.sha256, "rate": "0.2", "why": "x", "number": "1"}
    for action in ("threshold", "roll-back", "undo", "answer"):
        assert eve.ask(f"/models/{action}", urlencode(fields).encode())[0] == 403
        assert Client(line).ask(f"/models/{action}", urlencode(fields).encode())[0] == 401
        ann = Client(line, x_user="ann")  # whose browser is led here by another site
        assert ann.ask(f"/models/{action}", urlencode(fields).encode())[0] == 403
        ann.get("/models")
        assert ann.ask(f"/models/{action}", urlencode(fields).encode())[0] == 403
    assert eve.ask(f"/models/{model.sha256}.onnx")[0] == 403
    ann = Client(line, x_user="ann")
    for name in ("0" * 64, "..%2f..%2fpart", "%2e%2e/part"):
        assert ann.ask(f"/models/{name}.onnx")[0] == 404
    assert (store.changes.newest(9), part.path.read_bytes()) == (before, model.content)


def test_a_form_that_is_out_of_date_says_so(line: str, part: LineFile) -> None:
    ann, bob = Client(line, x_user="ann"), Client(line, x_user="bob")
    assert send(ann, "/model?value=20&unit=percent", "/models/threshold", why="mine")[0] == 200
    for number, said in (("99", "nothing before"), ("9" * 30, "no such change"), ("x", "no such change")):
        status, page = send(bob, "/models", "/models/undo", number=number)
        assert (status, said in page) == (400, True)
    for rate in ("", "nan", "9", "-1", "1e-30"):
        assert send(bob, "/model?value=10&unit=percent", "/models/threshold", why="x", rate=rate)[0] == 400


def test_two_people_agree_on_the_page(store: Store, part: LineFile) -> None:
    with serving(store, models=[part], **USERS, four_eyes=True) as url:
        ann, bob = Client(url, x_user="ann"), Client(url, x_user="bob")
        assert send(ann, "/model?value=20&unit=percent", "/models/threshold", why="fewer")[0] == 200
        assert "Agree and apply" not in ann.get("/models")[1]
        status, page = send(bob, "/models", "/models/answer")
        assert (status, "proposes" in page) == (200, False)
        assert Model.load(part.path, "cpu").card.calibration.false_alarm_rate == 0.2


def test_changers_have_to_sign_in_unless_anybody_may() -> None:
    assert ReviewSettings(changers=("anybody",)).changers == ("anybody",)
    alone = {"changers": ("ann",), "four_eyes": True}
    for wrong in ({"changers": ("ann",)}, {"changers": ("anybody",), "four_eyes": True}, USERS | alone):
        with pytest.raises(ValidationError):
            ReviewSettings(**wrong)


def test_what_changes_is_counted_on_all_verdicts_of_the_same_weights(store: Store, part: LineFile) -> None:
    models = LineModels(store, [part], ReviewSettings(changers=("anybody",)))
    try_notice(models, strict=True)
    models.change_rate("part", models.read(part).sha256, 0.2, "ann", "why")
    for i, frame in enumerate(ids(store)):
        labels.add_label(store, frame, "confirmed" if i < 6 else "false alarm", "", "ann")
    known = figures.known_models(store)
    chosen = known[0]
    assert chosen.card.calibration.false_alarm_rate == 0.2

    def tried(**asked: str) -> Tried:
        return try_threshold(store, chosen, family(known, chosen), read_asked(asked, ["left", "right"]))

    same = tried()
    low, high = tried(value="50"), tried(value="0.0001")
    left = tried(value="50", camera="left")
    assert (same.is_present, same.frames) == (True, 60)
    assert [effect.camera for effect in low.effects] == ["left", "right"]
    assert low.added_total > 0 == low.removed_total
    assert all(frame.score > low.threshold for frame in low.added)
    assert high.added_total == 0
    assert left.frames == 30
    assert left.effects[0] == low.effects[0]
    assert (low.after.defects_found, low.after.false_alarms) == (6, 6)
    assert [layer.total for layer in high.plot.layers] == [200, 6, 6, 60]
    by_shift = tried(value="100", unit="shift", parts="1000")
    assert by_shift.rate == 0.1
    assert by_shift.alarms_a_shift == 100
    by_threshold = tried(value=f"{by_shift.threshold}", unit="threshold")
    assert by_threshold.threshold == pytest.approx(by_shift.threshold, rel=1e-3)
    assert "scores give" in tried(value="1e6", unit="threshold").message


def test_what_makes_no_sense_in_an_address_is_ignored() -> None:
    given = {"camera": "<script>", "hours": "1e9", "unit": "furlongs", "value": "x" * 99, "parts": "nan"}
    assert read_asked(given, ["left"]) == Asked("", 24, "percent", "x" * 40, None)
