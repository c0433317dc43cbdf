"""The Rust half of dracht: SIP messages, and an engine in this process.

Everything here is frozen and may be used from any thread. Nothing here calls back into Python: an engine's I/O threads never
take the interpreter; they queue events, and write once to a file descriptor that the loop watches (see `Engine`).

Text is UTF-8; bytes that are not are kept as surrogate escapes (PEP 383), so that `text.encode("utf-8", "surrogateescape")`
gives back what was on the wire. Times are in seconds. Identifiers of transactions, dialogs and commands are numbers that mean
nothing by themselves.
"""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, final

__all__ = [
    "EVENT_DIALOG_ENDED",
    "EVENT_FAILED",
    "EVENT_PROXY_DONE",
    "EVENT_PROXY_RESPONSE",
    "EVENT_REQUEST",
    "EVENT_RESPONSE",
    "EVENT_SENT",
    "EVENT_SUBSCRIPTION_ENDED",
    "Address",
    "CSeq",
    "Engine",
    "Message",
    "Origin",
    "Uri",
    "Via",
    "__version__",
    "install_logging",
    "parse_uri",
    "reason_phrase",
]

__version__: Final[str]

# ---- events: what Engine.take gives -------------------------------------------------------------------------------------

EVENT_REQUEST: Final = 0
EVENT_RESPONSE: Final = 1
EVENT_SENT: Final = 2
EVENT_FAILED: Final = 3
EVENT_PROXY_RESPONSE: Final = 4
EVENT_PROXY_DONE: Final = 5
EVENT_DIALOG_ENDED: Final = 6
EVENT_SUBSCRIPTION_ENDED: Final = 7

# A request from the network: new, in a dialog, a CANCEL, a PRACK or the ACK of a 2xx. `transaction` is the server transaction
# to answer; for an ACK and a CANCEL it is that of the INVITE, and there is nothing to answer.
# (kind, transaction, dialog, message, origin, wire_bytes)
_RequestEvent: TypeAlias = tuple[Literal[0], int, int | None, Message, Origin, int]
# A response to a request of ours; never 100. Without an origin the engine made it (408, 503; RFC 3261 §8.1.3.1).
# (kind, transaction, dialog, message, origin, wire_bytes)
_ResponseEvent: TypeAlias = tuple[Literal[1], int, int | None, Message, Origin | None, int]
# The command put this message on the wire. (kind, command, transaction, dialog, message, path)
_SentEvent: TypeAlias = tuple[Literal[2], int, int, int | None, Message, Origin]
# The command could not be carried out. (kind, command, code, detail): `code` is one of _FailedCode, `detail` a text for people
# (of the value that was wrong, where there is one) or "".
_FailedEvent: TypeAlias = tuple[Literal[3], int, _FailedCode, str]
# A response of one branch of a proxied request; asked for by `report_responses`.
# (kind, command, branch, message, origin, wire_bytes)
_ProxyResponseEvent: TypeAlias = tuple[Literal[4], int, int, Message, Origin | None, int]
# The end of a proxied request: the final status sent upstream (None for an ACK or a stateless proxy) and the branch that
# won (None when the engine made the response). (kind, command, status, winner)
_ProxyDoneEvent: TypeAlias = tuple[Literal[5], int, int | None, int | None]
# The engine ended a dialog: `message` is the BYE it sent. (kind, dialog, reason, message, path)
_DialogEndedEvent: TypeAlias = tuple[Literal[6], int, _DialogEndReason, Message, Origin]
# The engine ended a subscription for want of a message: the Event (`presence`, `refer;id=2`), and whether we notify.
# (kind, dialog, event, is_notifier, reason)
_SubscriptionEndedEvent: TypeAlias = tuple[Literal[7], int, str, bool, Literal["no-notify", "expired"]]

_Event: TypeAlias = (
    _RequestEvent
    | _ResponseEvent
    | _SentEvent
    | _FailedEvent
    | _ProxyResponseEvent
    | _ProxyDoneEvent
    | _DialogEndedEvent
    | _SubscriptionEndedEvent
)

