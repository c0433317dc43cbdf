"""Errors for people: what was wrong, where, and what to do, in a line or two; and the exit status.

1: it was tried and failed. 2: it was asked for wrongly (a bad option, a missing file).
"""

from __future__ import annotations

import errno
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_IN_USE = "another program uses this address: stop it, or choose another port"


class Failure(Exception):
    """A failure with a text for people; ends the command with `code`."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


def explain(error: BaseException, doing: str) -> str:
    """One line for `error`, which came up while `doing` ("listening on sip:*:5060")."""
    advice = ""
    if isinstance(error, ssl.SSLCertVerificationError):
        advice = "use the name in its certificate; for an authority of your own give --tls-authority FILE"
    elif isinstance(error, ssl.SSLError) and error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        advice = "it does not speak TLS: start the server with --control tls://, or write tcp://"
    elif isinstance(error, OSError):
        advice = {
            errno.EADDRINUSE: _IN_USE,
            errno.EADDRNOTAVAIL: "this machine does not have that address: use one of its own, or `*` for all",
            errno.EACCES: "not permitted: ports below 1024 need privileges",
            errno.ECONNREFUSED: "nothing listens there: start `dracht serve`, or correct the address",
            errno.EMFILE: "too many open files: raise the limit (ulimit -n)",
        }.get(error.errno or 0, "")
    reason = str(error) or type(error).__name__
    if not advice and f"os error {errno.EADDRINUSE}" in reason:  # the Rust half puts it into words
        advice = _IN_USE
    return f"{doing}: {reason}" + (f" ({advice})" if advice else "")


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turns what can go wrong with addresses, links and secrets while `doing` into a `Failure`."""
    from dracht.errors import DrachtError

    try:
        yield
    except Failure:
        raise
    except ValueError as error:
        # A certificate that is not believed is a ValueError as well, and no mistake in the command line.
        raise Failure(explain(error, doing), 1 if isinstance(error, OSError) else 2) from error
    except (OSError, DrachtError, TimeoutError) as error:
        raise Failure(explain(error, doing)) from error


def report(failure: Failure) -> int:
    """Writes the failure to stderr and gives the exit status."""
    print(f"dracht: {failure}", file=sys.stderr)
    return failure.code
