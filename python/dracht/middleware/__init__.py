"""Middleware: what runs around handlers. One file each; `stack` is the onion itself."""

from dracht.middleware.content import accepts
from dracht.middleware.digest_auth import DigestAuth
from dracht.middleware.extensions import understands
from dracht.middleware.stack import ErrorHandler, Handler, Layer, Next, Predicate

__all__ = ["DigestAuth", "ErrorHandler", "Handler", "Layer", "Next", "Predicate", "accepts", "understands"]
