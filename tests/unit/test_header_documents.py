"""The Python that the documents on header fields and session descriptions show runs, on a request that has them all."""

from __future__ import annotations

import ast
import inspect
import logging
import re
from pathlib import Path

import dracht
import pytest
from dracht.message import HeadersInput, RequestView, header_list

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [
    *(f"rfc/rfc{number}.md" for number in (3323, 3325, 3326, 5806, 6442, 7044, 7433)),
    "explanation/sdp.md",
]
SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0 18\r\na=rtpmap:18 G729/8000\r\n"
)
BODY = (
    f"--b\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n"
    "--b\r\nContent-Type: application/pidf+xml\r\nContent-ID: <loc@h>\r\n\r\n<presence/>\r\n--b--\r\n"
)
REQUEST = (
    "INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n"
    "Call-ID: c\r\nCSeq: 1 INVITE\r\nPrivacy: id\r\nP-Asserted-Identity: <sip:a@h>, <tel:+15550100>\r\n"
    "Reason: Q.850;cause=38\r\nDiversion: <sip:d@h>;reason=user-busy\r\nUser-to-User: 4869;encoding=hex\r\n"
    "History-Info: <sip:vm@h>;index=1, <sip:b@h?Reason=SIP%3Bcause%3D486>;index=1.1, <sip:vm@x>;index=1.2;mp=1\r\n"
    f"Geolocation: <cid:loc@h>\r\nContent-Type: multipart/mixed;boundary=b\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}"
)


class Recorder(RequestView):
    """A request whose ways on are written down: what the snippets send."""

    source = ("192.0.2.1", 5060)

    def __init__(self) -> None:
        self.msg = dracht.Message.parse(REQUEST.encode())  # type: ignore[misc]
        self.sent: list[tuple[object, list[tuple[str, str]], str | bytes | None]] = []

    async def proxy(self, target: str, *, headers: HeadersInput | None = None, trusted: bool = True) -> None:
        self.sent.append((target, header_list(headers), None if trusted else "untrusted"))

    async def request(
        self, uri: str, method: str, *, headers: HeadersInput | None = None, body: str | bytes | None = None
    ) -> None:
        self.sent.append((uri, header_list(headers), body))

    def send(self, status: int, reason: str | None = None) -> None:
        self.sent.append((status, [], None))


async def run(page: str) -> tuple[dict[str, object], Recorder]:
    """Runs every snippet of a page."""
    recorder = Recorder()
    names: dict[str, object] = {
        **{name: getattr(dracht, name) for name in dracht.__all__},
        **dict.fromkeys(("req", "res", "agent"), recorder),
        **dict.fromkeys(("target", "carrier"), "sip:c@carrier"),
        "log": logging.getLogger("snippet"),
        "offer": SDP,
        "trusted": {"192.0.2.1"},
    }
    snippets = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert snippets
    for snippet in snippets:
        code = compile(snippet, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        outcome = eval(code, names)
        if inspect.iscoroutine(outcome):
            await outcome
    return names, recorder


@pytest.mark.parametrize("page", PAGES)
async def test_every_snippet_runs(page: str) -> None:
    await run(page)


async def test_they_do_what_they_say() -> None:
    names, recorder = await run("rfc/rfc3325.md")
    assert str(names["caller"]) == "<sip:a@h>"
    call, forwarded = recorder.sent
    assert call[:2] == ("sip:c@carrier", []), "the identity is withheld"
    assert forwarded == ("sip:c@carrier", [], "untrusted")
    names, recorder = await run("rfc/rfc5806.md")
    assert recorder.sent == [
        ("sip:c@carrier", [("Diversion", "<sip:b@h>;reason=unconditional;counter=1")], None)
    ]
    names, recorder = await run("rfc/rfc7433.md")
    assert recorder.sent[0][1] == [("User-to-User", "044869;purpose=isdn-uui;encoding=hex")]
    names, recorder = await run("rfc/rfc7044.md")
    assert (names["mailbox"], names["busy"]) == ("vm", True)
    names, recorder = await run("rfc/rfc6442.md")
    assert names["pidf"] == b"<presence/>"
    names, recorder = await run("explanation/sdp.md")
    sdp = dracht.Sdp.parse(recorder.sent[0][2] or "")
    assert (sdp.address, sdp.media[0].port, sdp.media[0].formats) == ("192.0.2.7", 20000, ["0"])
