"""deploy/loki takes apart what the monitor logs. Grafana Alloy itself cannot be had here."""

import json
import logging
import re
from datetime import datetime

import yaml
from andon_monitor.telemetry.logs import JsonFormatter

from tests.fixtures.deploy import DEPLOY

TEXT = re.sub(r"^\s*//.*$", "", (DEPLOY / "loki" / "config.alloy").read_text(), flags=re.MULTILINE)
STRINGS = r'"(?:[^"\\]|\\.)*"'


def values(block: str) -> dict[str, str]:
    """What a stage's map says: names to fields of the log."""
    found = re.search(rf"stage\.{block} {{\s*\w+ = {{([^}}]*)}}", TEXT)
    assert found is not None
    return {name: json.loads(field) for name, field in re.findall(rf"(\w+)\s*=\s*({STRINGS})", found[1])}


def test_the_fields_are_those_of_a_log_line() -> None:
    record = logging.LogRecord("andon", logging.WARNING, "", 0, "the brokers do not answer", (), None)
    line = json.loads(JsonFormatter().format(record))
    fields = values("json")
    assert {*fields.values()} <= {*line}
    assert {*values("labels").values()} <= {*fields}
    assert '"RFC3339Nano"' in TEXT
    assert datetime.fromisoformat(line["time"]).tzinfo is not None
    assert line["level"] == "warning"


def test_every_component_that_is_named_is_declared() -> None:
    without = re.sub(STRINGS, '""', TEXT)
    assert without.count("{") == without.count("}")
    assert without.count("[") == without.count("]")
    declared = {f"{kind}.{name}" for kind, name in re.findall(r'^([\w.]+) "(\w+)" {', TEXT, re.MULTILINE)}
    named = re.findall(r"[=\[]\s*([a-z]+(?:\.[a-z]+)+\.\w+)\.(?:targets|output|receiver)", without)
    assert len(named) == 4
    assert {*named} <= declared


def test_the_services_are_those_that_log_json_in_compose() -> None:
    compose = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())["services"]
    found = re.search(r'regex\s*=\s*"([^"]*)"', TEXT)
    assert found is not None
    kept = {name for name in compose if re.fullmatch(found[1], name)}
    assert kept >= {"monitor-1", "monitor-2", "parts", "review"}
    for name in kept:
        assert compose[name]["environment"]["ANDON_LOGGING_FORMAT"] == "json", name
