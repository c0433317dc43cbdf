"""The seconds that a Contact asks for are read whatever a stranger writes there."""

from __future__ import annotations

import pytest
from dracht._core import Message
from dracht.message import RequestView


class Registering(RequestView):
    """A REGISTER as read."""

    msg: Message

    def __init__(self, contact: str, expires: str | None) -> None:
        header = "" if expires is None else f"Expires: {expires}\r\n"
        self.msg = Message.parse(
            (
                "REGISTER sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:a@h>\r\n"
                f"Call-ID: 1\r\nCSeq: 1 REGISTER\r\nContact: {contact}\r\n{header}Content-Length: 0\r\n\r\n"
            ).encode()
        )


@pytest.mark.parametrize(
    ("parameter", "expires", "seconds"),
    [
        (";expires=600", "900", 600),
        ("", "900", 900),
        ("", None, None),
        (";expires=0", "900", 0),
        (";expires=" + "9" * 5000, None, None),
        (";expires=4294967295", None, 4294967295),
        (";expires=-5", None, None),
        (";expires=abc", "900", None),
        ("", "9" * 5000, None),
    ],
)
def test_what_a_contact_asks_for(parameter: str, expires: str | None, seconds: int | None) -> None:
    request = Registering(f"<sip:a@192.0.2.1>{parameter}", expires)
    (contact,) = request.contacts
    assert request.contact_expires(contact) == seconds
