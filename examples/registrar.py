"""A registrar and the proxy that uses it: phones register, calls to a registered user reach every phone of that user.

    dracht run examples/registrar.py --listen sip:127.0.0.1:5060

Point two phones at 127.0.0.1:5060 as alice (password wonderland) and bob (password builder), and let them call each other.
Bindings live in this process and end with it. Only registering needs the password: anybody may call a registered user.

With DRACHT_OPEN=1 in its environment anybody may register as anybody: for measuring, not for a network that is not yours.
"""

import os
from typing import NamedTuple

from dracht import App, ProxyTarget, Request, Response, SipError, Uri
from dracht.middleware import DigestAuth, Next
from dracht.store import MemoryStore

REALM = "registrar.example"
PASSWORDS = {"alice": "wonderland", "bob": "builder"}
OPEN = os.environ.get("DRACHT_OPEN") == "1"
MINIMUM, MAXIMUM = 60, 3600  # seconds a binding lives
CONTACTS = 10  # that a user may have: a call rings all of them


class Binding(NamedTuple):
    """A contact of a user, and the request that last registered it (RFC 3261 §10.3 step 7).

    `flow` is the way back to a phone behind a NAT, whose contact is an address that nobody else can reach (RFC 5626).
    """

    uri: Uri
    call_id: str
    cseq: int
    flow: str | None


app = App()
location: MemoryStore[Binding] = MemoryStore()


@app.use
async def timing(req: Request, res: Response, next: Next) -> None:
    """A layer around every request: says how long it took."""
    started = app.clock()
    await next()
    app.log.info("%s %s %.1f ms", req.method, res.status, (app.clock() - started) * 1000)


if not OPEN:
    app.use("register", DigestAuth(lambda user, realm: PASSWORDS.get(user), realm=REALM))


@app.register
async def register(req: Request, res: Response) -> None:
    """Changes the bindings of the address in To, and answers with all of them (RFC 3261 §10.3)."""
    if not OPEN and req.user.username != req.to.uri.user:
        raise SipError(403)  # nobody registers as somebody else
    address = f"{req.to.uri.user}@{req.to.uri.host}".lower()
    contacts = req.contacts
    held = await location.all(address)
    cseq = req.cseq.number
    if any(item.value.call_id == req.call_id and item.value.cseq >= cseq for item in held.values()):
        raise SipError(500, "Request Out of Order")
    if any(contact.is_wildcard for contact in contacts):
        if len(contacts) > 1 or req.headers.get("Expires") != "0":
            raise SipError(400, "Contact * Needs Expires 0 and No Other Contact")
        await location.remove(address)
        contacts = []
    if any(contact.uri.scheme not in ("sip", "sips") for contact in contacts):
        raise SipError(
            400, "Contact Must Be a SIP URI"
        )  # nothing else can be rung, and it would fail the whole call
    flow = req.flow if req.behind_nat else None
    changes: dict[str, tuple[Binding, int]] = {}
    for contact in contacts:
        same = next((key for key, item in held.items() if item.value.uri.equivalent(contact.uri)), None)
        binding = Binding(contact.uri, req.call_id, cseq, flow)
        changes[same or contact.uri_text] = binding, lifetime(req.contact_expires(contact))
    kept = {*held, *changes} - {field for field, (_, seconds) in changes.items() if seconds == 0}
    if len(kept) > CONTACTS:
        raise SipError(403, f"At Most {CONTACTS} Contacts")
    for field, (binding, seconds) in changes.items():
        if seconds == 0:
            await location.remove(address, field)
        else:
            await location.put(address, field, binding, expires=seconds)
    bindings = (await location.all(address)).values()
    await res.send(
        200, headers={"Contact": [f"<{item.value.uri}>;expires={round(item.expires)}" for item in bindings]}
    )


def lifetime(asked: int | None) -> int:
    """The seconds that a binding gets when `asked` is what the phone wants: 0 to remove it; 423 for too few."""
    seconds = MAXIMUM if asked is None else asked
    if 0 < seconds < MINIMUM:
        raise SipError(423, headers={"Min-Expires": str(MINIMUM)})
    return min(seconds, MAXIMUM)


@app.invite
async def invite(req: Request, res: Response) -> None:
    """A call to a registered user rings every phone of theirs; the first to answer has it."""
    bindings = await location.all(f"{req.uri.user}@{req.uri.host}".lower())
    if not bindings:
        raise SipError(480)
    phones = [ProxyTarget(item.value.uri, flow=item.value.flow) for item in bindings.values()]
    await req.proxy(phones, forking="simultaneous", record_route=True)


if __name__ == "__main__":
    app.run()  # from the environment: DRACHT_LISTEN, or DRACHT_CONNECT and DRACHT_SECRET
