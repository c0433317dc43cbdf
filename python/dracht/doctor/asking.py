"""Asks a server over the network what any peer would see: an OPTIONS (RFC 3261 §11) over a transport, and the certificate.

It speaks SIP by itself, over sockets of its own, as an element that shares nothing with the server that is asked. It judges
nothing.
"""

from __future__ import annotations

import base64
import os
import secrets
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any

from dracht._core import Message
from dracht.doctor.certificates import NO_CHECK_TIME, PARTIAL_CHAIN, SECURE, seconds
from dracht.errors import ParseError

__all__ = ["Answer", "Served", "Target", "Unanswered", "ask", "certificate"]

_PATIENCE = 4.0  # seconds for opening a connection, and for an answer
_REPEATED = (0.5, 1.0, 2.5)  # seconds after each OPTIONS over UDP, as RFC 3261 §17.1.2.2 begins
_LONGEST = 65_536


@dataclass(frozen=True, slots=True)
class Target:
    """Where to ask: `host` as people write it, and the address that it has; `wanted` is whether it should be there."""

    transport: str
    host: str
    address: str
    port: int
    wanted: bool = True

    @property
    def is_secure(self) -> bool:
        """Whether it shows a certificate."""
        return self.transport in SECURE

    @property
    def name(self) -> str:
        """As people write it: `udp 203.0.113.7:5060`."""
        return f"{self.transport} {_in_brackets(self.address)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the response, the address that we have here, and how long it took, in seconds."""

    response: Message
    own: tuple[str, int]
    seconds: float

    @property
    def seen_as(self) -> tuple[str | None, int | None]:
        """The address and port that the server saw us at (RFC 3581 §4): None where it does not tell."""
        via = self.response.via
        return via.received, via.rport


@dataclass(frozen=True, slots=True)
class Served:
    """The certificate that is shown: its names, from when to when it is valid, in seconds since the epoch, over which version of
    TLS, and why whoever trusts the usual authorities does not believe it; empty where everybody does."""

    names: tuple[str, ...]
    begins: float
    ends: float
    version: str
    doubted: str


class Unanswered(OSError):
    """Nothing came back; the text says what happened instead."""


def ask(target: Target, pair: tuple[str, str] | None = None) -> Answer:
    """Sends an OPTIONS, and waits for what comes back.

    Arguments: `pair`, certificate and key of ours for a server that asks for them.

    Raises:
        Unanswered: nothing came that is an answer.
    """
    began = time.monotonic()
    try:
        if target.transport == "udp":
            data, own = _by_datagram(target)
        else:
            data, own = _by_stream(target, pair)
        return Answer(Message.parse(data), own, time.monotonic() - began)
    except TimeoutError:
        raise Unanswered("no answer within 4 s") from None
    except (ConnectionResetError, BrokenPipeError):
        raise Unanswered("the connection was closed without an answer") from None
    except ConnectionRefusedError:
        raise Unanswered("refused: nothing listens there") from None
    except ParseError as error:
        raise Unanswered(f"what answers does not speak SIP: {error}") from None
    except ssl.SSLError as error:
        raise Unanswered(f"TLS fails: {error.reason or error}") from None
    except Unanswered:
        raise
    except OSError as error:
        raise Unanswered(error.strerror or str(error)) from None


def _by_datagram(target: Target) -> tuple[bytes, tuple[str, int]]:
    with socket.socket(_family(target), socket.SOCK_DGRAM) as sent:
        sent.connect((target.address, target.port))
        own = sent.getsockname()[:2]
        question = _options(target, own)
        for patience in _REPEATED:
            sent.settimeout(patience)
            sent.send(question)
            try:
                return sent.recv(_LONGEST), own
            except TimeoutError:
                continue
    raise TimeoutError


def _by_stream(target: Target, pair: tuple[str, str] | None) -> tuple[bytes, tuple[str, int]]:
    with socket.create_connection((target.address, target.port), timeout=_PATIENCE) as plain:
        own = plain.getsockname()[:2]
        stream: socket.socket = plain
        if target.is_secure:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE  # what it shows is looked at by itself
            if pair is not None:
                context.load_cert_chain(*pair)
            stream = context.wrap_socket(plain, server_hostname=target.host)
        with stream:
            if target.transport in ("ws", "wss"):
                return _by_websocket(stream, target, own), own
            stream.sendall(_options(target, own))
            return _until_head(stream), own


