"""How an application says what it handles: `use`, a decorator per SIP method, `on`, `error`.

This only records; what is recorded is composed into onions when the application starts (`middleware.stack`), and refused here
where it cannot work. After the start nothing may be added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, overload

from dracht.middleware.stack import (
    Entry,
    ErrorHandler,
    Handler,
    Layer,
    Predicate,
    Stack,
    check_arguments,
    check_layer,
    check_predicate,
    describe,
    method_names,
)

H = TypeVar("H", bound=Handler)
L = TypeVar("L", bound=Layer)
E = TypeVar("E", bound=ErrorHandler)

METHODS = (
    "ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY",
    "OPTIONS", "PRACK", "PUBLISH", "REFER", "REGISTER", "SUBSCRIBE", "UPDATE",
)  # fmt: skip
"""The methods that have a decorator of their own (RFC 3261, 3262, 3311, 3428, 3515, 3903, 6086, 6665)."""


class MethodDecorator:
    """`@app.invite`, or `@app.invite(in_dialog=True)`: registers a handler for one method. See `Registration.on`."""

    __slots__ = ("_method", "_registration")

    def __init__(self, registration: Registration, method: str) -> None:
        self._registration = registration
        self._method = method

    @overload
    def __call__(self, handler: H, /) -> H: ...
    @overload
    def __call__(self, /, *, in_dialog: bool | None = None) -> Callable[[H], H]: ...
    def __call__(self, handler: H | None = None, /, *, in_dialog: bool | None = None) -> H | Callable[[H], H]:
        decorate = self._registration.on(self._method, in_dialog=in_dialog)
        return decorate if handler is None else decorate(handler)


class Registration:
    """The part of an `App` that records layers, handlers, sub-applications and error handlers."""

    def __init__(self) -> None:
        self._stack = Stack()
        self._mounted: list[Registration] = []
        self._sealed = False
        self.ack = MethodDecorator(self, "ACK")
        self.bye = MethodDecorator(self, "BYE")
        self.cancel = MethodDecorator(self, "CANCEL")
        self.info = MethodDecorator(self, "INFO")
        self.invite = MethodDecorator(self, "INVITE")
        self.message = MethodDecorator(self, "MESSAGE")
        self.notify = MethodDecorator(self, "NOTIFY")
        self.options = MethodDecorator(self, "OPTIONS")
        self.prack = MethodDecorator(self, "PRACK")
        self.publish = MethodDecorator(self, "PUBLISH")
        self.refer = MethodDecorator(self, "REFER")
        self.register = MethodDecorator(self, "REGISTER")
        self.subscribe = MethodDecorator(self, "SUBSCRIBE")
        self.update = MethodDecorator(self, "UPDATE")

    def on(self, *methods: str, in_dialog: bool | None = None) -> Callable[[H], H]:
        """Registers a handler `(req, res)`, `async def` or `def`, for these methods; any token may be a method.

        `in_dialog`: True for requests within a dialog only, False for new ones only. Left out it means both, except for INVITE,
        where it means new ones: a re-INVITE is a change to a call that somebody has, not a call.

        Raises `TypeError` for what cannot be a handler, `ValueError` for a second handler of a method, and for what cannot be a
        method or is nearly the name of a known one.
        """
        names = method_names(methods)

        def decorate(handler: H) -> H:
            self._open()
            check_arguments("handler", handler, ("req", "res"))
            for name in names:
                if in_dialog is not True:
                    self._take(self._stack.new, name, handler)
                if in_dialog is True or (in_dialog is None and name != "INVITE"):
                    self._take(self._stack.within, name, handler)
            return handler

        return decorate

    @overload
    def use(self, layer: L, /, *, when: Predicate | None = None) -> L: ...
    @overload
    def use(self, app: Registration, /, *, when: Predicate | None = None) -> Registration: ...
    @overload
    def use(self, layers: Sequence[Layer], /, *, when: Predicate | None = None) -> Sequence[Layer]: ...
    @overload
    def use(self, methods: str | Sequence[str], /, *, when: Predicate | None = None) -> Callable[[L], L]: ...
    @overload
    def use(self, methods: str | Sequence[str], layer: L, /, *, when: Predicate | None = None) -> L: ...
    @overload
    def use(
        self, methods: str | Sequence[str], app: Registration, /, *, when: Predicate | None = None
    ) -> Registration: ...
    @overload
    def use(
        self, methods: str | Sequence[str], layers: Sequence[Layer], /, *, when: Predicate | None = None
    ) -> Sequence[Layer]: ...
    def use(self, first: Any, second: Any = None, /, *, when: Predicate | None = None) -> Any:
        """Adds layers, or mounts a sub-application; the first added is the outermost. Returns what was added.

        `use(layer)`, `use([layer, ...])`, `use(app)`, each with SIP methods in front (`use("register", layer)`) to apply to those
        only, and with `when=`, a function of the request, to apply only where it is true. `@app.use` and `@app.use("invite")`
        are decorators. Layers run before handlers whatever the order in which both are written.

        A sub-application takes the requests that it has a handler for; its layers run around everything else too that reaches it.

        Raises `TypeError` for what is neither, `ValueError` for what cannot be a method or is nearly the name of a known one.
        """
        check_predicate(when)
        if second is None and _is_methods(first):
            method_names(first)
            return lambda layer: self.use(first, layer, when=when)
        methods, added = (None, first) if second is None else (frozenset(method_names(first)), second)
        self._open()
        for item in added if isinstance(added, list | tuple) else (added,):
            if isinstance(item, Registration):
                self._mount(item)
                self._stack.entries.append(Entry(item._stack, methods, when))
            else:
                check_layer(item)
                self._stack.entries.append(Entry(item, methods, when))
        return added

    def error(self, *kinds: type[Exception] | int) -> Callable[[E], E]:
        """Registers a handler `(req, res, error)` for exceptions of these classes, or for errors with these statuses.

        The handler answers in place of the default (the error's status, else 500). Raises `TypeError` for anything else.
        """
        for kind in kinds:
            if not isinstance(kind, int) and not (isinstance(kind, type) and issubclass(kind, Exception)):
                raise TypeError(f"app.error takes exception classes and statuses, not {kind!r}")
        if not kinds:
            raise TypeError("app.error needs an exception class or a status, as @app.error(ConnectionError)")

        def decorate(handler: E) -> E:
            self._open()
            check_arguments("error handler", handler, ("req", "res", "error"))
            for kind in kinds:
                self._stack.errors[kind] = handler
            return handler

        return decorate

    def _take(self, handlers: dict[str, Handler], method: str, handler: Handler) -> None:
        if method in handlers:
            raise ValueError(
                f"{method} has a handler already, {describe(handlers[method])}; {describe(handler)} would never run"
            )
        handlers[method] = handler

    def _mount(self, app: Registration) -> None:
        if app is self or self in app._everything():
            raise ValueError("an application cannot be mounted in itself")
        self._mounted.append(app)

    def _everything(self) -> Iterable[Registration]:
        yield self
        for app in self._mounted:
            yield from app._everything()

    def _open(self) -> None:
        if self._sealed:
            raise RuntimeError("the application runs: add layers and handlers before it starts")

    def _seal(self) -> None:
        for app in self._everything():
            app._sealed = True

    def _unseal(self) -> None:
        for app in self._everything():
            app._sealed = False


def _is_methods(value: object) -> bool:
    """Whether `value` is a method's name or several: what tells `use("invite")` from `use(layer)`."""
    if isinstance(value, str):
        return True
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(item, str) for item in value)
