"""Asking a running server how it is: one question over the control protocol, `status`, which dracht adds to it.

An embedded process answers as well when it was started with a control port. A drachtio-server does not know the question.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

from dracht.errors import AuthenticationFailed, ConnectionLost, ControlProtocolError
from dracht.link.frame import FrameReader, write_frame

__all__ = ["ask_status"]


async def ask_status(host: str, port: int, secret: str, *, timeout: float = 5.0) -> dict[str, Any]:
    """What the server on that control port holds: `version`, `clients`, and `shards` with their tables and totals.

    Raises:
        OSError: nothing listens there.
        AuthenticationFailed: it refused the secret.
        ConnectionLost: it closed the connection, or did not answer within `timeout` seconds.
        ControlProtocolError: it does not speak the protocol, or does not know the question.
    """
    name = f"tcp://{f'[{host}]' if ':' in host else host}:{port}"
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                frames = FrameReader()
                word, text = await _ask(name, frames, reader, writer, "authenticate", secret, "")
                if word != "OK":
                    raise AuthenticationFailed(f"{name} refused the secret")
                word, text = await _ask(name, frames, reader, writer, "status")
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError:
        raise ConnectionLost(f"{name} did not answer within {timeout:g} s; is it a control port?") from None
    if word != "OK":
        raise ControlProtocolError(f"{name} does not tell its status: it is not a dracht server ({text})")
    try:
        answer = json.loads(text)
    except ValueError as error:
        raise ControlProtocolError(f"{name} answered with what is not JSON: {error}") from None
    if not isinstance(answer, dict):
        raise ControlProtocolError(f"{name} answered with {type(answer).__name__}, not an object")
    return answer


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
