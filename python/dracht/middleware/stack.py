"""The middleware onion: layers around handlers, composed once per SIP method when an application starts.

It knows nothing of sockets, links or defaults: given what to do at the core, it returns one awaitable function that runs every
layer that applies to a method, outermost first. It refuses what cannot work (a layer that is not `async def`, a
second handler for a method) when it is registered, not when a call comes in.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from dracht.methodname import method_name

if TYPE_CHECKING:
    from dracht.request import Request
    from dracht.response import Response

Next: TypeAlias = Callable[[], Awaitable[None]]
Endpoint: TypeAlias = "Callable[[Request, Response], Awaitable[Any]]"
Handler: TypeAlias = "Callable[[Request, Response], Any]"
Layer: TypeAlias = "Callable[[Request, Response, Next], Awaitable[Any]]"
ErrorHandler: TypeAlias = "Callable[[Request, Response, Any], Any]"
Predicate: TypeAlias = "Callable[[Request], object]"
Recover: TypeAlias = "Callable[[Request, Response, Exception], Awaitable[None]]"


def wrap(layer: Layer, inner: Endpoint, recover: Recover) -> Endpoint:
    """One ring of the onion: `layer` around `inner`.

    An error that leaves the layer goes to `recover`, which answers it or raises it again: a layer further out sees the answer.
    """

    async def ring(req: Request, res: Response) -> None:
        try:
            await layer(req, res, partial(inner, req, res))
        except Exception as error:
            await recover(req, res, error)

    return ring


def attempt(inner: Endpoint, recover: Recover) -> Endpoint:
    """`inner`, whose errors go to `recover`."""

    async def attempted(req: Request, res: Response) -> None:
        try:
            await inner(req, res)
        except Exception as error:
            await recover(req, res, error)

    return attempted


def choose(when: Predicate, chosen: Endpoint, otherwise: Endpoint) -> Endpoint:
    """`chosen` for requests that satisfy `when`, `otherwise` for the rest."""

    def fork(req: Request, res: Response) -> Awaitable[Any]:
        return chosen(req, res) if when(req) else otherwise(req, res)

    return fork


@dataclass(slots=True)
class Entry:
    """One thing that was added with `use`: a layer or the stack of a sub-application, and what it applies to."""

    inner: Layer | Stack
    methods: frozenset[str] | None
    when: Predicate | None

    def around(self, core: Endpoint, method: str, in_dialog: bool, recover: Recover) -> Endpoint:
        """This entry around `core`, or `core` itself where the entry does not apply to `method`."""
        if self.methods is not None and method not in self.methods:
            return core
        if isinstance(self.inner, Stack):
            wrapped = attempt(self.inner.compose(method, in_dialog, core, self.inner.recover), recover)
        else:
            wrapped = wrap(self.inner, core, recover)
        return wrapped if self.when is None else choose(self.when, wrapped, core)


@dataclass(slots=True)
class Stack:
    """What one application registered: entries in order, a handler per method, handlers of errors."""

    entries: list[Entry] = field(default_factory=list)
    new: dict[str, Handler] = field(default_factory=dict)
    within: dict[str, Handler] = field(default_factory=dict)
    errors: dict[type[BaseException] | int, ErrorHandler] = field(default_factory=dict)

    def compose(self, method: str, in_dialog: bool, otherwise: Endpoint, recover: Recover) -> Endpoint:
        """The onion for a method: every entry that applies around its handler, or around `otherwise` where it has none."""
        handler = (self.within if in_dialog else self.new).get(method)
        core = otherwise if handler is None else guard(handler, recover)
        for entry in reversed(self.entries):
            core = entry.around(core, method, in_dialog, recover)
        return core

    def taker(self, req: Request, method: str, in_dialog: bool) -> Handler | None:
        """The handler that `req` comes to, here or in a mounted application; None where the default answers it."""
        for entry in self.entries:
            if isinstance(entry.inner, Stack) and (entry.methods is None or method in entry.methods):
                if entry.when is not None and not entry.when(req):
                    continue
                found = entry.inner.taker(req, method, in_dialog)
                if found is not None:
                    return found
        return (self.within if in_dialog else self.new).get(method)

    def handled(self) -> set[str]:
        """Every method for which this application, or one mounted in it, has a handler or a layer of its own."""
        methods = self.new.keys() | self.within.keys()
        for entry in self.entries:
            if entry.methods is not None:
                methods |= entry.methods
            elif isinstance(entry.inner, Stack):
                methods |= entry.inner.handled()
        return methods

    def answered(self, method: str) -> bool:
        """Whether a handler for new requests of this method exists here or in a mounted application."""
        return method in self.new or any(
            isinstance(entry.inner, Stack) and entry.inner.answered(method) for entry in self.entries
        )

    def error_handler(self, error: BaseException) -> ErrorHandler | None:
        """The handler for an error: by the status it carries first, then by the nearest of its classes."""
        if not self.errors:
            return None
        status = getattr(error, "status", None)
        if isinstance(status, int) and status in self.errors:
            return self.errors[status]
        return next((self.errors[kind] for kind in type(error).__mro__ if kind in self.errors), None)

    async def recover(self, req: Request, res: Response, error: Exception) -> None:
        """Runs the handler that was registered for `error`; raises it again where there is none."""
        handler = self.error_handler(error)
        if handler is None:
            raise error
        outcome = handler(req, res, error)
        if inspect.isawaitable(outcome):
            await outcome


def guard(handler: Handler, recover: Recover) -> Endpoint:
    """A handler, `async def` or `def`, as the core of an onion: its errors are answered before a layer sees them."""
    if inspect.iscoroutinefunction(handler):
        return attempt(handler, recover)

    async def core(req: Request, res: Response) -> None:
        try:
            outcome = handler(req, res)
            if outcome is not None and inspect.isawaitable(outcome):
                await outcome
        except Exception as error:
            await recover(req, res, error)

    return core


def method_names(names: str | Iterable[str]) -> tuple[str, ...]:
    """SIP methods as the wire spells them: upper case.

    Raises:
        TypeError: they are no texts.
        ValueError: one is no token, or nearly the name of a known method.
    """
    listed = (names,) if isinstance(names, str) else tuple(names) if isinstance(names, Iterable) else ()
    if not listed or not all(isinstance(name, str) and name for name in listed):
        raise TypeError(f"SIP methods are given by name, as 'invite' or ['info', 'message']; got {names!r}")
    return tuple(method_name(name) for name in listed)


def check_arguments(what: str, function: object, arguments: tuple[str, ...]) -> None:
    """Raises `TypeError`, naming function and file, unless it can be called with these positional arguments."""
    if not callable(function):
        raise TypeError(f"a {what} is a function of ({', '.join(arguments)}), not {function!r}")
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        hint = ""
        if what == "handler":
            hint = "; a layer, which takes `next` as well, is added with app.use('method', layer)"
        raise TypeError(
            f"{describe(function)}: a {what} takes ({', '.join(arguments)}): {error}{hint}"
        ) from None
    except ValueError:  # a callable without a signature, as some written in C
        return


def check_layer(layer: object) -> None:
    """Raises `TypeError` unless `layer` is a coroutine function of (req, res, next)."""
    check_arguments("layer", layer, ("req", "res", "next"))
    method = getattr(type(layer), "__call__", None)  # noqa: B004  (whether it is a coroutine function, not whether it is there)
    if not (inspect.iscoroutinefunction(layer) or inspect.iscoroutinefunction(method)):
        raise TypeError(f"{describe(layer)}: a layer is `async def`, because it awaits next()")


def check_predicate(when: object) -> None:
    """Raises `TypeError` unless `when` is None or a plain function of the request."""
    if when is None:
        return
    if not callable(when):
        raise TypeError(
            f"when= takes a function of the request, as lambda req: req.is_new_invite, not {when!r}"
        )
    method = getattr(type(when), "__call__", None)  # noqa: B004  (whether it is a coroutine function, not whether it is there)
    if inspect.iscoroutinefunction(when) or inspect.iscoroutinefunction(method):
        raise TypeError(f"{describe(when)}: when= takes a plain `def`: a coroutine is always true")
    check_arguments("function for when=", when, ("req",))


def describe(function: object) -> str:
    """A function's name and where it is written, for people: `register (app.py:12)`."""
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    if code is None:
        return str(name)
    return f"{name} ({code.co_filename}:{code.co_firstlineno})"
