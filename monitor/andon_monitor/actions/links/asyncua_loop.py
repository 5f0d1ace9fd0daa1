"""The end of a client or server of asyncua, which runs on a loop and a thread of its own."""

import logging
from collections.abc import Callable

from asyncua.sync import ThreadLoop

from andon_monitor.errors import first_line

# Its lines about lost connections say nothing that ours do not.
logging.getLogger("asyncua").setLevel(logging.CRITICAL)


def end(loop: ThreadLoop | None, stop: Callable[[], None] | None, name: str) -> None:
    """Stop what runs on the loop, then the loop. Never raises: `stop` fails where the other side is already gone."""
    if stop is not None:
        try:
            stop()
        except Exception as error:
            logging.getLogger("andon").debug("actions: %s: %s", name, first_line(error))
    if loop is not None:
        loop.stop()