_FailedCode: TypeAlias = Literal[
    "unknown-transaction",  # no such transaction, or it was answered already
    "unknown-dialog",
    "already-answered",
    "already-proxied",
    "ack-is-automatic",  # the ACK of a non-2xx is the engine's (RFC 3261 §17.1.1.3)
    "no-invite",  # there is no INVITE that this CANCEL, ACK or PRACK could belong to
    "invalid-uri",
    "invalid-method",
    "invalid-header",
    "missing-content-type",
    "too-many-hops",  # the caller got 483 (RFC 3261 §16.3)
    "loop",
    "rejected",  # the request cannot be proxied; the caller got the status that `detail` holds (RFC 3261 §16.3)
    "no-transport",
    "no-100rel",  # RFC 3262 §3
    "limit",
]
_DialogEndReason: TypeAlias = Literal[
    "ack-timeout", "answered-after-cancel", "cancel-after-answer", "idle", "session-expired"
]
_Headers: TypeAlias = Sequence[tuple[str, str | bytes]]
_Transport: TypeAlias = Literal["udp", "tcp", "tls", "ws", "wss"]

@final
class Origin:
    """Where a message was received, or which way one was sent."""

    @property
    def transport(self) -> _Transport:
        """The transport's name in lower case."""
    @property
    def peer(self) -> tuple[str, int]:
        """The peer's address and port; IPv6 without brackets."""
    @property
    def local(self) -> tuple[str, int]:
        """Our address and port."""
    @property
    def connection(self) -> int | None:
        """The number of the connection; None on UDP."""
    @property
    def listener(self) -> int:
        """The index of the listener, in the order of `Engine.hostports()`."""

# ---- messages -----------------------------------------------------------------------------------------------------------

