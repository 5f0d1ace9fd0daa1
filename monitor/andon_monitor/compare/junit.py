"""A comparison as JUnit XML, which CI systems show: a test case for each limit."""

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from andon_monitor.compare.limits import LimitResult
from andon_monitor.compare.results import Comparison

# What XML 1.0 cannot hold, not even escaped; a file's name may.
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(comparison: Comparison, limits: Sequence[LimitResult], damage: str | None) -> bytes:
    """The document, with a test case for each limit and one for damage of the recording."""
    failures = sum(not limit.kept for limit in limits)
    suite = ElementTree.Element(
        "testsuite",
        name="andon-monitor compare",
        tests=str(len(limits) + 1),
        failures=str(failures),
        errors="1" if damage else "0",
        time=f"{comparison.seconds:.3f}",
    )
    properties = ElementTree.SubElement(suite, "properties")
    baseline = "" if comparison.before is None else comparison.before.name
    for name, value in (
        ("source", comparison.source),
        ("model", comparison.after.name),
        ("baseline", baseline),
        ("frames", str(comparison.frames)),
        ("changed", str(comparison.changed)),
    ):
        ElementTree.SubElement(properties, "property", name=name, value=_clean(value))
    case = ElementTree.SubElement(suite, "testcase", classname="compare", name="the recording is whole")
    if damage:
        ElementTree.SubElement(case, "error", message=_clean(damage))
    for limit in limits:
        name = f"{limit.name}: {limit.allowed}"
        case = ElementTree.SubElement(suite, "testcase", classname="compare", name=name)
        if not limit.kept:
            ElementTree.SubElement(case, "failure", message=f"{limit.name}: {limit.found}, {limit.allowed}")
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return b"<?xml version='1.0' encoding='utf-8'?>\n" + ElementTree.tostring(suites, encoding="utf-8") + b"\n"


def _clean(text: str) -> str:
    return NOT_XML.sub("?", text)
