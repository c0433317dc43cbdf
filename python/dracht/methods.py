"""`app.subscribe`, `app.refer`, `app.publish`: the methods with two sides.

With a function each is the decorator that registers a handler, as that of any other method is; with what to ask for, it asks:
`await app.subscribe("sip:bob@example.com", event="presence")`. What is given tells which of the two is meant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

from dracht.registration import H, MethodDecorator

if TYPE_CHECKING:
    from dracht._core import Uri
    from dracht.app import App
    from dracht.digest import Credentials
    from dracht.message import Body, HeadersInput
    from dracht.publication import Publication
    from dracht.referral import Referral
    from dracht.requesting import Dialog
    from dracht.subscription import Subscription

__all__ = ["PublishMethod", "ReferMethod", "SubscribeMethod"]


class _TwoSided(MethodDecorator):
    """A decorator that is called with a handler, or with what to ask for."""

    __slots__ = ("_app",)

    def __init__(self, app: App, method: str) -> None:
        super().__init__(app, method)
        self._app = app

    def _called(self, first: tuple[Any, ...], options: dict[str, Any], needed: str) -> Any:
        """What a decorator does with what it was given, or with `needed` what the agent's method of that name does."""
        name = self._method.lower()
        if needed in options:
            return getattr(self._app.agent, name)(*first, **options)
        if (first and callable(first[0])) or (not first and set(options) <= {"in_dialog"}):
            return super().__call__(*first, **options)
        raise TypeError(
            f"app.{name} takes a handler, as @app.{name}, or what to ask for: app.{name}(uri, {needed}=...)"
        )


class SubscribeMethod(_TwoSided):
    """`@app.subscribe` registers a handler for SUBSCRIBE; `app.subscribe(uri, event=...)` subscribes: see `Agent.subscribe`."""

    __slots__ = ()

    @overload
    def __call__(self, handler: H, /) -> H: ...
    @overload
    def __call__(self, /, *, in_dialog: bool | None = None) -> Callable[[H], H]: ...
    @overload
    def __call__(
        self,
        uri: str | Uri | None = None,
        /,
        *,
        event: str,
        expires: int = 3600,
        headers: HeadersInput | None = None,
        body: Body | None = None,
        auth: Credentials | None = None,
        dialog: Dialog | None = None,
        next_hop: str | None = None,
        retry: bool = False,
        backlog: int = 100,
    ) -> Subscription: ...
    def __call__(self, *first: Any, **options: Any) -> Any:
        """Registers a handler, or subscribes (RFC 6665): await the result, or `async with` it. Arguments as `Agent.subscribe`."""
        return self._called(first, options, "event")


class ReferMethod(_TwoSided):
    """`@app.refer` registers a handler for REFER; `app.refer(uri, refer_to=...)` asks another party: see `Agent.refer`."""

    __slots__ = ()

    @overload
    def __call__(self, handler: H, /) -> H: ...
    @overload
    def __call__(self, /, *, in_dialog: bool | None = None) -> Callable[[H], H]: ...
    @overload
    def __call__(
        self,
        uri: str | Uri | None = None,
        /,
        *,
        refer_to: str | Uri,
        dialog: Dialog | None = None,
        headers: HeadersInput | None = None,
        subscribe: bool = True,
        auth: Credentials | None = None,
        next_hop: str | None = None,
    ) -> Referral: ...
    def __call__(self, *first: Any, **options: Any) -> Any:
        """Registers a handler, or asks another party to call somebody (RFC 3515). Arguments as `Agent.refer`."""
        return self._called(first, options, "refer_to")


class PublishMethod(_TwoSided):
    """`@app.publish` registers a handler for PUBLISH; `app.publish(uri, body, event=...)` publishes: see `Agent.publish`."""

    __slots__ = ()

    @overload
    def __call__(self, handler: H, /) -> H: ...
    @overload
    def __call__(self, /, *, in_dialog: bool | None = None) -> Callable[[H], H]: ...
    @overload
    def __call__(
        self,
        uri: str | Uri,
        body: Body,
        /,
        *,
        event: str,
        content_type: str,
        expires: int = 3600,
        headers: HeadersInput | None = None,
        auth: Credentials | None = None,
        next_hop: str | None = None,
    ) -> Publication: ...
    def __call__(self, *first: Any, **options: Any) -> Any:
        """Registers a handler, or publishes event state (RFC 3903). Arguments as `Agent.publish`."""
        return self._called(first, options, "event")
