"""Browsers as telephones: they register over secure WebSocket, call one another, and call and are called by telephones.

    dracht run examples/browser_phones.py \\
        --listen "sip:0.0.0.0:8443;transport=wss" --listen "sip:0.0.0.0:5060;transport=udp,tcp" \\
        --tls-certificate certificate.pem --tls-key key.pem

A page with JsSIP or SIP.js connects to `wss://HOST:8443`, as alice (password wonderland) or bob (password builder) of any domain.
A browser has no address at which it could be called, and says so: its Contact is a name that ends in `.invalid` (RFC 7118 §5).
It is called over the connection that it opened itself, its flow, which the registrar keeps beside the contact (RFC 5626).

What a browser calls that is none of these users goes to DRACHT_TRUNK (default sip:127.0.0.1:5070), and costs money perhaps: a
browser must prove who it is for each call, and calls that come from elsewhere reach registered users only.
"""

import os
from typing import NamedTuple

from dracht import App, ProxyTarget, Request, Response, SipError, Uri
from dracht.middleware import DigestAuth
from dracht.store import MemoryStore

REALM = "phones.example"
PASSWORDS = {"alice": "wonderland", "bob": "builder"}
TRUNK = os.environ.get("DRACHT_TRUNK", "sip:127.0.0.1:5070")
LIFETIME = 120  # seconds: a browser that was closed is forgotten soon
CONTACTS = 10  # that a user may have: a call rings all of them


class Phone(NamedTuple):
    """Where a registered user is reached."""

    contact: Uri
    flow: str | None


app = App()
phones: MemoryStore[Phone] = MemoryStore()


def password(user: str, realm: str) -> str | None:
    """The password of a user."""
    return PASSWORDS.get(user)


def calls_from_a_browser(req: Request) -> bool:
    """Whether it is a new call that comes over a WebSocket."""
    return req.is_new_invite and req.transport in ("ws", "wss")


app.use("register", DigestAuth(password, realm=REALM))
app.use("invite", DigestAuth(password, realm=REALM, proxy=True), when=calls_from_a_browser)


@app.register
async def register(req: Request, res: Response) -> None:
    """Keeps where the user is reached, and by which connection."""
    user = req.to.uri.user or ""
    if req.user.username != user:
        raise SipError(403)  # nobody registers as somebody else
    # Nothing else can be rung, and it would fail the whole call.
    if any(not one.is_wildcard and one.uri.scheme not in ("sip", "sips") for one in req.contacts):
        raise SipError(400, "Contact Must Be a SIP URI")
    if len(req.contacts) > CONTACTS:
        raise SipError(403, f"At Most {CONTACTS} Contacts")
    answer = {}
    for contact in req.contacts:
        asked = req.contact_expires(contact)
        seconds = LIFETIME if asked is None else min(asked, LIFETIME)
        # The same page, connected anew, has the same contact: the new flow takes the place of the old one.
        if contact.is_wildcard or seconds == 0:
            await phones.remove(user, None if contact.is_wildcard else contact.uri_text)
        else:
            await phones.put(user, contact.uri_text, Phone(contact.uri, req.flow), expires=seconds)
            answer[contact.uri_text] = f"<{contact.uri_text}>;expires={seconds}"
    # A page that is loaded anew has another contact, and nobody takes the old one back: the oldest give way.
    held = await phones.all(user)
    others = sorted(held.keys() - answer.keys(), key=lambda one: held[one].expires)
    for oldest in others[: max(0, len(held) - CONTACTS)]:
        await phones.remove(user, oldest)
    await res.send(200, headers={"Contact": list(answer.values())})


@app.invite
async def invite(req: Request, res: Response) -> None:
    """A call: to a user's browsers, by their flows; from a browser to anybody else, by the trunk."""
    user = req.uri.user or ""
    if user in PASSWORDS:
        reached = await phones.all(user)
        if not reached:
            raise SipError(480)
        targets = [ProxyTarget(item.value.contact, flow=item.value.flow) for item in reached.values()]
        await req.proxy(targets, forking="simultaneous", record_route=True)
    elif calls_from_a_browser(req):
        await req.proxy(f"{TRUNK.replace('sip:', f'sip:{user}@', 1)}", record_route=True)
    else:
        raise SipError(404)


if __name__ == "__main__":
    app.run()  # from the environment: DRACHT_LISTEN, or DRACHT_CONNECT and DRACHT_SECRET
