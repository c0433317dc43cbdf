"""Runs the application's handler for one request: its errors, its defaults, and the caller's CANCEL.

A handler that raises gives its status, else 500; the traceback is logged, never sent. A handler that returns without having
answered gives 500, and an error log that names it. The CANCEL of an INVITE raises `CallCancelled` from what the handler awaits.
"""

from __future__ import annotations

import asyncio
import logging
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeAlias

from dracht.errors import CallCancelled, ConnectionLost, DrachtError, ParseError, SipError
from dracht.linelimit import LineLimit
from dracht.request import Request
from dracht.response import Response

TRY_LATER = {"Retry-After": "10"}
"""Goes with a 503 of an application that ends (RFC 3261 §21.5.4): without it a peer may never come back. Seconds."""

__all__ = ["TRY_LATER", "Handler", "cancelled", "is_peers_fault", "run", "shown"]

log = logging.getLogger("dracht")
_PEERS = LineLimit()

Handler: TypeAlias = Callable[[Request, Response], Awaitable[None]]


async def run(handler: Handler, request: Request, running: set[Request]) -> None:
    """Runs the handler to its end, and answers where it did not."""
    response = request.res
    try:
        if request.msg.method == "INVITE":
            await _cancellable(handler, request, response)
        else:
            await handler(request, response)
        if not request.handled:
            log.error(
                "handler %s returned without answering %r: it got 500; answer, proxy or drop every request",
                shown(handler),
                request,
            )
            response.send(500)
    except CallCancelled:
        pass
    except BaseExceptionGroup as group:
        _, rest = group.split(CallCancelled)
        if rest is not None:
            log.error("handler %s raised for %r", shown(handler), request, exc_info=rest)
            _answer(request, 500, None)
    except SipError as error:
        _answer(request, error.status, error)
    except asyncio.CancelledError:
        _answer(request, 503, SipError(503, headers=TRY_LATER))
        raise
    except ConnectionLost as error:
        log.info("handler %s ended for %r: %s", shown(handler), request, error)
        _answer(request, 500, None)
    except Exception as error:
        if is_peers_fault(request, error):
            _answer(request, 400, None)
        else:
            log.exception("handler %s raised for %r", shown(handler), request)
            _answer(request, 500, None)
    finally:
        running.discard(request)
        # An INVITE stays until its ACK; what ran for it need not.
        request._task = None


def is_peers_fault(request: Request, error: Exception) -> bool:
    """Whether a handler raised `error` for what the peer sent; then it gets 400. Whoever sends that causes the line."""
    bad = unreadable(request, error)
    if bad is not None:
        what, why = "cannot be read, it gets 400", str(bad)
    elif request._refused:
        what, why = (
            "has no Contact that says where its sender is reached",
            "it can make no dialog, and got 400",
        )
    else:
        return False
    suppressed = _PEERS.allow()
    if suppressed is not None:
        log.warning("%r %s: %s (%d such lines suppressed)", request, what, why, suppressed)
    return True


def unreadable(request: Request, error: Exception) -> ParseError | None:
    """What the peer wrote wrongly, when that made a handler raise `error`; None when the fault is the application's."""
    if isinstance(error, ParseError):
        for field in ("uri", "from_", "to", "contacts"):
            try:
                value = getattr(request, field)
                for contact in value if field == "contacts" else ():
                    _ = contact.is_wildcard or contact.uri
                _ = field in ("from_", "to") and value.uri
            except ParseError as bad:
                return bad
    return None


def shown(handler: object) -> str:
    """A handler's name and place, for people."""
    function = getattr(handler, "__func__", handler)
    name = getattr(function, "__qualname__", None) or type(handler).__qualname__
    code = getattr(function, "__code__", None)
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code is not None else name


def _answer(request: Request, status: int, error: SipError | None) -> None:
    if request.handled or not request._dispatcher.link.ready:
        return
    reason, headers = (error.reason, error.headers) if error is not None else (None, None)
    try:
        request.res.send(status, reason, headers=headers)
    except (DrachtError, ValueError, TypeError):
        log.exception("%r could not be answered with %s; it gets 500", request, status)
        request.res.send(500)


def cancelled(request: Request) -> None:
    """The caller cancelled: whatever the handler awaits is cancelled, and raises `CallCancelled`."""
    task = request._task
    if request._started and task is not None and not task.done():
        task.cancel()


@types.coroutine
def _cancellable(handler: Handler, request: Request, response: Response) -> Generator[Any, Any, None]:
    """Awaits the handler; where a CANCEL interrupts it, the cancellation is turned into `CallCancelled` on its way in.

    The task is really cancelled, so that what it waits for is cancelled as well (a gather, a task group and their children);
    only what is thrown at the place of waiting is another exception, and the task counts as not cancelled afterwards. A handler
    that was not begun yet runs up to its first waiting.
    """
    request._started = True
    if request._cancel is not None and (task := asyncio.current_task()) is not None:
        task.cancel()
    handling = handler(request, response)
    inner: Generator[Any, Any, None] | Coroutine[Any, Any, None]
    inner = handling if isinstance(handling, Coroutine) else handling.__await__()
    told = False
    try:
        waiting = inner.send(None)
        while True:
            try:
                value = yield waiting
            except asyncio.CancelledError as error:
                if request._cancel is not None and not told:
                    told = True
                    task = asyncio.current_task()
                    if task is not None:
                        task.uncancel()
                    waiting = inner.throw(CallCancelled(request._cancel.header("Reason")))
                else:
                    waiting = inner.throw(error)
            except GeneratorExit:
                inner.close()
                raise
            except BaseException as error:
                waiting = inner.throw(error)
            else:
                waiting = inner.send(value)
    except StopIteration:
        return
