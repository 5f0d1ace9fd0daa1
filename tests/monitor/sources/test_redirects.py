"""Network cameras that send on to another address: followed, or refused where `source.redirects` is false."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.settings.groups import SourceSettings
from andon_monitor.sources.camera import open_camera

from tests.fixtures.live_frames import frames_until
from tests.fixtures.network_camera import MotionJpeg, ReusableServer


class Sender(BaseHTTPRequestHandler):
    """Sends on to `target`: by a redirect, or, for an address that ends in m3u8, by a playlist."""

    target = ""

    def do_GET(self) -> None:
        is_playlist = self.path.endswith("m3u8")
        body = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{self.target}\n#EXT-X-ENDLIST\n" if is_playlist else ""
        self.send_response(200 if is_playlist else 302)
        self.send_header("Location", self.target)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


class RtspSender(socketserver.StreamRequestHandler):
    """An RTSP server that sends on to `target`."""

    target = ""

    def handle(self) -> None:
        number = ""
        for line in iter(lambda: self.rfile.readline().decode().strip(), ""):
            number = line if line.startswith("CSeq") else number
        self.wfile.write(f"RTSP/1.0 302 Found\r\n{number}\r\nLocation: {self.target}\r\n\r\n".encode())


class ThreadedServer(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True


@contextmanager
def running(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_redirect_is_followed_or_refused(scheme: str) -> None:
    asked = []

    class Camera(MotionJpeg):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

    with running(ReusableServer(("127.0.0.1", 0), Camera)) as port:

        class ToIt(Sender):
            target = f"http://127.0.0.1:{port}/other"

        class RtspToIt(RtspSender):
            target = f"rtsp://127.0.0.1:{port}/other"

        server = (
            ReusableServer(("127.0.0.1", 0), ToIt) if scheme == "http" else ThreadedServer(("127.0.0.1", 0), RtspToIt)
        )
        with running(server) as first:
            for path in ("stream", "list.m3u8"):
                with pytest.raises(UsageError, match=r"sends on to another address, which source.redirects"):
                    open_camera(f"{scheme}://127.0.0.1:{first}/{path}", "c", SourceSettings(redirects=False))
            assert asked == []
            if scheme == "http":
                source = open_camera(f"http://127.0.0.1:{first}/stream", "c", SourceSettings())
                assert frames_until(source, lambda found: len(found) >= 1)
                source.close()
                assert asked == ["/other"]
