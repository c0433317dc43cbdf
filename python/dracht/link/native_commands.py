"""The commands of a `NativeLink`: given to the engine at once, handed in together, and who waits for the outcome of each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from dracht import _core
from dracht.errors import CommandFailed, ConnectionLost
from dracht.link.base import (
    Completion,
    DialogId,
    DialogReference,
    Flow,
    HeaderList,
    Origin,
    ProxyCompletion,
    ProxyOptions,
    TransactionId,
)
from dracht.link.moving import failed

__all__ = ["NativeCommands"]

# How many written responses are kept for a failure that may follow, at least: as many as can be in flight for a moment.
_WRITTEN = 256
# An ACK, CANCEL or PRACK comes to the owner of its INVITE; there is nothing to ask for.
_NEVER_NEW = frozenset({"ack", "cancel", "prack"})


class NativeCommands:
    """The part of a `NativeLink` that takes commands."""

    def __init__(self) -> None:
        self._engine: _core.Engine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._routes: dict[str, None] = {}
        self._commands: dict[int, Completion] = {}
        self._proxied: dict[int, ProxyCompletion] = {}
        self._moving: dict[int, asyncio.Future[Any]] = {}
        # The latest responses that were written here, and those before: the engine only speaks up when it did not send one.
        self._written: dict[int, Completion] = {}
        self._written_before: dict[int, Completion] = {}
        self._flushing = False

    @property
    def engine(self) -> _core.Engine:
        """The engine.

        Raises:
            ConnectionLost: it does not run.
        """
        if self._engine is None:
            raise ConnectionLost("the engine does not run")
        return self._engine

    def forget_written(self) -> None:
        """Forgets the responses that were written before it was called last: a failure would have followed by now."""
        self._written_before, self._written = self._written, {}

    def _flush_soon(self) -> None:
        if not self._flushing and self._loop is not None:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._engine is not None:
            self._engine.flush()

    def route(self, method: str) -> None:
        """Asks for new requests of a method. Call detail records are not made by an embedded engine."""
        self._routes[method] = None
        if self._engine is not None:
            self._ask_route(method)
            self._flush_soon()

    def _ask_route(self, method: str) -> None:
        if method == "*":
            self.engine.route_all()
        elif method not in _NEVER_NEW and not method.startswith("cdr:"):
            self.engine.route(method.upper())

    def unroute(self, method: str) -> None:
        """Takes `route` back."""
        self._routes.pop(method, None)
        if self._engine is not None and method not in _NEVER_NEW and method != "*":
            self._engine.unroute(method.upper())
            self._flush_soon()

    def respond(
        self,
        transaction: TransactionId,
        request: _core.Message,
        status: int,
        reason: str,
        headers: HeaderList,
        body: bytes,
        completion: Completion,
        session_timer: bool = True,
    ) -> None:
        """Answers a request."""
        engine = self._engine
        if engine is None:
            completion.failed(ConnectionLost("the engine does not run"))
            return
        # Written here and now as a rule: waiting for the engine to say what it sent costs two thread switches.
        given = engine.respond(transaction, status, reason, headers, body, request, session_timer)  # type: ignore[arg-type]
        if len(given) == 1:
            self._commands[given[0]] = completion
        elif given[1] is None:
            completion.failed(CommandFailed(given[2], given[3]))
            return
        else:
            written = self._written
            if len(written) >= _WRITTEN:
                # Both at once: taking the oldest of a dict off one by one costs a search for it.
                self._written_before = written
                written = self._written = {}
            written[given[0]] = completion
            completion.sent(transaction, given[2], given[1], given[3])
        if not self._flushing:
            self._flush_soon()

    def request(
        self,
        method: str,
        uri: str,
        headers: HeaderList,
        body: bytes,
        dialog: DialogReference | None,
        next_hop: str | None,
        completion: Completion,
        session_timer: bool = True,
    ) -> None:
        """Sends a request."""
        engine = self._engine
        if engine is None:
            completion.failed(ConnectionLost("the engine does not run"))
            return
        try:
            number = engine.send_request(method, uri, headers, body, dialog, next_hop, session_timer)  # type: ignore[arg-type]
        except ValueError as error:
            completion.failed(CommandFailed("invalid-method", str(error)))
            return
        self._commands[number] = completion
        if not self._flushing:
            self._flush_soon()

    def cancel(self, transaction: TransactionId, headers: HeaderList, completion: Completion) -> None:
        """Cancels an INVITE."""
        engine = self._engine
        if engine is None:
            completion.failed(ConnectionLost("the engine does not run"))
            return
        self._commands[engine.cancel(transaction, headers)] = completion  # type: ignore[arg-type]
        self._flush_soon()

    def proxy(
        self,
        transaction: TransactionId,
        targets: Sequence[str],
        options: ProxyOptions,
        headers: HeaderList,
        completion: ProxyCompletion,
    ) -> None:
        """Proxies a request."""
        engine = self._engine
        if engine is None:
            completion.failed(ConnectionLost("the engine does not run"))
            return
        number = engine.proxy(
            transaction,  # type: ignore[arg-type]
            targets,
            record_route=options.record_route,
            path=options.path,
            forking=options.forking,
            follow_redirects=options.follow_redirects,
            provisional_timeout=options.provisional_timeout,
            final_timeout=options.final_timeout,
            stateless=options.stateless,
            untrusted=not options.trusted,
            consumed=options.consumed,
            report_responses=True,
            headers=headers,
        )
        self._proxied[number] = completion
        self._flush_soon()

    def cancel_proxy(self, transaction: TransactionId, status: int, reason: str | None) -> None:
        """Gives up a request that is being proxied."""
        if self._engine is not None:
            self._engine.cancel_proxy(transaction, status, reason)  # type: ignore[arg-type]
            self._flush_soon()

    def drop(self, transaction: TransactionId) -> None:
        """Forgets a request without an answer."""
        if self._engine is not None:
            self._engine.drop(transaction)  # type: ignore[arg-type]
            self._flush_soon()

    def flow(self, request: _core.Message, origin: Origin) -> Flow:
        """The way back to the sender of a request."""
        engine = self._engine
        if engine is None or not isinstance(origin, _core.Origin):
            return Flow(None, False)
        return Flow(engine.flow(origin), engine.behind_nat(request, origin))

    def ban(self, network: str, seconds: float | None) -> None:
        """Bans a network, or lifts that."""
        if self._engine is not None:
            if seconds is None:
                self._engine.unban(network)
            else:
                self._engine.ban(network, seconds)

    def export_dialog(self, dialog: DialogReference, release: bool) -> asyncio.Future[str]:
        """Asks for a dialog as a value."""
        if self._engine is None:
            return failed(ConnectionLost("the engine does not run"))
        return self._move(self._engine.export_dialog(dialog, release))  # type: ignore[arg-type]

    def import_dialog(self, value: str, age: float) -> asyncio.Future[DialogId]:
        """Takes a dialog over."""
        if self._engine is None:
            return failed(ConnectionLost("the engine does not run"))
        try:
            return self._move(self._engine.import_dialog(value, age))
        except ValueError as error:
            return failed(error)

    def _move(self, number: int) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._moving[number] = future
        self._flush_soon()
        return future
