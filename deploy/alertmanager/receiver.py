"""An example of who receives alerts, and verdicts by webhook: prints each as one line, as a pager or a chat would.

    python deploy/alertmanager/receiver.py [--address 127.0.0.1] [--port 9095]

Alertmanager posts JSON to its webhooks (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).
"""

import argparse
import contextlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MAX_BYTES = 2**20


class Receiver(BaseHTTPRequestHandler):
    """POST to any path: the path's last part says for whom the alerts are."""

    def do_POST(self) -> None:
        """Print what came."""
        try:
            length = int(self.headers.get("content-length", 0))
            if length > MAX_BYTES:
                self.send_error(413)
                return
            lines = _lines(json.loads(self.rfile.read(length)))
        except (ValueError, KeyError, TypeError, AttributeError):
            self.send_error(400, "neither alerts nor a verdict")
            return
        # In one piece: each message has a thread of its own, and print writes the end of a line by itself.
        sys.stdout.write("".join(f"{self.path.strip('/')}: {line}\n" for line in lines))
        sys.stdout.flush()
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        """For health checks."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Requests are not news."""


def _lines(message: dict[str, Any]) -> list[str]:
    if "verdict" in message:  # of a webhook of output.actions
        return [f"{message['verdict']} | {message['id']}"]
    return [_line(alert) for alert in message["alerts"]]


def _line(alert: dict[str, Any]) -> str:
    labels, annotations = alert["labels"], alert["annotations"]
    what = f"{alert['status']} {labels.get('severity', '')} {labels['alertname']}: {annotations.get('summary', '')}"
    return f"{what} | {annotations.get('runbook_url', '')}"


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description="Print alerts that Alertmanager posts.")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9095)
    arguments = parser.parse_args()
    try:
        server = ThreadingHTTPServer((arguments.address, arguments.port), Receiver)
    except OSError as error:
        sys.exit(f"error: {arguments.address}:{arguments.port}: {error.strerror}")
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
