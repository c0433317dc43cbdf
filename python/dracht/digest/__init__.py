"""Digest authentication (RFC 3261 §22, RFC 7616, RFC 8760): a client's credentials, a server's challenges.

    fields        the header fields: challenges and credentials read and written
    computing     algorithms, HA1 and the response
    credentials   `Digest`, `Keyring`: what a client knows, and the sessions it keeps
    answering     what one request of ours has answered so far
    presented     the credentials of a request, read
    nonces        a server's nonces: signed, dated, counted
    challenger    `Challenger`: a server's side

It refuses what it cannot compute: an unknown algorithm or `qop` is never answered with something weaker than was offered.
"""

from dracht.digest.challenger import Challenger, Identity
from dracht.digest.computing import digest_response, ha1, userhash
from dracht.digest.credentials import Credentials, Digest, Keyring
from dracht.digest.fields import challenges

__all__ = [
    "Challenger",
    "Credentials",
    "Digest",
    "Identity",
    "Keyring",
    "challenges",
    "digest_response",
    "ha1",
    "userhash",
]
