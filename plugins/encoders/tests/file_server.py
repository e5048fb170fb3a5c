"""A file server on this machine that misbehaves as told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Files:
    """What the server does; a test changes it between requests."""

    body: bytes = b""
    etag: str = '"one"'
    modified: str = ""
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    """Bytes after which the connection is closed, one entry a request."""
    statuses: list[int] = field(default_factory=list)
    """Statuses to answer with instead, one a request."""
    redirect: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    wrong_part: bool = False
    heedless: bool = False
    """Sends the rest whatever the condition says."""
    chunked: bool = False
    before: threading.Event | None = None
    """Waited for before a body is sent."""
    seen: list[dict[str, str]] = field(default_factory=list)
    port: int = 0

    def url(self, host: str = "127.0.0.1", name: str = "model.pth") -> str:
        return f"http://{host}:{self.port}/{name}"


@contextmanager
def serving(files: Files | None = None) -> Iterator[Files]:
    """Serve on the loopback until the block ends."""
    told = files or Files()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            told.seen.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
            if told.before is not None:
                told.before.wait(10)
            if told.redirect and self.path != "/elsewhere.pth":
                self.answer(302, {"Location": told.redirect}, b"")
            elif told.statuses:
                self.answer(told.statuses.pop(0), {}, b"no")
            else:
                self.send_file()

        def send_file(self) -> None:
            start, status = 0, 200
            headers = {"ETag": told.etag, "Last-Modified": told.modified, **told.headers}
            asked = self.headers.get("Range", "")
            condition = self.headers.get("If-Range", "")
            agreed = told.heedless or condition in ("", told.etag, told.modified)
            if told.ranges and asked and agreed:
                start, status = int(asked.removeprefix("bytes=").rstrip("-")), 206
                if start >= len(told.body):
                    return self.answer(416, {}, b"")
                start += told.wrong_part
                last = len(told.body) - 1
                headers["Content-Range"] = f"bytes {start}-{last}/{len(told.body)}"
            self.answer(status, headers, told.body[start:], told.cuts.pop(0) if told.cuts else None)

        def answer(
            self, status: int, headers: dict[str, str], body: bytes, cut: int | None = None
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if value:
                    self.send_header(name, value)
            if told.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            elif "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            sent = body if cut is None else body[:cut]
            if told.chunked:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(sent), sent))
                if cut is None:
                    self.wfile.write(b"0\r\n\r\n")
            else:
                self.wfile.write(sent)
            if cut is not None or told.headers:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
