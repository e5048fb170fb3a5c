"""Links: one file over HTTPS, with the rules for redirects, and errors that a person can read.

Only ``https`` is spoken; plain ``http`` only with this very machine. A redirect may change the
host, which is said, but never from ``https`` to ``http``.
"""

from __future__ import annotations

import email.message
import http.client
import ipaddress
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any
from urllib.parse import urlsplit

from .errors import DownloadError

AGENT = "samovar"
RETRIABLE = (408, 425, 429, 500, 502, 503, 504)


class Interrupted(DownloadError):
    """The connection failed on the way; asking again may help."""


class NoConnection(Interrupted):
    """The server could not be reached at all."""


class RangeRefused(DownloadError):
    """The server has no byte where the rest was to begin (416)."""


class Answer:
    """A response whose headers have arrived. Reads raise :class:`Interrupted`."""

    def __init__(self, response: Any, hosts: tuple[str, ...]) -> None:
        self._response = response
        self.status: int = response.status
        self.headers: email.message.Message = response.headers
        self.hosts = hosts
        """Other hosts that redirects led to, in order."""

    def read(self, size: int) -> bytes:
        try:
            block: bytes = self._response.read(size)
        except (OSError, http.client.HTTPException) as error:
            raise Interrupted(f"the connection broke ({_cause(error)})") from error
        return block

    @property
    def length(self) -> int | None:
        """Bytes of the body, where the server says so."""
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isdigit() else None


@contextmanager
def open_link(url: str, headers: Mapping[str, str], timeout: float) -> Iterator[Answer]:
    """Ask for ``url``.

    Raises:
        DownloadError: a rule forbids it, or the server refuses.
        NoConnection: no network, or nobody answers.
        Interrupted: the server is busy.
        RangeRefused: nothing to resume at that place.
    """
    why = forbidden(url)
    if why:
        raise DownloadError(f"{url}: {why}")
    host = urlsplit(url).hostname or url
    redirects = _Redirects()
    # compressed on the way, its length and hash would be another file's
    asked = {"User-Agent": AGENT, "Accept-Encoding": "identity", **headers}
    request = urllib.request.Request(url, headers=asked)
    try:
        response = urllib.request.build_opener(redirects).open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error, url) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _no_connection(error, redirects.hosts[-1] if redirects.hosts else host) from error
    with response:
        yield Answer(response, tuple(h for h in redirects.hosts if h != host))


def forbidden(url: str, before: str = "") -> str:
    """Why ``url`` must not be asked for (after a redirect from ``before``); empty when it may."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return "not a URL"
    if before and urlsplit(before).scheme == "https" and parts.scheme != "https":
        return "a redirect from https to something less: refused"
    if parts.scheme == "https" and host:
        return ""
    if parts.scheme == "http" and is_this_machine(host):
        return ""
    return "only https is allowed"


def is_this_machine(host: str) -> bool:
    """``localhost``, ``127.0.0.1``, ``::1``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Redirects(urllib.request.HTTPRedirectHandler):
    def __init__(self) -> None:
        self.hosts: list[str] = []

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        why = forbidden(newurl, req.full_url)
        if why:
            raise DownloadError(f"{req.full_url}: redirected to {newurl}: {why}")
        host = urlsplit(newurl).hostname or ""
        if host != (self.hosts[-1] if self.hosts else urlsplit(req.full_url).hostname):
            self.hosts.append(host)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _refusal(error: urllib.error.HTTPError, url: str) -> DownloadError:
    code, said = error.code, f"{url}: the server says {error.code} {error.reason}"
    if code == 416:
        return RangeRefused(said)
    if code in RETRIABLE:
        return Interrupted(f"{said}: try again later")
    if code in (401, 403):
        return DownloadError(f"{said}: it may want a person who logs in")
    if code in (404, 410):
        return DownloadError(f"{said}: the file has moved")
    if 300 <= code < 400:
        return DownloadError(f"{url}: redirects that lead nowhere")
    return DownloadError(said)


def _no_connection(error: Exception, host: str) -> DownloadError:
    cause: object = getattr(error, "reason", error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return DownloadError(
            f"the certificate of {host} cannot be verified ({cause.verify_message}): "
            "is a proxy in between, or the clock wrong?"
        )
    if isinstance(cause, socket.gaierror):
        return NoConnection(f"no network: {host} cannot be found")
    if isinstance(cause, TimeoutError):
        return NoConnection(f"{host} does not answer in time")
    if isinstance(cause, ConnectionRefusedError):
        return NoConnection(f"no connection: {host} refuses it")
    return NoConnection(f"no connection to {host} ({_cause(cause)})")


def _cause(error: object) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
