"""Chromium without a window, with telephones in it: pages of `tests/interop/browser/page`, by JsSIP and by SIP.js.

A phone is pressed like a person presses it, by its buttons. Its record is what its WebSocket carried, as Chromium tells it.
The certificate of the server is believed by the hash of its public key alone, so that the browser's own check stays as it is.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.util
import os
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

from tests.conformance.sip import Sip
from tests.interop.peers.process import LIMIT, Entry, Peers, Witness

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Playwright, WebSocket

__all__ = ["PASSWORDS", "BrowserPhone", "Chromium", "Library", "available"]

PAGE = Path(__file__).resolve().parents[1] / "browser" / "page"
PASSWORDS = {"alice": "wonderland", "bob": "builder"}
"""Of examples/browser_phones.py."""
Library = Literal["jssip", "sipjs"]
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    # Candidates with addresses, loopback among them: nobody answers for `.local` names here.
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
)


def program() -> str | None:
    """Where Chromium is."""
    return shutil.which("chromium")


def available() -> bool:
    """Whether Chromium and what drives it are installed, and the page is built."""
    return (
        program() is not None
        and importlib.util.find_spec("playwright") is not None
        and (PAGE / "built" / "page.js").is_file()
    )


def pin(certificate: bytes) -> str:
    """How Chromium wants a public key named: base64 of the SHA-256 of its SubjectPublicKeyInfo."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = x509.load_pem_x509_certificate(certificate).public_key()
    return base64.b64encode(
        hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    ).decode()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


class BrowserPhone(Witness):
    """A telephone in a page of its own, in a profile of its own."""

    def __init__(self, name: str, page: Page, screenshots: Path) -> None:
        self.name = name
        self.page = page
        self.sockets = 0
        """How many WebSockets it has opened."""
        self._screenshots = screenshots
        self._record: list[Entry] = []
        self.said: list[str] = []
        """What it wrote on its console."""
        page.on("websocket", self._opened)
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"[:300]))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))

    def _opened(self, socket: WebSocket) -> None:
        self.sockets += 1
        socket.on("framesent", lambda data: self._carried(True, data))
        socket.on("framereceived", lambda data: self._carried(False, data))

    def _carried(self, sent: bool, data: str | bytes) -> None:
        message = data.encode() if isinstance(data, str) else data
        if message.strip():
            self._record.append(Entry(sent, Sip(message)))

    def record(self) -> list[Entry]:
        return self._record

    async def shows(self, **state: str) -> None:
        """Waits until the page is in such a state: `registration="yes"`, `call="active"`, `connection="online"`."""
        selector = "body" + "".join(f'[data-{name}="{value}"]' for name, value in state.items())
        try:
            await self.page.locator(selector).wait_for(timeout=LIMIT * 1000)
        except Exception as error:
            raise AssertionError(f"{self.name} does not show {state}: {error}\n{self}") from None

    async def press(self, button: str) -> None:
        """Presses a button by what is written on it."""
        await self.page.get_by_role("button", name=button, exact=True).click(timeout=LIMIT * 1000)

    async def call(self, target: str) -> None:
        """Writes who is to be called, and presses Call."""
        await self.page.get_by_label("Call").fill(target)
        await self.press("Call")

    async def hears(self) -> None:
        """Waits until sound of the other side was played: media flows."""
        playing = (
            "() => { const a = document.getElementById('remote'); return a.srcObject && a.currentTime > 0.1 }"
        )
        try:
            await self.page.wait_for_function(playing, timeout=LIMIT * 1000)
        except Exception as error:
            raise AssertionError(f"{self.name} hears nothing: {error}\n{self}") from None

    async def picture(self, moment: str) -> None:
        """Keeps a picture of the page."""
        self._screenshots.mkdir(parents=True, exist_ok=True)
        await self.page.locator("main").screenshot(path=self._screenshots / f"{moment}.png")

    async def stop(self) -> None:
        await self.page.context.close()

    def __str__(self) -> str:
        return "\n".join([super().__str__(), f"---- {self.name} said:", *self.said[-30:]])


class Chromium:
    """The browser, and the web server that its pages come from.

    Args:
        folder: for its pictures, unless DRACHT_SCREENSHOTS names one.
        certificate: of the server, PEM.
    """

    def __init__(self, peers: Peers, folder: Path, certificate: bytes) -> None:
        self._peers = peers
        self._pin = pin(certificate)
        self._screenshots = Path(os.environ.get("DRACHT_SCREENSHOTS") or folder / "screenshots")
        self._playwright: Playwright
        self._browser: Browser
        self._pages: ThreadingHTTPServer

    async def __aenter__(self) -> Chromium:
        from playwright.async_api import async_playwright

        handler = functools.partial(_Quiet, directory=str(PAGE))
        self._pages = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._pages.serve_forever, name="pages", daemon=True).start()
        self._playwright = await async_playwright().start()
        flags = [*_FLAGS, f"--ignore-certificate-errors-spki-list={self._pin}"]
        self._browser = await self._playwright.chromium.launch(executable_path=program(), args=flags)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._browser.close()
        await self._playwright.stop()
        self._pages.shutdown()
        self._pages.server_close()

    async def phone(
        self,
        user: str,
        library: Library,
        server: tuple[str, int],
        *,
        domain: str = "phones.example",
        password: str | None = None,
        registers: bool = True,
    ) -> BrowserPhone:
        """Opens a phone; returns when it is registered.

        Args:
            server: address and port where it speaks SIP over secure WebSocket.
            registers: whether to wait for that.
        """
        context = await self._browser.new_context(viewport={"width": 440, "height": 680})
        page = await context.new_page()
        phone = await self._peers.start(
            BrowserPhone(f"{user} in Chromium by {library}", page, self._screenshots)
        )
        query = {
            "library": library,
            "user": user,
            "password": PASSWORDS[user] if password is None else password,
            "domain": domain,
            "server": f"wss://{server[0]}:{server[1]}",
        }
        await page.goto(f"http://127.0.0.1:{self._pages.server_address[1]}/index.html?{urlencode(query)}")
        if registers:
            await phone.shows(registration="yes")
        return phone