def _by_websocket(stream: socket.socket, target: Target, own: tuple[str, int]) -> bytes:
    """Opens a WebSocket for SIP (RFC 6455 §4.1, RFC 7118 §4), and asks in one frame."""
    key = base64.b64encode(os.urandom(16)).decode()
    opening = (
        f"GET / HTTP/1.1\r\nHost: {_in_brackets(target.host)}:{target.port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: sip\r\n\r\n"
    )
    stream.sendall(opening.encode())
    head = _until_head(stream)
    status = head.split(b"\r\n", 1)[0].decode("utf-8", "replace")
    if " 101 " not in f"{status} ":
        raise Unanswered(f"it opens no WebSocket: {status}")
    question, mask = _options(target, own), os.urandom(4)
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(question))
    stream.sendall(b"\x81\xfe" + len(question).to_bytes(2, "big") + mask + masked)
    for _ in range(8):  # a ping may come first
        kind, length = _exactly(stream, 2)
        if length > 125:
            length = int.from_bytes(_exactly(stream, 2 if length == 126 else 8), "big")
        if length > _LONGEST:
            break
        content = _exactly(stream, length)
        if kind & 0x0F in (1, 2):
            return content
        if kind & 0x0F == 8:
            raise Unanswered("it closes the WebSocket")
    raise Unanswered("no SIP message came over the WebSocket")


def _until_head(stream: socket.socket) -> bytes:
    """Up to the end of a head; keep-alives before it (RFC 5626 §4.4.1) are left out."""
    data = b""
    while b"\r\n\r\n" not in data.lstrip(b"\r\n"):
        # A byte at a time: what follows the head of a WebSocket's opening is a frame.
        more = stream.recv(1)
        if not more or len(data) > _LONGEST:
            raise Unanswered("the connection was closed without an answer")
        data += more
    return data.lstrip(b"\r\n")


def _exactly(stream: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = stream.recv(count - len(data))
        if not more:
            raise Unanswered("the connection was closed without an answer")
        data += more
    return data


def _options(target: Target, own: tuple[str, int]) -> bytes:
    host, port = _in_brackets(own[0]), own[1]
    uri = f"sip:{_in_brackets(target.host)}:{target.port};transport={'ws' if target.transport == 'wss' else target.transport}"
    return (
        f"OPTIONS {uri} SIP/2.0\r\n"
        f"Via: SIP/2.0/{target.transport.upper()} {host}:{port};branch=z9hG4bK{secrets.token_hex(8)};rport\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:doctor@{host}>;tag={secrets.token_hex(4)}\r\nTo: <{uri}>\r\n"
        f"Call-ID: {secrets.token_hex(12)}\r\nCSeq: 1 OPTIONS\r\n"
        f"Contact: <sip:doctor@{host}:{port}>\r\nAccept: application/sdp\r\nUser-Agent: dracht doctor\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def certificate(target: Target, authorities: tuple[str, ...], pair: tuple[str, str] | None = None) -> Served:
    """The certificate that is shown to whoever asks for the target's host.

    Arguments: `authorities`, files with those that are trusted besides the usual ones.

    Raises:
        OSError: there is no connection (`ssl.SSLError`: no handshake), or a file cannot be read.
    """
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    with _secured(target, blind, pair) as shown:
        raw, version = shown.getpeercert(binary_form=True), shown.version() or ""
    # Only what is verified is given with its names and dates: so the certificate is made an authority for itself.
    alone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    alone.check_hostname = False
    alone.verify_flags = ssl.VerifyFlags(PARTIAL_CHAIN | NO_CHECK_TIME)
    alone.load_verify_locations(cadata=raw or b"")
    with _secured(target, alone, pair) as shown:
        seen: Any = shown.getpeercert() or {}
    names = [str(value) for kind, value in seen.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    usual = ssl.create_default_context()
    usual.check_hostname = False
    usual.verify_flags |= ssl.VerifyFlags(NO_CHECK_TIME)
    for path in authorities:
        usual.load_verify_locations(path)
    doubted = ""
    try:
        _secured(target, usual, pair).close()
    except ssl.SSLCertVerificationError as error:
        doubted = error.verify_message
    return Served(tuple(names), seconds(seen["notBefore"]), seconds(seen["notAfter"]), version, doubted)


def _secured(target: Target, context: ssl.SSLContext, pair: tuple[str, str] | None) -> ssl.SSLSocket:
    if pair is not None:
        context.load_cert_chain(*pair)
    plain = socket.create_connection((target.address, target.port), timeout=_PATIENCE)
    try:
        return context.wrap_socket(plain, server_hostname=target.host)
    except BaseException:
        plain.close()
        raise


def _family(target: Target) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in target.address else socket.AF_INET


def _in_brackets(host: str) -> str:
    return f"[{host}]" if ":" in host else host
