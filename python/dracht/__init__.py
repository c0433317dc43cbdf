"""dracht: telephony for Python applications. A SIP engine in Rust; a client and a middleware framework in Python."""

from typing import TYPE_CHECKING

from dracht.admission import Admission, Filter
from dracht.agent import Agent, Cdr, SubscriptionEnd
from dracht.app import App
from dracht.dialogid import DialogHandle
from dracht.digest import Digest, Keyring
from dracht.dns import Dns
from dracht.errors import (
    AuthenticationFailed,
    CallCancelled,
    CommandFailed,
    ConnectionLost,
    ControlProtocolError,
    DrachtError,
    HeaderError,
    ParseError,
    RequestRefused,
    RequestTimeout,
    SipError,
    UriError,
)
from dracht.incoming import IncomingResponse
from dracht.message import DraftHeaders, Headers
from dracht.network import Network
from dracht.proxy import BranchResponse, BranchResponses, ProxyResult, ProxyTarget
from dracht.request import Request
from dracht.response import Response, SentResponse
from dracht.sending import SentRequest
from dracht.streams import Streams
from dracht.tls import Tls
from dracht.transaction import ClientTransaction

if TYPE_CHECKING:
    from dracht._core import (
        Address,
        CSeq,
        Diversion,
        EventPackage,
        GeolocationError,
        HistoryInfo,
        Join,
        Message,
        Privacy,
        RAck,
        Reason,
        RemotePartyId,
        Replaces,
        RetryAfter,
        Sdp,
        SdpMedia,
        SessionExpires,
        SubscriptionState,
        TargetDialog,
        Uri,
        UserToUser,
        Via,
        __version__,
    )
    from dracht.compositor import Publications
    from dracht.referral import accept_refer

__all__ = [
    "Address",
    "Admission",
    "Agent",
    "App",
    "AuthenticationFailed",
    "BranchResponse",
    "BranchResponses",
    "CSeq",
    "CallCancelled",
    "Cdr",
    "ClientTransaction",
    "CommandFailed",
    "ConnectionLost",
    "ControlProtocolError",
    "DialogHandle",
    "Digest",
    "Diversion",
    "Dns",
    "DrachtError",
    "DraftHeaders",
    "EventPackage",
    "Filter",
    "GeolocationError",
    "HeaderError",
    "Headers",
    "HistoryInfo",
    "IncomingResponse",
    "Join",
    "Keyring",
    "Message",
    "Network",
    "ParseError",
    "Privacy",
    "ProxyResult",
    "ProxyTarget",
    "Publications",
    "RAck",
    "Reason",
    "RemotePartyId",
    "Replaces",
    "Request",
    "RequestRefused",
    "RequestTimeout",
    "Response",
    "RetryAfter",
    "Sdp",
    "SdpMedia",
    "SentRequest",
    "SentResponse",
    "SessionExpires",
    "SipError",
    "Streams",
    "SubscriptionEnd",
    "SubscriptionState",
    "TargetDialog",
    "Tls",
    "Uri",
    "UriError",
    "UserToUser",
    "Via",
    "__version__",
    "accept_refer",
]

_ELSEWHERE = {"Publications": "dracht.compositor", "accept_refer": "dracht.referral"}


def __getattr__(name: str) -> object:
    """The public names of the Rust half, and of what few applications need, loaded when they are first asked for."""
    if name in _ELSEWHERE:
        from importlib import import_module

        return getattr(import_module(_ELSEWHERE[name]), name)
    if name in __all__:
        from dracht import _core

        return getattr(_core, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
