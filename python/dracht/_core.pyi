"""The Rust half of dracht: SIP messages, and an engine in this process.

Everything here is frozen and may be used from any thread. Nothing here calls back into Python: an engine's I/O threads never
take the interpreter; they queue events, and write once to a file descriptor that the loop watches (see `Engine`).

Text is UTF-8; bytes that are not are kept as surrogate escapes (PEP 383), so that `text.encode("utf-8", "surrogateescape")`
gives back what was on the wire. Times are in seconds. Identifiers of transactions, dialogs and commands are numbers that mean
nothing by themselves.
"""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, final

from dracht.admission import Admission
from dracht.dns import Dns
from dracht.network import Network
from dracht.streams import Streams
from dracht.tls import Tls

__all__ = [
    "EVENT_DIALOG_ENDED",
    "EVENT_EXPORTED",
    "EVENT_FAILED",
    "EVENT_IMPORTED",
    "EVENT_PROXY_DONE",
    "EVENT_PROXY_RESPONSE",
    "EVENT_REQUEST",
    "EVENT_RESPONSE",
    "EVENT_SENT",
    "EVENT_SUBSCRIPTION_ENDED",
    "Address",
    "CSeq",
    "Diversion",
    "Engine",
    "EventPackage",
    "GeolocationError",
    "HistoryInfo",
    "Join",
    "Message",
    "Origin",
    "Plan",
    "Privacy",
    "RAck",
    "Reason",
    "RemotePartyId",
    "Replaces",
    "RetryAfter",
    "Sdp",
    "SdpMedia",
    "SessionExpires",
    "SubscriptionState",
    "TargetDialog",
    "Uri",
    "UserToUser",
    "Via",
    "__version__",
    "check_tls",
    "give_back_memory",
    "glare_back_off",
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
EVENT_EXPORTED: Final = 8
EVENT_IMPORTED: Final = 9

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

# The dialog that `export_dialog` asked for, as JSON. (kind, command, value)
_ExportedEvent: TypeAlias = tuple[Literal[8], int, str]
# A dialog was taken over. (kind, command, dialog)
_ImportedEvent: TypeAlias = tuple[Literal[9], int, int]

_Event: TypeAlias = (
    _RequestEvent
    | _ResponseEvent
    | _SentEvent
    | _FailedEvent
    | _ProxyResponseEvent
    | _ProxyDoneEvent
    | _DialogEndedEvent
    | _SubscriptionEndedEvent
    | _ExportedEvent
    | _ImportedEvent
)

_FailedCode: TypeAlias = Literal[
    "unknown-transaction",  # no such transaction, or it was answered already
    "unknown-dialog",
    "already-answered",
    "already-proxied",
    "flow-failed",  # the flow that it was to take is gone (RFC 5626 §5.3: 430)
    "flow-forged",  # this server did not give it out (RFC 5626 §5.3: 403)
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
    "no-contact",  # the request can make no dialog, and got 400 instead of the answer (RFC 3261 §12.1.1)
    "limit",
    "early-dialog",  # only a confirmed dialog can be exported
    "dialog-exists",  # a dialog with that Call-ID and those tags is here already
]
_DialogEndReason: TypeAlias = Literal[
    "ack-timeout", "answered-after-cancel", "cancel-after-answer", "idle", "session-expired", "peer-gone"
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
    @property
    def peer_certificate(self) -> tuple[list[str], str] | None:
        """Names and subject of the certificate that the sender of a request proved to have, over TLS and WSS."""

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
    @property
    def session_expires(self) -> SessionExpires | None:
        """How long the session lives without a refresh (Session-Expires, RFC 4028 §4). Raises dracht.errors.HeaderError."""
    @property
    def min_se(self) -> int | None:
        """The shortest session interval that is accepted, in seconds (Min-SE, RFC 4028 §5). Raises dracht.errors.HeaderError."""
    @property
    def event(self) -> EventPackage | None:
        """The event package (Event, RFC 6665 §8.2.1). Raises dracht.errors.HeaderError."""
    @property
    def subscription_state(self) -> SubscriptionState | None:
        """The state of the subscription (Subscription-State, RFC 6665 §8.2.3). Raises dracht.errors.HeaderError."""
    @property
    def replaces(self) -> Replaces | None:
        """The dialog to replace (Replaces, RFC 3891). Raises dracht.errors.HeaderError: unreadable, or more than one."""
    @property
    def join(self) -> Join | None:
        """The dialog to join (Join, RFC 3911). Raises dracht.errors.HeaderError."""
    @property
    def target_dialog(self) -> TargetDialog | None:
        """The dialog that proves who asks (Target-Dialog, RFC 4538). Raises dracht.errors.HeaderError."""
    @property
    def refer_to(self) -> Address | None:
        """Whom to call (Refer-To, RFC 3515 §2.1). Raises dracht.errors.HeaderError: unreadable, or more than one."""
    @property
    def referred_by(self) -> Address | None:
        """Who asked for the call (Referred-By, RFC 3892). Raises dracht.errors.HeaderError."""
    @property
    def refer_sub(self) -> bool | None:
        """Whether a REFER is to make a subscription (Refer-Sub, RFC 4488); None where nothing is said, and it does."""
    @property
    def rack(self) -> RAck | None:
        """The response that a PRACK acknowledges (RAck, RFC 3262 §7.2). Raises dracht.errors.HeaderError."""
    @property
    def rseq(self) -> int | None:
        """The number of a reliable provisional response (RSeq, RFC 3262 §7.1). Raises dracht.errors.HeaderError."""
    @property
    def reasons(self) -> list[Reason]:
        """Every Reason, in order (RFC 3326). Raises dracht.errors.HeaderError."""
    @property
    def retry_after(self) -> RetryAfter | None:
        """When to try again (Retry-After, RFC 3261 §20.33). Raises dracht.errors.HeaderError."""
    @property
    def expires(self) -> int | None:
        """The Expires, in seconds (RFC 3261 §20.19). Raises dracht.errors.HeaderError."""
    @property
    def min_expires(self) -> int | None:
        """The shortest Expires that is accepted, in seconds (RFC 3261 §20.23). Raises dracht.errors.HeaderError."""
    @property
    def max_breadth(self) -> int | None:
        """How many branches it may yet be forked into (Max-Breadth, RFC 5393 §5). Raises dracht.errors.HeaderError."""
    @property
    def sip_etag(self) -> str | None:
        """The entity tag that a publication got (SIP-ETag, RFC 3903 §11.3.1). Raises dracht.errors.HeaderError."""
    @property
    def sip_if_match(self) -> str | None:
        """The entity tag of the publication meant (SIP-If-Match, RFC 3903 §11.3.2). Raises dracht.errors.HeaderError."""
    @property
    def supported(self) -> list[str]:
        """The option tags of Supported, as sent; `supports` compares without regard to case."""
    @property
    def required(self) -> list[str]:
        """The option tags of Require, as sent."""
    @property
    def unsupported(self) -> list[str]:
        """The option tags of Unsupported, as sent."""
    @property
    def allowed(self) -> list[str]:
        """The methods of Allow; empty without one, which says nothing (RFC 3261 §20.5): see `allows`."""
    @property
    def allowed_events(self) -> list[str]:
        """The event packages of Allow-Events (RFC 6665 §8.2.2)."""
    @property
    def asserted_identities(self) -> list[Address]:
        """The caller as the trusted network asserts it (P-Asserted-Identity, RFC 3325 §9.1). Raises dracht.errors.HeaderError."""
    @property
    def preferred_identities(self) -> list[Address]:
        """The identity that is asked for (P-Preferred-Identity, RFC 3325 §9.2). Raises dracht.errors.HeaderError."""
    @property
    def remote_party_ids(self) -> list[RemotePartyId]:
        """Every Remote-Party-ID, in order. Raises dracht.errors.HeaderError."""
    @property
    def privacy(self) -> Privacy | None:
        """What the caller wants kept from the callee (Privacy, RFC 3323 §4.2). Raises dracht.errors.HeaderError."""
    @property
    def withheld_from_untrusted(self) -> list[str]:
        """The header fields that must not reach a next hop outside the trusted network (RFC 3325 §5, §7, RFC 7044 §10.1)."""
    @property
    def history_info(self) -> list[HistoryInfo]:
        """Whom the request was sent to, the oldest first (History-Info, RFC 7044). Raises dracht.errors.HeaderError."""
    @property
    def diversions(self) -> list[Diversion]:
        """Who forwarded the call, the latest first (Diversion, RFC 5806). Raises dracht.errors.HeaderError."""
    @property
    def user_to_user(self) -> list[UserToUser]:
        """Data of the application (User-to-User, RFC 7433). Raises dracht.errors.HeaderError."""
    @property
    def geolocations(self) -> list[Address]:
        """Where the caller is, by `cid:` or by reference (Geolocation, RFC 6442 §4.1). Raises dracht.errors.HeaderError."""
    @property
    def geolocation_routing(self) -> bool | None:
        """Whether servers may route by the location (Geolocation-Routing, RFC 6442 §4.2); None where nothing is said: no."""
    @property
    def geolocation_error(self) -> GeolocationError | None:
        """Why the location was of no use (Geolocation-Error, RFC 6442 §4.3). Raises dracht.errors.HeaderError."""
    @property
    def sdp(self) -> Sdp | None:
        """The session description: the body, or a part of a multipart one. Raises dracht.errors.ParseError."""
    def supports(self, tag: str) -> bool:
        """Whether Supported or Require has that option tag, in any case (who requires an extension understands it)."""
    def requires(self, tag: str) -> bool:
        """Whether Require has that option tag, in any case (RFC 3261 §20.32)."""
    def allows(self, method: str) -> bool | None:
        """Whether Allow has that method; None without Allow, which says nothing (RFC 3261 §20.5)."""
    def body_part(self, media_type: str) -> bytes | None:
        """The body, or the first part of a multipart one, of a media type such as `application/sdp` (RFC 5621); None without."""
    def body_part_by_id(self, content_id: str) -> bytes | None:
        """The part of a multipart body with that Content-ID, without brackets: what a `cid:` URI names (RFC 2392)."""
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

# ---- typed header fields and session descriptions -----------------------------------------------------------------------

@final
class SessionExpires:
    """How long a session lives without a refresh, and who refreshes it (Session-Expires, RFC 4028 §4).

    `str` is the value as sent. Raises ValueError: a refresher that is none.
    """

    def __new__(cls, seconds: int, refresher: Literal["uac", "uas"] | None = None) -> SessionExpires: ...
    @property
    def seconds(self) -> int:
        """The interval in seconds."""
    @property
    def refresher(self) -> Literal["uac", "uas"] | None:
        """Who refreshes: the side that sent the request or the one that answers it; None leaves it open."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class EventPackage:
    """The event package of a subscription, and which of several it is (Event, RFC 6665 §8.2.1).

    Raises HeaderError when a part cannot be written. `str` is the value as sent.
    """

    def __new__(cls, package: str, id: str | None = None) -> EventPackage: ...
    def same_as(self, other: EventPackage) -> bool:
        """Whether both mean the same subscription: package and id are equal (RFC 6665 §8.2.1)."""
    @property
    def package(self) -> str:
        """The package with its templates: `dialog`, `presence.winfo`."""
    @property
    def id(self) -> str | None:
        """The id parameter."""
    @property
    def params(self) -> dict[str, str | None]:
        """Every parameter, names in lower case."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class SubscriptionState:
    """Whether a subscription lives, for how long, and why it ended (Subscription-State, RFC 6665 §4.1.3).

    Raises HeaderError when a part cannot be written. `str` is the value as sent.
    """

    def __new__(
        cls,
        state: str,
        *,
        reason: str | None = None,
        expires: int | None = None,
        retry_after: int | None = None,
    ) -> SubscriptionState: ...
    @property
    def state(self) -> str:
        """The state in lower case: `active`, `pending`, `terminated`."""
    @property
    def reason(self) -> str | None:
        """Why it ended, in lower case: `deactivated`, `probation`, `rejected`, `timeout`, `giveup`, `noresource`, `invariant`."""
    @property
    def expires(self) -> int | None:
        """How long it lives yet, in seconds."""
    @property
    def retry_after(self) -> int | None:
        """How long to wait before subscribing again, in seconds."""
    @property
    def is_terminated(self) -> bool:
        """Whether it ended."""
    @property
    def resubscribe(self) -> Literal["now", "after", "later", "never"]:
        """Whether to subscribe again after it ended; `after` is after `retry_after` seconds (RFC 6665 §4.1.3)."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Replaces:
    """The dialog that a new one is to replace, as its receiver knows it (RFC 3891 §6.1).

    Raises HeaderError when a part cannot be written. `str` is the value as sent.
    """

    def __new__(cls, call_id: str, to_tag: str, from_tag: str, *, early_only: bool = False) -> Replaces: ...
    @staticmethod
    def from_uri(uri: Uri) -> Replaces | None:
        """The Replaces in the header part of a URI, of a Refer-To for one; None without. Raises dracht.errors.HeaderError."""
    @property
    def call_id(self) -> str:
        """The Call-ID."""
    @property
    def to_tag(self) -> str:
        """The tag of the side that receives the request."""
    @property
    def from_tag(self) -> str:
        """The tag of its peer."""
    @property
    def early_only(self) -> bool:
        """Whether only an early dialog is to be replaced."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Join:
    """The dialog that a new one is to join (RFC 3911 §7.1).

    Raises HeaderError when a part cannot be written. `str` is the value as sent.
    """

    def __new__(cls, call_id: str, to_tag: str, from_tag: str) -> Join: ...
    @property
    def call_id(self) -> str:
        """The Call-ID."""
    @property
    def to_tag(self) -> str:
        """The tag of the side that receives the request."""
    @property
    def from_tag(self) -> str:
        """The tag of its peer."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class TargetDialog:
    """The dialog that proves who sends a request (RFC 4538 §7).

    Raises HeaderError when a part cannot be written. `str` is the value as sent.
    """

    def __new__(cls, call_id: str, local_tag: str, remote_tag: str) -> TargetDialog: ...
    @property
    def call_id(self) -> str:
        """The Call-ID."""
    @property
    def local_tag(self) -> str:
        """The tag of the side that sent the request."""
    @property
    def remote_tag(self) -> str:
        """The tag of the side that receives it."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class RAck:
    """Which reliable provisional response a PRACK acknowledges (RFC 3262 §7.2).

    `str` is the value as sent. Raises ValueError: the method is no token.
    """

    def __new__(cls, response: int, sequence: int, method: str) -> RAck: ...
    @property
    def response(self) -> int:
        """The RSeq of the response."""
    @property
    def sequence(self) -> int:
        """The number of its CSeq."""
    @property
    def method(self) -> str:
        """The method of its CSeq."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Reason:
    """Why a request was sent or a call ended (Reason, RFC 3326).

    Raises HeaderError when a part cannot be written. `str` is the value as sent.
    """

    def __new__(cls, protocol: str, cause: int | None = None, text: str | None = None) -> Reason: ...
    @property
    def protocol(self) -> str:
        """The protocol that the cause is a number of, as sent: `SIP`, `Q.850`."""
    @property
    def cause(self) -> int | None:
        """The cause."""
    @property
    def text(self) -> str | None:
        """The text for people."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class RetryAfter:
    """When to try again (Retry-After, RFC 3261 §20.33).

    `str` is the value as sent.
    """

    def __new__(
        cls, seconds: int, comment: str | None = None, *, duration: int | None = None
    ) -> RetryAfter: ...
    @property
    def seconds(self) -> int:
        """How long to wait, in seconds."""
    @property
    def comment(self) -> str | None:
        """The comment for people."""
    @property
    def duration(self) -> int | None:
        """How long the sender can be reached from then on, in seconds."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Privacy:
    """What a caller wants kept from the callee (Privacy, RFC 3323 §4.2): a set of words such as `id`, `critical`.

    Raises HeaderError when a part cannot be written. `str` is the value as sent.
    """

    def __new__(cls, *values: str) -> Privacy: ...
    def __contains__(self, value: str, /) -> bool:
        """Whether a value is among them, in any case."""
    @property
    def values(self) -> list[str]:
        """The values in lower case, in order."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class RemotePartyId:
    """A party of the call (Remote-Party-ID, draft-ietf-sip-privacy-04).

    `str` is the value as sent.
    """

    def __new__(
        cls,
        address: Address,
        *,
        party: str | None = None,
        screen: str | None = None,
        privacy: str | None = None,
    ) -> RemotePartyId: ...
    @property
    def address(self) -> Address:
        """The address."""
    @property
    def party(self) -> str | None:
        """Which party: `calling`, `called`."""
    @property
    def screen(self) -> str | None:
        """Whether a server has checked it: `yes`, `no`."""
    @property
    def privacy(self) -> str | None:
        """What may be shown: `full` (nothing), `name`, `uri`, `off` (everything)."""
    @property
    def is_private(self) -> bool:
        """Whether the party wants its address kept from the callee."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class HistoryInfo:
    """One entry of a request's history (History-Info, RFC 7044 §5).

    `str` is the value as sent. Raises HeaderError: an index is not numbers with dots; ValueError: several of rc, mp, np.
    """

    def __new__(
        cls,
        address: Address,
        index: str,
        *,
        rc: str | None = None,
        mp: str | None = None,
        np: str | None = None,
    ) -> HistoryInfo: ...
    @property
    def address(self) -> Address:
        """The address that was targeted."""
    @property
    def index(self) -> str | None:
        """The place in the tree of entries: `1.2.1`; None where the sender left it out."""
    @property
    def target(self) -> tuple[Literal["rc", "mp", "np"], str] | None:
        """How the target was found, and from the entry with which index."""
    @property
    def cause(self) -> int | None:
        """The cause parameter of the URI: why the call was sent there (RFC 4458)."""
    @property
    def reasons(self) -> list[Reason]:
        """Why the request did not stay there: the Reason in the URI's header part. Raises dracht.errors.HeaderError."""
    @property
    def privacy(self) -> Privacy | None:
        """The Privacy in the URI's header part. Raises dracht.errors.HeaderError."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Diversion:
    """One diversion of a call (Diversion, RFC 5806).

    `str` is the value as sent.
    """

    def __new__(
        cls,
        address: Address,
        reason: str | None = None,
        *,
        counter: int | None = None,
        limit: int | None = None,
        privacy: str | None = None,
        screen: str | None = None,
    ) -> Diversion: ...
    @property
    def address(self) -> Address:
        """The address that was diverted from."""
    @property
    def reason(self) -> str | None:
        """Why: `unconditional`, `user-busy`, `no-answer`, `deflection`, or any other text."""
    @property
    def counter(self) -> int | None:
        """How many diversions this one stands for."""
    @property
    def limit(self) -> int | None:
        """How many there may be."""
    @property
    def privacy(self) -> str | None:
        """What of the address may be shown: `full` (nothing), `name`, `uri`, `off` (everything)."""
    @property
    def screen(self) -> str | None:
        """Whether a server has checked the address: `yes`, `no`."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class UserToUser:
    """Data of the application that travels with a call (User-to-User, RFC 7433).

    Bytes are sent as hexadecimal digits, text in quotes. `str` is the value as sent.
    """

    def __new__(
        cls,
        data: bytes | str,
        *,
        purpose: str | None = None,
        content: str | None = None,
        encoding: str | None = None,
    ) -> UserToUser: ...
    def decode(self) -> bytes:
        """The data as bytes: of hexadecimal digits what they stand for, else those of the text.

        Digits are meant with `encoding=hex`, and without an encoding where a word holds nothing but pairs of them.

        Raises:
            dracht.errors.HeaderError: the encoding is hex, and the data is not pairs of digits.
        """
    @property
    def data(self) -> str:
        """The data as text, without quotes."""
    @property
    def purpose(self) -> str | None:
        """What uses it."""
    @property
    def content(self) -> str | None:
        """What it holds."""
    @property
    def encoding(self) -> str | None:
        """How it is written: `hex`."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class GeolocationError:
    """Why a location was of no use (Geolocation-Error, RFC 6442 §4.3).

    Raises HeaderError when a part cannot be written. `str` is the value as sent.
    """

    def __new__(cls, code: int, text: str | None = None) -> GeolocationError: ...
    @property
    def code(self) -> int:
        """The code, 100 to 999."""
    @property
    def text(self) -> str | None:
        """The text for people."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Sdp:
    """A session description (RFC 8866), immutable. Methods that change something give another one, all other bytes as they were.

    Media sections are counted from 0. `str` and `bytes` are the description itself. Methods with `media=` raise IndexError
    where there is no such section.
    """

    @staticmethod
    def parse(text: str | bytes) -> Sdp:
        """Reads a description as devices write them.

        Raises:
            dracht.errors.ParseError: it does not begin with `v=`, a media line cannot be read, or there are more than 100.
        """
    @property
    def session_id(self) -> str:
        """The session's identifier, of any length; "" without `o=`."""
    @property
    def version(self) -> str:
        """The version, of any length; "" without `o=`."""
    @property
    def name(self) -> str | None:
        """The session's name."""
    @property
    def address(self) -> str | None:
        """The address of media sections that name none."""
    @property
    def attributes(self) -> list[tuple[str, str | None]]:
        """Every attribute in order: name and value, None for a flag."""
    @property
    def media(self) -> list[SdpMedia]:
        """The media sections, in order."""
    @property
    def is_hold(self) -> bool:
        """Whether its sender holds the other side: it wants to receive none of its streams (RFC 3264 §8.4)."""
    def attribute(self, name: str) -> str | None:
        """The value of the session's first attribute of that name ("" for a flag); None when it is not there."""
    def hold_state(self, before: Sdp | None = None) -> Literal["active", "hold", "held", "resume"]:
        """What became of hold since `before`, the last description of the same side.

        `active`: no hold, before or now; `hold`: put on hold now; `held`: as before; `resume`: taken off hold now.
        """
    def hold(self) -> Sdp:
        """The next version, in which the other side is on hold: no live stream is received (RFC 3264 §8.4)."""
    def resume(self) -> Sdp:
        """The next version, in which every live stream that was held flows both ways again."""
    def next_version(self) -> Sdp:
        """The same with a version one higher, as RFC 3264 §8 wants it of every change that is offered."""
    def with_address(self, address: str, media: int | None = None) -> Sdp:
        """The same with another IP address: of every `c=`, or of one media section. ValueError: it is none."""
    def with_port(self, port: int, media: int) -> Sdp:
        """The same with another port of a media section; 0 refuses the stream (RFC 3264 §6)."""
    def with_direction(
        self, direction: Literal["sendrecv", "sendonly", "recvonly", "inactive"], media: int | None = None
    ) -> Sdp:
        """The same with another direction, of every media section or of one."""
    def without_media(self, media: int) -> Sdp:
        """The same without a media section: for a first offer only (RFC 3264 §8)."""
    def without_format(self, format: str, media: int) -> Sdp:
        """The same without a format and the attributes about it. ValueError: it is not there, or it is the only one."""
    def with_attribute(self, name: str, value: str | None = None, media: int | None = None) -> Sdp:
        """The same with an attribute, of the session or of one media section: changed where it is there, else added."""
    def without_attribute(self, name: str, media: int | None = None) -> Sdp:
        """The same without the attributes of that name, of the session or of one media section."""
    def __bytes__(self) -> bytes: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class SdpMedia:
    """One media section of a session description (RFC 8866 §5.14)."""

    @property
    def index(self) -> int:
        """Which section it is, from 0."""
    @property
    def kind(self) -> str:
        """What it carries: `audio`, `video`, `image`."""
    @property
    def port(self) -> int:
        """The port."""
    @property
    def ports(self) -> int:
        """How many ports there are, from that one on."""
    @property
    def protocol(self) -> str:
        """The protocol: `RTP/AVP`, `UDP/TLS/RTP/SAVPF`."""
    @property
    def formats(self) -> list[str]:
        """The formats in order of preference."""
    @property
    def is_rejected(self) -> bool:
        """Whether the stream is refused: port 0, and no bundle carries it."""
    @property
    def address(self) -> str | None:
        """Where media are to be sent: of the section, else of the session."""
    @property
    def direction(self) -> Literal["sendrecv", "sendonly", "recvonly", "inactive"]:
        """Which way media flow, seen from the sender; the address `0.0.0.0` counts as hold, but with ICE."""
    @property
    def attributes(self) -> list[tuple[str, str | None]]:
        """Every attribute in order: name and value, None for a flag."""
    @property
    def has_ice(self) -> bool:
        """Whether ICE is used (RFC 8839)."""
    @property
    def has_crypto(self) -> bool:
        """Whether keys are in the description (RFC 4568)."""
    @property
    def has_fingerprint(self) -> bool:
        """Whether there is a certificate's fingerprint (RFC 8122)."""
    def attribute(self, name: str) -> str | None:
        """The value of the first attribute of that name ("" for a flag); None when it is not there."""
    def rtpmap(self, format: str) -> tuple[str, int, int] | None:
        """What a format stands for: encoding, clock rate in Hz, channels; also of assigned payload types (RFC 3551 §6)."""
    def fmtp(self, format: str) -> str | None:
        """The parameters of a format, as sent."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

def parse_uri(text: str) -> Uri:
    """Reads a URI: `Uri.parse`. Raises dracht.errors.UriError."""

def reason_phrase(status: int) -> str:
    """The usual reason phrase of a status; that of its class when it is not registered (RFC 3261 §21, IANA)."""

def give_back_memory() -> None:
    """Gives back to the system what memory is free: the C library keeps what lies between things in use. Some milliseconds."""

def glare_back_off(is_call_id_owner: bool, random: int) -> float:
    """How long to wait before an INVITE or UPDATE that got 491 is sent again (RFC 3261 §14.1); seconds.

    Args:
        is_call_id_owner: whether we sent the INVITE that created the dialog: 2.1 to 4 s then, else 0 to 2 s.
        random: any number from 0 to 2^64-1; the result follows from it.
    """

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
        network: Network | None = None,
        dns: Dns | None = None,
        tls: Tls | None = None,
        streams: Streams | None = None,
        admission: Admission | None = None,
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
            network: the networks around, and how relaying is kept to the calls that passed here; None: the defaults.
            dns: how the servers of a domain are found, and what becomes of one that does not answer; None: the defaults.
            tls: certificates and trust; listeners of TLS and WSS need it.
            streams: bounds of connections over TCP, TLS and WebSocket.
            admission: what is taken from whom; None: the defaults of `dracht.Admission`.

        Raises:
            ValueError: an argument cannot be used; the text says which and why.
            OSError: a listener cannot be opened.
        """
    def reload_certificates(self) -> bool:
        """Reads the files of `tls=` again; whether there are any. Open connections keep their certificates.

        Raises:
            ValueError: a file cannot be used; the text says which and why. The certificates in use stay.
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
    def flow(self, origin: Origin) -> str | None:
        """The token of the flow that a message came over (RFC 5626): what leads back to its sender."""
    def behind_nat(self, request: Message, origin: Origin) -> bool:
        """Whether the sender of a request is not to be reached by its Contact, by the rules of `Network.nat`."""
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
        session_timer: bool = True,
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
            session_timer: False says nothing of session timers in a 2xx, and runs none (RFC 4028).

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
        session_timer: bool = True,
    ) -> int:
        """Sends a request: new, or within a dialog (ACK of a 2xx and PRACK included).

        Args:
            method: the method.
            uri: the request-URI; "" within a dialog means its remote target.
            headers: From, To, Call-ID, CSeq, Contact and Max-Forwards given here are used; others are added.
            body: the body.
            dialog: the dialog's number, or (Call-ID, From tag of the request that created it).
            next_hop: a URI to send to instead of the request-URI, without a Route header field.
            session_timer: False says nothing of session timers in an INVITE or UPDATE (RFC 4028).

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
        path: Literal["always", "if_supported", "required"] = "always",
        forking: Literal["serial", "simultaneous", "by_q"] = "serial",
        follow_redirects: bool = False,
        provisional_timeout: float | None = None,
        final_timeout: float | None = None,
        stateless: bool = False,
        untrusted: bool = False,
        consumed: Sequence[int] = ...,
        report_responses: bool = False,
        headers: _Headers | None = None,
    ) -> int:
        """Proxies a request that was received (RFC 3261 §16).

        Args:
            transaction: its server transaction.
            targets: URIs in order of preference, or with their q as Contact has it, `<sip:bob@192.0.2.4>;q=0.5`; none (as when
                not given): the request-URI.
            record_route: stay in the path of the dialog; for REGISTER add Path (RFC 3327).
            path: for a REGISTER whose sender does not list `path` in Supported: add it, leave it out, or refuse with 421.
            forking: one target after the other, all at once, or those of equal q at once, the highest q first.
            follow_redirects: try the Contacts of a 3xx too.
            provisional_timeout, final_timeout: give up a branch without such a response; seconds.
            stateless: forward without transaction state (RFC 3261 §16.11).
            untrusted: leave out what `Message.withheld_from_untrusted` names.
            consumed: the numbers of the Proxy-Authorization header fields to leave out, from 0 on (RFC 3261 §22.3).
            report_responses: give `EVENT_PROXY_RESPONSE` for each response of each branch.
            headers: header fields to add to each forwarded request.
        """
    def cancel_proxy(self, transaction: int, status: int = 487, reason: str | None = None) -> None:
        """Gives up a request that is being proxied; its `EVENT_PROXY_DONE` follows. `status` (300 to 699) is what the caller
        gets, `reason` the Reason value of each CANCEL (RFC 3326)."""
    def drop(self, transaction: int) -> None:
        """Forgets a request without an answer."""
    def export_dialog(self, dialog: int | tuple[str, str], release: bool = False) -> int:
        """Asks for a confirmed dialog as a value that another engine takes over; the command's number.

        Args:
            dialog: its number, or Call-ID and From tag of the request that created it.
            release: forget it here, without a word to the peer.
        """
    def import_dialog(self, value: str, age: float = 0.0) -> int:
        """Takes over a dialog that another engine exported; the command's number.

        Args:
            value: what `EVENT_EXPORTED` gave.
            age: how long ago, in seconds.

        Raises:
            ValueError: the value cannot be used, and why.
        """
    def flush(self) -> int:
        """Hands the queued commands to the engine; how many there were."""
    def ban(self, network: str, seconds: float) -> None:
        """Takes nothing from a network for so long: `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`. Trusted ones are banned as
        well.

        Raises:
            ValueError: it is no network, or no time.
        """

    def unban(self, network: str) -> None:
        """Lifts a ban of exactly this network; ValueError for what is none."""

    def bans(self) -> list[tuple[str, float, str]]:
        """The bans in force: the network, the seconds left, and why: the name of a filter, or `asked for`. Waits for at most
        a second."""

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
    def drain(self) -> None:
        """From now on new requests get 503 with Retry-After, so that peers go elsewhere; the calls that there are go on.

        It cannot be taken back: the way to an end without lost calls is to drain, to wait until `counts` says that nothing is
        left, and to stop.
        """
    def stop(self, timeout: float = 5.0) -> bool:
        """Closes the listeners and ends the threads; waits without the interpreter for at most `timeout` seconds.

        Returns whether they ended in time. Events that wait can still be taken. Calling it again does nothing.
        """

@final
class Plan:
    """What an engine would listen on, and what its peers would be told, without opening anything.

    Addresses are not worked out apart from the engine: one that has these listeners is given a call, and what it writes is read.
    """

    def __new__(
        cls,
        listen: Sequence[str],
        *,
        advertise: str | None = None,
        network: Network | None = None,
        dns: Dns | None = None,
    ) -> Plan:
        """Reads the listeners, the networks around and whom to ask for names as `Engine.start` does.

        Raises:
            ValueError: an argument cannot be used; the text says which and why.
        """
    @property
    def listeners(self) -> list[tuple[_Transport, str, int, tuple[str, int] | None]]:
        """Transport, bound address and port of each, in order, and the host and port that it advertises."""
    def locate(
        self, host: str, *, port: int | None = None, transport: _Transport | None = None, secure: bool = False
    ) -> list[tuple[_Transport, str, int]]:
        """Where requests for a host would go (RFC 3263): transport, address and port of each target, in the order of trying.

        Asks the name servers of `dns`, else those of the system, and blocks for its `limit` at most, 8 seconds.

        Args:
            host: the host name of a URI.
            port: the port, when the URI names one: then only addresses are looked up.
            transport: the transport, when the URI names one.
            secure: the URI is a `sips` one.

        Raises:
            LookupError: the name does not exist, or leads to nothing that can be reached from these listeners.
            OSError: no name server gave an answer.
        """
    def seen_by(self, listener: int, peer: str, local: str) -> tuple[str, str, str]:
        """Via, Contact and Record-Route as a peer sees them: Contact in the answer to its call, the others in a call that is
        forwarded to it.

        Args:
            listener: which one it reaches; an index of `listeners`.
            peer: its IP address.
            local: the address of ours that it reaches.

        Raises:
            ValueError: there is no such listener, or a text is not an address.
        """

def check_tls(tls: Tls) -> None:
    """Reads the certificates, keys and authorities of a `Tls` as `Engine.start` does, and keeps nothing of them.

    Raises:
        ValueError: a file cannot be read or used, or a key is not its certificate's; the text names the file and says why.
    """

def install_logging(level: str = "warning") -> None:
    """Writes what the Rust half logs to stderr, one line per record, from `level` up.

    The level can be changed by calling again.

    Args:
        level: `error`, `warning`, `info`, `debug`, `trace` or `off`; in any case.

    Raises:
        ValueError: no such level.
    """
