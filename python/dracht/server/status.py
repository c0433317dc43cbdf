"""Asking a running server how it is, or to ban somebody: one question over the control protocol, of those that dracht adds.

An embedded process answers as well when it was started with a control port. A drachtio-server does not know the questions.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import suppress
from typing import Any

from dracht.admission import network as find_network
from dracht.errors import AuthenticationFailed, ConnectionLost, ControlProtocolError
from dracht.link.frame import FrameReader, write_frame

__all__ = ["ask_ban", "ask_listeners", "ask_status"]


async def ask_status(
    host: str, port: int, secret: str, *, tls: ssl.SSLContext | None = None, timeout: float = 5.0
) -> dict[str, Any]:
    """What the server on that control port holds: `version`, `clients`, `bans`, and `shards` with their tables and totals.

    Args:
        tls: what to verify the server with, where it speaks TLS; None: it is asked in clear.
        timeout: how long it may take, in seconds.

    Raises:
        OSError: nothing listens there, or, over TLS, nobody who is trusted (`ssl.SSLError`).
        AuthenticationFailed: it refused the secret.
        ConnectionLost: it closed the connection, or did not answer within `timeout` seconds.
        ControlProtocolError: it does not speak the protocol, or does not know the question.
    """
    name, text = await _asked(host, port, secret, timeout, "status", tls=tls)
    try:
        answer = json.loads(text)
    except ValueError as error:
        raise ControlProtocolError(f"{name} answered with what is not JSON: {error}") from None
    if not isinstance(answer, dict):
        raise ControlProtocolError(f"{name} answered with {type(answer).__name__}, not an object")
    return answer


async def ask_listeners(
    host: str, port: int, secret: str, *, tls: ssl.SSLContext | None = None, timeout: float = 5.0
) -> list[str]:
    """The SIP listeners of the server on that control port, as peers are told: `transport/host:port`. Raises as `ask_status`."""
    _, text = await _asked(host, port, secret, timeout, tls=tls)
    return [one for one in text.partition("|")[0].split(",") if one]


async def ask_ban(
    host: str,
    port: int,
    secret: str,
    network: str,
    seconds: float | None,
    *,
    tls: ssl.SSLContext | None = None,
    timeout: float = 5.0,
) -> None:
    """Has the server take nothing from a network for so long; None lifts such a ban. Raises as `ask_status`, and ValueError."""
    if seconds is None:
        await _asked(host, port, secret, timeout, "unban", find_network(network), tls=tls)
    else:
        milliseconds = str(max(1, round(seconds * 1000)))
        await _asked(host, port, secret, timeout, "ban", find_network(network), milliseconds, tls=tls)


async def _asked(
    host: str, port: int, secret: str, timeout: float, *question: str, tls: ssl.SSLContext | None = None
) -> tuple[str, str]:
    """Authenticates, asks one question, and goes; the server's name and the text of its answer, or without a question of its
    welcome."""
    name = f"{'tcp' if tls is None else 'tls'}://{f'[{host}]' if ':' in host else host}:{port}"
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(host, port, ssl=tls)
            try:
                frames = FrameReader()
                word, text = await _ask(name, frames, reader, writer, "authenticate", secret, "")
                if word != "OK":
                    raise AuthenticationFailed(f"{name} refused the secret")
                if question:
                    word, text = await _ask(name, frames, reader, writer, *question)
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError:
        raise ConnectionLost(f"{name} did not answer within {timeout:g} s; is it a control port?") from None
    if word != "OK":
        asked = "tell its status" if question == ("status",) else question[0]
        raise ControlProtocolError(f"{name} does not {asked}: it is not a dracht server ({text})")
    return name, text


async def _ask(
    name: str, frames: FrameReader, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *tokens: str
) -> tuple[str, str]:
    """Sends one frame and returns status word and text of the answer to it."""
    identifier = f"status-{tokens[0]}"
    writer.write(write_frame("|".join((identifier, *tokens)).encode()))
    while data := await reader.read(65536):
        for payload in frames.feed(data):
            answer = payload.decode("utf-8", "replace").split("|", 4)
            if len(answer) >= 4 and answer[1:3] == ["response", identifier]:
                return answer[3], answer[4] if len(answer) > 4 else ""
        if frames.error is not None:
            raise ControlProtocolError(f"{name}: {frames.error}")
    raise ConnectionLost(f"{name} closed the connection")
