"""dracht: telephony for Python applications. A SIP engine in Rust; a client and a middleware framework in Python."""

from dracht.agent import Agent, Cdr
from dracht.dialogid import DialogHandle
from dracht.digest import Digest
from dracht.errors import (
    AuthenticationFailed,
    CallCancelled,
    CommandFailed,
    ConnectionLost,
    ControlProtocolError,
    DrachtError,
    HeaderError,
    ParseError,
    RequestTimeout,
    SipError,
    UriError,
)
from dracht.message import DraftHeaders, Headers
from dracht.proxy import BranchResponse, BranchResponses, ProxyResult
from dracht.request import Request
from dracht.response import Response, SentResponse
from dracht.sending import SentRequest
from dracht.transaction import ClientTransaction, IncomingResponse

__all__ = [
    "Agent",
    "AuthenticationFailed",
    "BranchResponse",
    "BranchResponses",
    "CallCancelled",
    "Cdr",
    "ClientTransaction",
    "CommandFailed",
    "ConnectionLost",
    "ControlProtocolError",
    "DialogHandle",
    "Digest",
    "DraftHeaders",
    "DrachtError",
    "HeaderError",
    "Headers",
    "IncomingResponse",
    "ParseError",
    "ProxyResult",
    "Request",
    "RequestTimeout",
    "Response",
    "SentRequest",
    "SentResponse",
    "SipError",
    "UriError",
]
