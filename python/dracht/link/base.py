"""The two ends of a link: what an agent asks of an engine (`Link`), and what it is told (`Receiver`, `Completion`).

Plain data in both directions: numbers, text, messages. A link holds no state of calls; it carries. Everything here happens on
the thread of the loop that opened the link. A link calls its receiver, never the other way round within the same call, except
that commands may be given while the receiver is being called.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from dracht._core import Message

# Identifiers belong to the link that gave them: numbers in process, texts on a control connection. They are only compared.
TransactionId: TypeAlias = int | str
DialogId: TypeAlias = int | str
# A dialog as a command names it: its identifier, or Call-ID and the From tag of the request that created it.
DialogReference: TypeAlias = int | str | tuple[str, str]
HeaderList: TypeAlias = Sequence[tuple[str, str]]
CdrKind: TypeAlias = Literal["attempt", "start", "stop"]


class Origin(Protocol):
    """Where a message was received, or which way one was sent."""

    @property
    def transport(self) -> str:
        """`udp`, `tcp`, `tls`, `ws` or `wss`; "" when a server does not say."""

    @property
    def peer(self) -> tuple[str, int]:
        """The peer's address, IPv6 without brackets, and port."""

    @property
    def local(self) -> tuple[str, int] | None:
        """Our address and port, where the link says."""

    @property
    def peer_certificate(self) -> tuple[Sequence[str], str] | None:
        """Names and subject of the certificate that the sender of a request proved to have; None where there is none."""


class Flow(NamedTuple):
    """What a link says about the way back to the sender of a request."""

    token: str | None
    """The flow that it came over (RFC 5626); None where the server does not say."""
    behind_nat: bool
    """Whether its sender's Contact is not to be believed."""


class Completion(Protocol):
    """What becomes of one command: exactly one of these is called, once."""

    def sent(
        self,
        transaction: TransactionId,
        dialog: DialogId | None,
        message: "Message | bytes",
        path: Origin,
    ) -> None:
        """The command put this message on the wire. Bytes are a message that nobody has read yet."""

    def failed(self, error: Exception) -> None:
        """It could not: `CommandFailed`, or `ConnectionLost`, after which it is not known whether it did."""


class ProxyCompletion(Protocol):
    """What becomes of a proxied request: any number of `response`, then exactly one of `done` and `failed`."""

    def response(self, branch: int, message: "Message", origin: Origin | None) -> None:
        """A response of one branch; without an origin the engine made it."""

    def done(self, status: int | None, winner: int | None) -> None:
        """The end: the final status sent upstream (None where the link cannot tell), and the branch that won."""

    def failed(self, error: Exception) -> None:
        """It was not proxied."""


class Receiver(Protocol):
    """What a link tells its agent."""

    def link_ready(self, link: "Link") -> None:
        """The link works (again). Routes given before are in force."""

    def link_lost(self, link: "Link", error: Exception) -> None:
        """The link is gone, every completion has been failed, and no identifier is valid any longer."""

    def request_received(
        self, transaction: TransactionId, dialog: DialogId | None, message: "Message", origin: Origin
    ) -> None:
        """A request: new, in a dialog, a CANCEL, a PRACK or the ACK of a 2xx."""

    def response_received(
        self, transaction: TransactionId, dialog: DialogId | None, message: "Message", origin: Origin | None
    ) -> None:
        """A response to a request of ours, never 100; without an origin the engine made it."""

    def dialog_ended(self, dialog: DialogId, message: "Message", origin: Origin) -> None:
        """The engine ended a dialog itself, with this BYE (its Reason header field says why)."""

    def subscription_ended(self, dialog: DialogId, event: str, is_notifier: bool, reason: str) -> None:
        """The engine ended a subscription for want of a message; `reason` is `expired` or `no-notify`.

        Only an engine in this process says so: drachtio's protocol has no word for it.
        """

    def cdr(self, kind: CdrKind, source: str, time: str, detail: str, message: "Message") -> None:
        """A call detail record; `detail` is the role of a start and the reason of a stop."""


PathPolicy: TypeAlias = Literal["always", "if_supported", "required"]
"""What becomes of Path when a REGISTER comes from a user agent that does not list `path` in Supported (RFC 3327 §5.2)."""

Forking: TypeAlias = Literal["serial", "simultaneous", "by_q"]
"""In which order the targets of a proxied request are tried."""


