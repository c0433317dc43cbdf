"""The names of SIP methods as applications write them.

Any token is a method (RFC 3261 §25.1), so that a misspelt one registers without effect: a layer that asks INVITEs for a password
is not there. What is nearly the name of a known method is refused, and what is like none is said in the log.
"""

import difflib
import logging

__all__ = ["ROUTES", "method_name"]

log = logging.getLogger("dracht")

_TOKEN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~")

# The methods of RFC 3261, 3262, 3311, 3428, 3515, 3903, 6086 and 6665, and those of Microsoft's servers, which are deployed.
_KNOWN = (
    "ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK", "PUBLISH", "REFER", "REGISTER",
    "SUBSCRIBE", "UPDATE", "BENOTIFY", "NEGOTIATE", "SERVICE",
)  # fmt: skip

ROUTES = frozenset(("*", "CDR:ATTEMPT", "CDR:START", "CDR:STOP"))
"""What may be asked for besides methods: everything, and a server's call detail records."""

# Of letters in common: "nvite", "invte", "registr" and "option" are nearly known, "FOO", "INVENT" and "PING" are not.
_NEAR = 0.8


# How a layer of an application takes all methods, and one that is nearly a known one.
_ALL = "a layer for all of them is added without any, app.use(layer); Agent.route('*') asks a server for all"
_OWN = (
    " If it is one of your own, take it in a layer: app.use(layer, when=lambda req: req.method == {0!r}), and ask for it "
    "with Agent.route('*')"
)


def method_name(name: object, every: str = _ALL, own: str = _OWN) -> str:
    """A method as the wire spells it: upper case.

    Args:
        name: what was written.
        every: what the one who wrote `*` is to do where this is asked for.
        own: what may be done all the same about a name that is nearly a known one, `{0!r}` in it; empty where nothing may.

    Raises:
        TypeError: it is no text.
        ValueError: it is no token, or nearly the name of a known method.
    """
    if not isinstance(name, str):
        raise TypeError(f"a SIP method is given by name, as 'invite', not {name!r}")
    method = name.upper()
    if method in _KNOWN:
        return method
    if not method or not _TOKEN.issuperset(method):
        raise ValueError(
            f"{name!r} cannot be a SIP method: that is one word, as 'invite' (RFC 3261 §25.1, token)"
        )
    if method == "*":
        raise ValueError(f"'*' is no SIP method: {every}")
    near = difflib.get_close_matches(method, _KNOWN, 1, _NEAR)
    if near:
        raise ValueError(
            f"{name!r} is no known SIP method; did you mean {near[0].lower()!r}?{own.format(method)}"
        )
    log.warning(
        "%s is no SIP method that dracht knows: nothing but requests with that very name will match", method
    )
    return method
