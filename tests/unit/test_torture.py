"""The torture messages of RFC 4475 and RFC 5118 in Python: read or refused as the RFCs say, and answered by an application."""

from __future__ import annotations

from pathlib import Path

import pytest
from dracht import App, Request, Response
from dracht._core import Message
from dracht.errors import HeaderError, ParseError
from dracht.link.memory import MemoryLink
from dracht.middleware import accepts, understands

from tests.snippets import page

CORPUS = Path(__file__).parents[2] / "corpus"
REFUSED = {"clerr", "ncl", "ltgtruri", "lwsruri", "lwsstart", "trws", "badvers", "bigcode", "mcl01", "test"}
"""What is no message (RFC 4475)."""
SHORT = {"ipv6-in-sdp", "mult-ip-in-sdp"}
"""What is archived with a Content-Length that is more than there is (RFC 5118)."""
UNREADABLE = {
    "badinv01",
    "baddn",
    "insuf",
    "mismatch01",
    "mismatch02",
    "multi01",
    "quotbal",
    "scalar02",
    "scalarlg",
}
"""What is a message with a header field that cannot be used (RFC 4475)."""
SDP = b"v=0\r\no=us 1 1 IN IP4 192.0.2.9\r\n"


def torture() -> dict[str, bytes]:
    paths = sorted([*(CORPUS / "rfc4475").glob("*.sip"), *(CORPUS / "rfc5118").glob("*.sip")])
    assert len(paths) == 62
    return {path.stem: path.read_bytes() for path in paths}


def message(name: str) -> Message:
    return Message.parse(torture()[name])


@pytest.mark.parametrize("name", sorted(torture()))
def test_each_is_read_or_refused(name: str) -> None:
    data = torture()[name]
    if name in REFUSED | SHORT:
        with pytest.raises(ParseError):
            Message.parse(data)
        return
    read = Message.parse(data)
    assert data.startswith(bytes(read)) or bytes(read) == data + b"\r\n", (
        "nothing is lost but what follows the message"
    )
    assert Message.parse(bytes(read)) == read
    if name in UNREADABLE:
        return
    assert read.call_id
    assert read.from_.uri_text
    assert read.to.uri_text
    assert len(read.vias) == len(read.values("Via")) >= 1
    assert read.cseq.method == read.method
    for contact in read.contacts:
        assert contact.uri.scheme
    assert "cseq" in {field.lower() for field, _ in read.fields()}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quotbal", lambda read: read.to),
        ("baddn", lambda read: read.from_),
        ("scalar02", lambda read: read.cseq),
        ("insuf", lambda read: read.from_),
    ],
)
def test_a_header_field_that_cannot_be_used_says_so(name: str, value: object) -> None:
    assert callable(value)
    with pytest.raises(HeaderError):
        value(message(name))


def test_the_values_that_the_rfc_tells() -> None:
    tortuous = message("wsinv")
    assert tortuous.from_.display == 'J Rosenberg \\"'
    assert [via.branch for via in tortuous.vias] == ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]
    assert tortuous.header("Subject") == ""
    assert tortuous.cseq.number == 9
    assert message("intmeth").to.display == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert message("esc01").contacts[0].uri.param("lr") == ""
    assert [contact.uri.user for contact in message("escnull").contacts] == ["\0", "\0\0"]
    assert message("unreason").reason == "= 2**3 * 5**2 но сто девяносто девять - простое"
    assert (message("noreason").status, message("noreason").reason) == (100, "")
    assert len(message("mpart01").body) == 553
    assert message("cparam01").contacts[0].params == {"unknownparam": None}
    assert message("cparam02").contacts[0].uri.params == {"unknownparam": None}
    assert message("regescrt").contacts[0].uri.headers == [("Route", "%3Csip:sip.example.com%3E")]


def endpoint() -> App:
    """One that takes no registrations."""
    app = App()
    app.use(understands("100rel", "timer"))
    app.use(accepts("application/sdp"))

    @app.options
    async def options(req: Request, res: Response) -> None:
        await res.send(200)

    @app.invite
    async def answer(req: Request, res: Response) -> None:
        accepted = req.headers.getlist("Accept")
        if accepted and "application/sdp" not in accepted:
            await res.send(406)
            return
        await res.send(486)

    return app


def documented() -> App:
    """The application of docs/rfc/rfc4475.md, as it stands there."""
    (snippet,) = page("docs/rfc/rfc4475.md")
    app = snippet.run()["app"]
    assert isinstance(app, App)
    return app


@pytest.mark.parametrize(
    ("make", "name", "status", "header"),
    [
        (endpoint, "bext01", 420, ("Unsupported", "nothingSupportsThis, nothingSupportsThisEither")),
        (endpoint, "invut", 415, ("Accept", "application/sdp")),
        (endpoint, "sdp01", 406, None),
        (endpoint, "esc01", 486, None),
        (endpoint, "inv2543", 486, None),
        (endpoint, "zeromf", 200, None),
        (endpoint, "regaut01", 405, ("Allow", "ACK, BYE, CANCEL, INVITE, OPTIONS, PRACK")),
        (endpoint, "intmeth", 501, ("Allow", "ACK, BYE, CANCEL, INVITE, OPTIONS, PRACK")),
        (endpoint, "esc02", 501, ("Allow", "ACK, BYE, CANCEL, INVITE, OPTIONS, PRACK")),
        (documented, "bext01", 420, ("Unsupported", "nothingSupportsThis, nothingSupportsThisEither")),
        (documented, "invut", 415, ("Accept", "application/sdp")),
        (documented, "sdp01", 406, None),
        (documented, "inv2543", 486, None),
        (documented, "regaut01", 401, None),
        (documented, "unksm2", 400, None),
    ],
)
async def test_an_application_does_its_part(
    make: object, name: str, status: int, header: tuple[str, str] | None
) -> None:
    assert callable(make)
    app: App = make()
    app.shutdown_timeout = 0.01
    link = MemoryLink()
    async with app.serving(link=link):
        link.receive_message(message(name))
        given = await link.wait_for("respond", 1)
    assert given.status == status
    if header is not None:
        assert header in given.headers
    if status == 401:
        (challenge, *_) = [value for name, value in given.headers if name == "WWW-Authenticate"]
        assert challenge.startswith('Digest realm="example.com"')


@pytest.mark.parametrize(
    ("disposition", "status"),
    [("render;handling=optional", 200), ("render; Handling = Required", 415), ("render", 415)],
)
async def test_a_body_may_be_optional(disposition: str, status: int) -> None:
    app = App()
    app.use(accepts("application/sdp"))

    @app.message
    async def received(req: Request, res: Response) -> None:
        await res.send(200)

    link = MemoryLink()
    async with app.serving(link=link):
        headers = {"Content-Type": "text/plain", "Content-Disposition": disposition}
        link.receive("MESSAGE", headers=headers, body="hello")
        given = await link.wait_for("respond", 1)
    assert given.status == status