class ProxyOptions:
    """How a request is proxied; times in seconds."""

    __slots__ = (
        "consumed",
        "final_timeout",
        "follow_redirects",
        "forking",
        "path",
        "provisional_timeout",
        "record_route",
        "stateless",
        "trusted",
    )

    def __init__(
        self,
        *,
        record_route: bool = False,
        path: PathPolicy = "always",
        forking: Forking = "serial",
        follow_redirects: bool = False,
        provisional_timeout: float | None = None,
        final_timeout: float | None = None,
        stateless: bool = False,
        trusted: bool = True,
        consumed: Sequence[int] = (),
    ) -> None:
        self.record_route = record_route
        self.path = path
        self.forking = forking
        self.follow_redirects = follow_redirects
        self.provisional_timeout = provisional_timeout
        self.final_timeout = final_timeout
        self.stateless = stateless
        self.trusted = trusted
        self.consumed = list(consumed)
        """The numbers of the Proxy-Authorization header fields that were for this proxy, and go no further."""


class Link(Protocol):
    """A way to an engine.

    Commands only queue plain data, and go out together at the end of the loop's tick. A command on a link that is not ready
    fails its completion with `ConnectionLost` before it returns.
    """

    @property
    def ready(self) -> bool:
        """Whether commands can be given."""

    @property
    def pending(self) -> int:
        """How many commands have not been completed."""

    @property
    def name(self) -> str:
        """Where it leads, for people: `tcp://127.0.0.1:9022`."""

    @property
    def hostports(self) -> list[str]:
        """The engine's listeners as `proto/host:port`; empty until it is ready."""

    async def open(self, receiver: Receiver, *, timeout: float) -> None:
        """Opens the link, within `timeout` seconds.

        Raises:
            ConnectionLost: there is no engine there.
            AuthenticationFailed: it refused the secret.
        """

    async def close(self) -> None:
        """Closes it for good. Completions that wait are failed. Calling it again does nothing."""

    def forget_written(self) -> None:
        """A crowd of calls has left: what is only kept for a failure that may follow at once is kept no longer."""

    def route(self, method: str) -> None:
        """Asks for new requests of a method, `*` for all; `cdr:attempt`, `cdr:start`, `cdr:stop` for call detail records."""

    def unroute(self, method: str) -> None:
        """Takes `route` back."""

    def respond(
        self,
        transaction: TransactionId,
        request: "Message",
        status: int,
        reason: str,
        headers: HeaderList,
        body: bytes,
        completion: Completion,
        session_timer: bool = True,
    ) -> None:
        """Answers a request; `reason` may be empty. `session_timer`: whether the engine takes care of one (RFC 4028)."""

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
        """Sends a request, new or within a dialog; "" as URI within a dialog is its remote target."""

    def cancel(self, transaction: TransactionId, headers: HeaderList, completion: Completion) -> None:
        """Cancels an INVITE that was sent."""

    def proxy(
        self,
        transaction: TransactionId,
        targets: Sequence[str],
        options: ProxyOptions,
        headers: HeaderList,
        completion: ProxyCompletion,
    ) -> None:
        """Proxies a request that was received; no targets: to its request-URI. A target is a URI, or one in angle brackets with
        a `q` parameter."""

    def cancel_proxy(self, transaction: TransactionId, status: int, reason: str | None) -> None:
        """Gives up a request that is being proxied; the completion of `proxy` tells of its end."""

    def drop(self, transaction: TransactionId) -> None:
        """Forgets a request without an answer."""

    def flow(self, request: "Message", origin: Origin) -> Flow:
        """The way back to the sender of a request that came this way."""

    def ban(self, network: str, seconds: float | None) -> None:
        """Takes nothing from a network (as `dracht.admission.network` writes it) for so long; None lifts such a ban."""

    def export_dialog(self, dialog: DialogReference, release: bool) -> asyncio.Future[str]:
        """Asks for a confirmed dialog as a value (JSON) that another engine takes over; `release` forgets it here.

        The future raises CommandFailed (`unknown-dialog`, `early-dialog`) or ConnectionLost.
        """

    def import_dialog(self, value: str, age: float) -> asyncio.Future[DialogId]:
        """Takes over a dialog that was exported `age` seconds ago.

        The future raises ValueError for a value that cannot be used, CommandFailed (`dialog-exists`, `no-transport`, `limit`) or
        ConnectionLost.
        """
