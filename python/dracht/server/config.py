"""What a server is told at start, checked before anything is opened.

Each field says where a configuration file has it: `setting` puts it under a key of a table, `group` makes a table of a dataclass.
From that come the file's keys, the variables of the environment and the reference (`settings.py`): a new field is one line here.
It reads no file and no environment itself: `configuration.py` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, Literal

from dracht.admission import Admission
from dracht.dns import Dns
from dracht.network import Network
from dracht.optiontypes import check_fields
from dracht.streams import Streams
from dracht.tls import Tls

__all__ = ["ServerConfig", "group", "host_and_port", "setting"]


_MOST = 2**32 - 1  # of whole numbers: no server holds more, and the engine could be told none much longer
_LONGEST = 1e9  # of times, in seconds: 31 years

# What ends a word or a line of the control protocol.
_NOT_IN_SECRETS = {"|": "a `|`", "\r": "a line break", "\n": "a line break"}


def setting(
    table: str,
    doc: str,
    default: Any = MISSING,
    *,
    key: str | None = None,
    least: float | None = None,
    most: float | None = None,
) -> Any:
    """A field that is a key of a table: its name, or `key`; `least` and `most` bound a number; `doc` is for the reference."""
    metadata = {"table": table, "key": key, "doc": doc, "least": least, "most": most}
    return field(default=default, metadata=metadata)


def group(table: str, doc: str) -> Any:
    """A field whose type is a dataclass or None, and whose keys make a table of their own."""
    return field(default=None, metadata={"group": table, "doc": doc})


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """A server's configuration; `ValueError` for one that cannot work, `TypeError` for a value of another kind. Times
    are in seconds. The other fields are those of
    `dracht._core.Engine.start`, where they are documented.

    Arguments: `listen`, the SIP listeners as `sip:HOST:PORT[;transport=udp,tcp]`; `control`, `HOST:PORT` for applications;
    `secret`, what they authenticate with.
    """

    listen: Sequence[str] = setting(
        "server",
        "SIP listeners, as `sip:*:5060;transport=udp,tcp`; `*` is every IPv4 address of the machine, `[::]` every IPv6 one",
    )
    control: str = setting("server", "where applications connect, `HOST:PORT`, or over TLS `tls://HOST:PORT`")
    secret: str = setting("server", "what applications authenticate with; rather in `secret_file`")
    shards: int = setting("server", "SIP engines, with a thread each", 1, least=1, most=255)
    advertise: str | None = setting(
        "server",
        "`HOST[:PORT]` that peers are to see in Via, Contact and Record-Route instead of the bound address",
        None,
    )
    drachtio_compatible: bool = setting(
        "server", "behave as drachtio-server where dracht differs (503 for a method nobody takes, ...)", False
    )
    udp_request_limit: int | None = setting(
        "server",
        'a request over UDP longer than this, in bytes, goes over TCP (RFC 3261 §18.1.1); `"none"`: never',
        1300,
        least=1,
        most=65_535,
    )
    session_timers: bool = setting("session_timers", "take part in session timers", True, key="enabled")
    session_expires: int | None = setting(
        "session_timers",
        "the interval to ask for where neither peer nor application asks; left out: none",
        None,
        least=90,
        most=_MOST,
    )
    min_se: int = setting("session_timers", "the shortest interval accepted", 90, least=90, most=_MOST)
    session_refresher: Literal["uac", "uas"] | None = setting(
        "session_timers",
        "who refreshes where nobody says: `uac`, the sender of the INVITE, or `uas`; left out: the sender",
        None,
    )
    t1: float = setting("timers", "round-trip estimate (RFC 3261 §17.1.1.2)", 0.5, least=0.001, most=60)
    t2: float = setting("timers", "longest interval between repetitions", 4.0, least=0.001, most=600)
    t4: float = setting("timers", "longest time a message stays in the network", 5.0, least=0.001, most=600)
    timer_c: float = setting(
        "timers",
        "limit of a proxied INVITE without a final response (§16.6 item 11)",
        185.0,
        least=0.001,
        most=_LONGEST,
    )
    trying_after: float = setting(
        "timers",
        "how long an INVITE waits for a response before the engine sends 100",
        0.2,
        least=0,
        most=_LONGEST,
    )
    application_timeout: float = setting(
        "timers",
        "how long a request waits for its first answer before the engine answers it",
        64.0,
        least=0.001,
        most=_LONGEST,
    )
    ringing_timeout: float = setting(
        "timers",
        "limit of an INVITE that rings, where the application sets none; and of the search for somebody who takes a proxied one",
        3600.0,
        least=0.001,
        most=_LONGEST,
    )
    dialog_idle: float = setting(
        "timers", "how long a dialog may live without a message", 43_200.0, least=0.001, most=_LONGEST
    )
    max_transactions: int = setting(
        "limits", "transactions, per shard; new requests past it get 503", 1_000_000, least=1, most=_MOST
    )
    max_dialogs: int = setting("limits", "dialogs, per shard", 500_000, least=1, most=_MOST)
    max_event_age: float = setting(
        "limits",
        "how far an application may fall behind before new requests get 503",
        1.0,
        least=0.001,
        most=_LONGEST,
    )
    max_message_bytes: int = setting("limits", "the largest message accepted", 65_535, least=1024, most=_MOST)
    dns: Dns | None = group(
        "dns",
        "How the servers of a domain are found (RFC 3263), and what becomes of one that does not answer; times in seconds.",
    )
    tls: Tls | None = group("tls", "TLS: certificates, and whom to trust. Listeners of TLS and WSS need it.")
    streams: Streams | None = group("streams", "Bounds of connections over TCP, TLS and WebSocket.")
    admission: Admission | None = group(
        "admission", "What is taken from whom: rates, quotas, rules, networks to be trusted."
    )

    network: Network | None = group(
        "network", "The networks around, and what is relayed (docs/howto/nat.md)."
    )

    def __post_init__(self) -> None:
        if isinstance(self.listen, str):
            raise ValueError(f"listen is a list of texts, not one text: [{self.listen!r}]")
        check_fields(self)
        object.__setattr__(self, "listen", tuple(self.listen))
        if not self.listen:
            raise ValueError("no SIP listener: give at least one, as sip:127.0.0.1:5060;transport=udp,tcp")
        host_and_port(self.control)
        if self.control.startswith("tls://") and not (self.tls and self.tls.certificates):
            raise ValueError(
                f"control {self.control} needs a certificate: tls=Tls(certificates=[(chain, key)])"
            )
        if not self.secret:
            raise ValueError("no secret: applications must authenticate, so a server needs one")
        if wrong := next((name for sign, name in _NOT_IN_SECRETS.items() if sign in self.secret), None):
            raise ValueError(f"the secret holds {wrong}, and no application could authenticate with it")
        for one in fields(self):
            value, least, most = (
                getattr(self, one.name),
                one.metadata.get("least"),
                one.metadata.get("most"),
            )
            if isinstance(value, int | float) and not (
                (least is None or value >= least) and (most is None or value <= most)
            ):
                raise ValueError(f"{value:g} {one.name}: {within(least, most)} is possible")
        if self.session_expires is not None and self.session_expires < self.min_se:
            raise ValueError(f"session_expires={self.session_expires} is less than min_se={self.min_se}")

    @property
    def control_scheme(self) -> str:
        """How applications connect: `tcp` or `tls`."""
        return "tls" if self.control.startswith("tls://") else "tcp"

    def engine_options(self) -> dict[str, Any]:
        """The keyword arguments of `dracht._core.Engine.start`."""
        options = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "listen"}
        # Calls that are proxied survive a restart, and servers with one secret relay each other's.
        network = self.network or Network()
        if network.relay_secret is None:
            network = replace(network, relay_secret=self.secret)
        return {**options, "network": network}


def within(least: float | None, most: float | None) -> str:
    """A range in words: `1 to 255`, `90 or more`; empty without bounds."""
    low, high = (
        ("" if one is None else f"{one:,.0f}" if one >= 1e6 else f"{one:g}") for one in (least, most)
    )
    if not low:
        return f"{high} or less" if high else ""
    return f"{low} to {high}" if high else f"{low} or more"


def host_and_port(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, perhaps behind `tcp://` or `tls://` (IPv6 without its brackets); `ValueError` else."""
    for scheme in ("tcp://", "tls://"):
        text = text.removeprefix(scheme)
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not HOST:PORT, as 127.0.0.1:9022 or [::1]:9022")
    if host.startswith("[") != host.endswith("]") or (":" in host and not host.startswith("[")):
        raise ValueError(f"{text!r} is not HOST:PORT; an IPv6 address stands in brackets, as [::1]:9022")
    return host.strip("[]"), int(port)
