"""Every exception that dracht raises, and whose fault each one is.

    DrachtError
    ├── SipError(status, reason)       an answer: raise it in a handler, and the caller gets that status
    ├── ParseError                     the remote side: what it sent cannot be read as SIP
    │   ├── HeaderError                one header field of it (or one that the application gave)
    │   └── UriError                   one URI of it (or one that the application gave)
    ├── CommandFailed(code, detail)    this application: the engine could not do what it was asked to
    ├── RequestRefused(response)       the remote side: it refused a SUBSCRIBE, REFER or PUBLISH
    ├── RequestTimeout                 the network or the remote side: no final response in the time given (a TimeoutError)
    ├── ConnectionLost                 the network: the connection to the engine is gone (a ConnectionError)
    │   └── AuthenticationFailed       this application: the server refused the secret
    └── ControlProtocolError           the server: it broke the control protocol, the connection was closed
    CallCancelled                      the caller: it sent CANCEL (an asyncio.CancelledError)

`CallCancelled` is a cancellation, so that `except Exception` in a handler does not swallow it and task groups end their
children; every other one is an ordinary exception. This module says what went wrong, and takes no decision about it.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dracht.transaction import IncomingResponse

__all__ = [
    "AuthenticationFailed",
    "CallCancelled",
    "CommandFailed",
    "ConnectionLost",
    "ControlProtocolError",
    "DrachtError",
    "HeaderError",
    "ParseError",
    "RequestRefused",
    "RequestTimeout",
    "SipError",
    "UriError",
    "check_reason",
]


class DrachtError(Exception):
    """The root of what dracht raises."""


class SipError(DrachtError):
    """An answer: raised in a handler, it is what the caller gets.

    Args:
        status: the status code, 300 to 699.
        reason: the reason phrase; the standard one when None.
        headers: header fields for the response, as `Response.send` takes them.

    Raises:
        TypeError, ValueError: an argument cannot be used.
    """

    def __init__(
        self,
        status: int,
        reason: str | None = None,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    ) -> None:
        if not isinstance(status, int):
            raise TypeError(f"SipError takes a status that is a number, as 404, not {status!r}")
        if not 300 <= status <= 699:
            raise ValueError(f"SipError takes a status from 300 to 699, not {status}")
        check_reason(reason)
        if headers is not None and (isinstance(headers, str | bytes) or not isinstance(headers, Iterable)):
            raise TypeError(
                f'header fields are a mapping, as {{"X-Name": "value"}}, or pairs, not {headers!r}'
            )
        super().__init__(f"{status} {reason}" if reason else str(status))
        self.status = status
        self.reason = reason
        self.headers = headers


def check_reason(reason: object) -> None:
    """Whether it can be the reason phrase of a response, or None.

    Raises:
        TypeError: it is no text.
        ValueError: it has a line break, with which it would forge header fields.
    """
    if reason is not None and not isinstance(reason, str):
        raise TypeError(f"a reason phrase is text, not {reason!r}")
    if reason and ("\n" in reason or "\r" in reason):
        raise ValueError(f"a reason phrase has no line breaks: {reason!r}")


class ParseError(DrachtError, ValueError):
    """A SIP message cannot be read; the text says what is wrong and where."""


class HeaderError(ParseError):
    """A header field is missing, cannot be read, or cannot be sent."""


class UriError(ParseError):
    """A URI cannot be read."""


class CommandFailed(DrachtError):
    """The engine could not do what it was asked to.

    Args:
        code: what went wrong, one of the codes of the engine: `unknown-transaction`, `unknown-dialog`, `already-answered`,
            `already-proxied`, `ack-is-automatic`, `no-invite`, `invalid-uri`, `invalid-method`, `invalid-header`,
            `missing-content-type`, `too-many-hops`, `loop`, `no-transport`, `no-100rel`, `no-contact` (the request can
            make no dialog, and got 400 instead of the answer), `limit`, `request-pending` (another INVITE or offer of
            the dialog must end first: `detail` says which); `failed` where a server gave another text.
        detail: the value that was wrong or the server's words; may be empty.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


class RequestRefused(DrachtError):
    """The remote side refused what a subscription, a REFER or a publication needs.

    Args:
        response: its final response; `status` and `reason` are taken from there.
    """

    def __init__(self, response: "IncomingResponse") -> None:
        super().__init__(f"{response.method} was refused: {response.status} {response.reason}")
        self.response = response
        self.status = response.status
        self.reason = response.reason


class RequestTimeout(DrachtError, TimeoutError):
    """No final response within the time the application gave; an INVITE was cancelled (RFC 3261 §9.1)."""


class ConnectionLost(DrachtError, ConnectionError):
    """The connection to the engine is gone; what was awaited will not come. Whether it was done is unknown."""


class AuthenticationFailed(ConnectionLost):
    """The server refused the secret. Give the secret that the server was started with."""


class ControlProtocolError(DrachtError):
    """The other side of a control connection broke the protocol; the connection was closed."""


class CallCancelled(asyncio.CancelledError):
    """The caller sent CANCEL; it was answered 200, and the INVITE 487 (RFC 3261 §9.2). There is nothing to answer.

    Raised by whatever the handler of that INVITE awaits. Release what the handler holds, and let it pass.

    Args:
        reason: the value of the Reason header field of the CANCEL (RFC 3326), where it has one.
    """

    def __init__(self, reason: str | None = None) -> None:
        super().__init__("the caller sent CANCEL")
        self.reason = reason