@final
class Message:
    """A SIP request or response as it was on the wire (RFC 3261 §7): immutable, its headers read when asked for.

    Two messages are equal when their bytes are.
    """

    @staticmethod
    def parse(data: bytes) -> Message:
        """Reads one whole message: a datagram, or what a stream's framing gave.

        Bytes past Content-Length are dropped (RFC 3261 §18.3).

        Raises:
            dracht.errors.ParseError: the message is malformed; the text says what and where.
        """
    @property
    def is_request(self) -> bool:
        """Whether this is a request."""
    @property
    def method(self) -> str:
        """The method: of the start line, in a response of CSeq ("" when that is unreadable)."""
    @property
    def status(self) -> int:
        """The status code; 0 in a request."""
    @property
    def reason(self) -> str:
        """The reason phrase; "" in a request."""
    @property
    def uri(self) -> str:
        """The request-URI as sent; "" in a response."""
    @property
    def call_id(self) -> str:
        """The Call-ID; "" when there is none."""
    @property
    def body(self) -> bytes:
        """The body."""
    @property
    def content_type(self) -> str | None:
        """The value of Content-Type."""
    def header(self, name: str) -> str | None:
        """The value of the first header field of that name, unfolded; None when there is none.

        Names are case-insensitive, and compact forms equal long ones (RFC 3261 §7.3.1, §7.3.3).
        """
    def headers_all(self, name: str) -> list[str]:
        """The value of every header field of that name, one item per field, in order."""
    def values(self, name: str) -> list[str]:
        """Every single value of that header: comma-separated lists split outside quotes and angle brackets."""
    def fields(self) -> list[tuple[str, str]]:
        """Every header field in order: name as sent (compact forms in the long one, known names spelled as in the RFC), value."""
    @property
    def from_(self) -> Address:
        """The From header field.

        Raises:
            dracht.errors.HeaderError: it is missing or unreadable.
        """
    @property
    def to(self) -> Address:
        """The To header field.

        Raises:
            dracht.errors.HeaderError: it is missing or unreadable.
        """
    @property
    def contacts(self) -> list[Address]:
        """Every Contact; for `Contact: *` one Address whose `is_wildcard` is true.

        Raises:
            dracht.errors.HeaderError: one is unreadable.
        """
    @property
    def routes(self) -> list[Address]:
        """Every Route, top first. Raises dracht.errors.HeaderError."""
    @property
    def record_routes(self) -> list[Address]:
        """Every Record-Route, top first. Raises dracht.errors.HeaderError."""
    @property
    def via(self) -> Via:
        """The top Via.

        Raises:
            dracht.errors.HeaderError: it is missing or unreadable.
        """
    @property
    def vias(self) -> list[Via]:
        """Every Via, top first. Raises dracht.errors.HeaderError."""
    @property
    def cseq(self) -> CSeq:
        """The CSeq header field.

        Raises:
            dracht.errors.HeaderError: it is missing or unreadable.
        """
    def __bytes__(self) -> bytes: ...
    def __len__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Address:
    """A name-addr or addr-spec with its parameters: From, To, Contact, Route (RFC 3261 §20.10, §25.1)."""

    @staticmethod
    def parse(text: str) -> Address:
        """Reads an address as a header field holds it.

        Raises:
            dracht.errors.HeaderError: it cannot be read.
        """
    @property
    def display(self) -> str | None:
        """The display name without its quotes; None when there is none."""
    @property
    def uri(self) -> Uri:
        """The URI.

        Raises:
            dracht.errors.UriError: it cannot be read.
        """
    @property
    def uri_text(self) -> str:
        """The URI as sent."""
    @property
    def tag(self) -> str | None:
        """The tag parameter."""
    @property
    def params(self) -> dict[str, str | None]:
        """The header parameters, names in lower case; None for one without a value."""
    def param(self, name: str) -> str | None:
        """The value of a header parameter ("" when it has none); None when it is not there."""
    @property
    def is_wildcard(self) -> bool:
        """Whether this is the `*` of a Contact (RFC 3261 §10.2.2)."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Uri:
    """A URI: sip, sips, tel or any other (RFC 3261 §19.1, RFC 3966).

    `==` compares the text; `equivalent` compares as RFC 3261 §19.1.4 does.
    """

    @staticmethod
    def parse(text: str) -> Uri:
        """Reads a URI.

        Raises:
            dracht.errors.UriError: it cannot be read.
        """
    @property
    def scheme(self) -> str:
        """The scheme in lower case."""
    @property
    def user(self) -> str | None:
        """The user part with its %-escapes decoded; of a tel URI the number."""
    @property
    def user_raw(self) -> str | None:
        """The user part as sent."""
    @property
    def password(self) -> str | None:
        """The password as sent."""
    @property
    def host(self) -> str:
        """The host; IPv6 without brackets; "" in a tel URI."""
    @property
    def port(self) -> int | None:
        """The port, where one is given."""
    @property
    def params(self) -> dict[str, str | None]:
        """The URI parameters, names in lower case; None for one without a value."""
    def param(self, name: str) -> str | None:
        """The value of a URI parameter ("" when it has none); None when it is not there."""
    @property
    def headers(self) -> list[tuple[str, str]]:
        """The header fields after `?`, names and values as sent (RFC 3261 §19.1.1)."""
    @property
    def transport(self) -> str | None:
        """The transport parameter, as sent."""
    @property
    def is_loose_router(self) -> bool:
        """Whether the lr parameter is there (RFC 3261 §19.1.1)."""
    def equivalent(self, other: Uri) -> bool:
        """Whether both name the same resource (RFC 3261 §19.1.4)."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Via:
    """A Via value (RFC 3261 §20.42)."""

    @property
    def transport(self) -> str:
        """The transport, as sent: `UDP`."""
    @property
    def host(self) -> str:
        """The host of sent-by; IPv6 without brackets."""
    @property
    def port(self) -> int | None:
        """The port of sent-by, where one is given."""
    @property
    def branch(self) -> str | None:
        """The branch parameter."""
    @property
    def received(self) -> str | None:
        """The received parameter."""
    @property
    def rport(self) -> int | None:
        """The value of the rport parameter (RFC 3581); None when it is absent or has none."""
    @property
    def params(self) -> dict[str, str | None]:
        """Every parameter, names in lower case; None for one without a value."""
    def param(self, name: str) -> str | None:
        """The value of a parameter ("" when it has none); None when it is not there."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class CSeq:
    """A CSeq value (RFC 3261 §20.16)."""

    @property
    def number(self) -> int:
        """The sequence number."""
    @property
    def method(self) -> str:
        """The method."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

def parse_uri(text: str) -> Uri:
    """Reads a URI: `Uri.parse`. Raises dracht.errors.UriError."""

def reason_phrase(status: int) -> str:
    """The usual reason phrase of a status; that of its class when it is not registered (RFC 3261 §21, IANA)."""

# ---- the engine ---------------------------------------------------------------------------------------------------------

