"""Tries the targets of `output.actions` and changes nothing at them."""

from collections.abc import Iterator

from andon_monitor.actions.links.opening import make_link
from andon_monitor.actions.rules import compile_rules
from andon_monitor.errors import AndonError
from andon_monitor.settings.actions import TargetSettings
from andon_monitor.settings.groups import Settings


def check_targets(settings: Settings) -> Iterator[tuple[str, bool, str]]:
    """What was tried, whether it passed, and the details, for each target: rules, templates, files, connection."""
    for target in settings.output.actions:
        what = f"action {target.name}"
        try:
            yield what, True, _try(target)
        except AndonError as error:
            yield what, False, str(error)


def _try(target: TargetSettings) -> str:
    rules = compile_rules(target)
    link = make_link(target)
    try:
        answer = link.probe()
    finally:
        link.close()
    kept = "kept until it has them" if target.remembers else "acts now"
    count = "1 rule" if len(rules) == 1 else f"{len(rules)} rules"
    return f"{target.shown}: {answer}; {count}, {kept}"