@final
class Engine:
    """A SIP engine in this process: listeners, I/O threads, and (embedded) one application, which is this interpreter.

    The loop that serves it does, whenever `fileno()` is readable::

        for event in engine.take(256): ...     # may queue commands: engine.respond(...)
        engine.flush()                         # one wake of the engine for all of them

    `take` leaves the descriptor readable when it did not give everything, so a bounded pass needs no further care.

    Command methods only queue plain data and return the command's number; nothing happens before `flush()`. Each of them is
    answered by exactly one `EVENT_SENT` or `EVENT_FAILED` with that number (`proxy`: by any number of
    `EVENT_PROXY_RESPONSE` and one `EVENT_PROXY_DONE` or `EVENT_FAILED`; `respond` with its request says itself what is sent).
    """

    @staticmethod
    def start(
        listen: Sequence[str],
        *,
        shards: int = 1,
        embedded: bool = True,
        control: str | None = None,
        secret: str | None = None,
        advertise: str | None = None,
        t1: float = 0.5,
        t2: float = 4.0,
        t4: float = 5.0,
        timer_c: float = 185.0,
        application_timeout: float = 64.0,
        trying_after: float = 0.2,
        ringing_timeout: float = 3600.0,
        max_transactions: int = 1_000_000,
        max_dialogs: int = 500_000,
        max_event_age: float = 1.0,
        max_events: int = 65_536,
        max_message_bytes: int = 65_535,
        dialog_idle: float = 43_200.0,
        udp_request_limit: int | None = ...,
        drachtio_compatible: bool = False,
        session_timers: bool = True,
        session_expires: int | None = None,
        min_se: int = 90,
        session_refresher: Literal["uac", "uas"] | None = None,
    ) -> Engine:
        """Opens the listeners and starts the I/O threads. Call it after any fork.

        Args:
            listen: `sip:HOST:PORT[;transport=udp,tcp]` each; HOST may be `*` (IPv4) or an IPv6 reference, PORT 0 takes a free
                one. A text without `transport` listens on UDP and TCP.
            shards: how many engines, each with a thread of its own (1 to 255).
            embedded: whether this interpreter is an application of the engine. Without it `take` gives nothing and commands
                raise RuntimeError.
            control: `HOST:PORT` on which to accept applications by the control protocol; PORT 0 takes a free one.
            secret: what they must authenticate with; required with `control`.
            advertise: `HOST[:PORT]` to put into Via, Contact and Record-Route instead of the bound address.
            t1, t2, t4: RFC 3261 §17.1.1.2, table 4; seconds.
            timer_c: limit of a proxied INVITE without a final response; seconds (RFC 3261 §16.6 item 11).
            application_timeout: how long a request waits for its first answer before the engine answers it; seconds.
            trying_after: how long an INVITE waits for a response before the engine sends 100 (RFC 3261 §17.2.1); seconds.
            ringing_timeout: limit of an INVITE that had a provisional response, when the application sets none; seconds.
            max_transactions, max_dialogs: how many the engine holds, per shard.
            max_event_age: the age of the oldest event not taken past which new requests get 503; seconds.
            max_events: how many events may wait before events of new requests are dropped (the peer retransmits).
            max_message_bytes: the largest message accepted.
            dialog_idle: how long a confirmed dialog may live without a message; seconds.
            udp_request_limit: a request longer than this goes over TCP (RFC 3261 §18.1.1); None: never. Not given: 1300.
            drachtio_compatible: behave as drachtio-server where it differs.
            session_timers: whether the engine takes part in session timers (RFC 4028): negotiates, refreshes, ends what is not.
            session_expires: the interval to ask for where nobody else does; seconds, at least `min_se`. None: do not ask.
            min_se: the shortest interval accepted, and the least asked for; seconds, at least 90.
            session_refresher: who refreshes where neither the peer nor the application says: "uac", the sender of the INVITE, or
                "uas", its receiver. None: the sender, if it can.

        Raises:
            ValueError: an argument cannot be used; the text says which and why.
            OSError: a listener cannot be opened.
        """
    def fileno(self) -> int:
        """The descriptor that is readable while events wait. Watch it; do not read or close it."""
    def take(self, limit: int = 256, arm: bool = True) -> list[_Event]:
        """The oldest events, at most `limit`, in order of arrival within a shard (and so within a call).

        Args:
            limit: bounds a pass, so that timers and other descriptors run between two.
            arm: whether the next event makes the descriptor readable. A loop under load may pass False and come back by itself
                in a millisecond (half the CPU time at 10,000 events per second, for half a millisecond of latency:
                bench/README.md); before it stops doing so it must call once with True.
        """
    def wait(self, timeout: float) -> bool:
        """Blocks, without the interpreter, until events wait or `timeout` seconds passed; says whether they do.

        For loops that cannot watch descriptors (a thread calls this, then `loop.call_soon_threadsafe`), and for tests.
        """
    def route(self, method: str) -> None:
        """Asks for new requests of this method. Raises ValueError when it is not a token."""
    def route_all(self) -> None:
        """Asks for new requests of every method that no application asked for by name."""
    def unroute(self, method: str) -> None:
        """Takes `route` back. Raises ValueError when it is not a token."""
    def respond(
        self,
        transaction: int,
        status: int,
        reason: str = "",
        headers: _Headers | None = None,
        body: bytes | None = None,
        request: Message | None = None,
    ) -> tuple[int] | tuple[int, Message, int | None, Origin] | tuple[int, None, str, str]:
        """Answers a request.

        Given the request, the response is written at once, on this thread: the tuple then holds the command's number, the
        response as it will go out, its dialog and its way; no EVENT_SENT follows, but EVENT_FAILED may. When only the engine
        can write it (a reliable provisional response, a To tag of the application's own), or without `request`, the tuple
        holds the number alone, and EVENT_SENT or EVENT_FAILED follows. A response that cannot be written gives the number,
        None, and the code and detail of the failure; nothing follows.

        Args:
            transaction: the server transaction.
            status: 101 to 699.
            reason: the reason phrase; the standard one when empty.
            headers: header fields to add, in order. Via, Route, Record-Route, RSeq and Content-Length are the engine's.
            body: the body.
            request: the message of the EVENT_REQUEST that is answered.

        Raises:
            ValueError: the status is out of range.
        """
    def send_request(
        self,
        method: str,
        uri: str,
        headers: _Headers | None = None,
        body: bytes | None = None,
        dialog: int | tuple[str, str] | None = None,
        next_hop: str | None = None,
    ) -> int:
        """Sends a request: new, or within a dialog (ACK of a 2xx and PRACK included).

        Args:
            method: the method.
            uri: the request-URI; "" within a dialog means its remote target.
            headers: From, To, Call-ID, CSeq, Contact and Max-Forwards given here are used; others are added.
            body: the body.
            dialog: the dialog's number, or (Call-ID, From tag of the request that created it).
            next_hop: a URI to send to instead of the request-URI, without a Route header field.

        Raises:
            ValueError: the method is not a token.
        """
    def cancel(self, transaction: int, headers: _Headers | None = None) -> int:
        """Cancels an INVITE that was sent (RFC 3261 §9.1); `headers` are added (Reason, RFC 3326)."""
    def proxy(
        self,
        transaction: int,
        targets: Sequence[str] = ...,
        *,
        record_route: bool = False,
        simultaneous: bool = False,
        follow_redirects: bool = False,
        provisional_timeout: float | None = None,
        final_timeout: float | None = None,
        stateless: bool = False,
        report_responses: bool = False,
        headers: _Headers | None = None,
    ) -> int:
        """Proxies a request that was received (RFC 3261 §16).

        Args:
            transaction: its server transaction.
            targets: URIs in order of preference; none (as when not given): the request-URI.
            record_route: stay in the path of the dialog; for REGISTER add Path (RFC 3327).
            simultaneous: try all targets at once.
            follow_redirects: try the Contacts of a 3xx too.
            provisional_timeout, final_timeout: give up a branch without such a response; seconds.
            stateless: forward without transaction state (RFC 3261 §16.11).
            report_responses: give `EVENT_PROXY_RESPONSE` for each response of each branch.
            headers: header fields to add to each forwarded request.
        """
    def drop(self, transaction: int) -> None:
        """Forgets a request without an answer."""
    def flush(self) -> int:
        """Hands the queued commands to the engine; how many there were."""
    def counts(self) -> list[dict[str, int]]:
        """What each shard holds and has done: the fields of its table sizes, then its totals since the start, by name."""
    def bridge_counts(self) -> dict[str, int]:
        """The queue between engine and interpreter: `waiting`, `oldest_microseconds`, and totals `events`, `wakes`, `takes`,
        `dropped`, `commands`, `flushes`."""
    def hostports(self) -> tuple[list[str], list[str]]:
        """The listeners as `proto/host:port`: as advertised, and as bound."""
    @property
    def control_address(self) -> tuple[str, int] | None:
        """Address and port of the control listener."""
    def stop(self, timeout: float = 5.0) -> bool:
        """Closes the listeners and ends the threads; waits without the interpreter for at most `timeout` seconds.

        Returns whether they ended in time. Events that wait can still be taken. Calling it again does nothing.
        """

def install_logging(level: str = "warning") -> None:
    """Writes what the Rust half logs to stderr, one line per record, from `level` up.

    The level can be changed by calling again.

    Args:
        level: `error`, `warning`, `info`, `debug`, `trace` or `off`; in any case.

    Raises:
        ValueError: no such level.
    """
