"""What an engine in this process can be told: the keyword arguments of `dracht._core.Engine.start`. No defaults of its own."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Literal, TypedDict, get_type_hints

from dracht.admission import Admission
from dracht.dns import Dns
from dracht.network import Network
from dracht.optiontypes import check_types, near
from dracht.streams import Streams
from dracht.tls import Tls

__all__ = ["EngineOptions", "check_options"]

# Options that are tables of their own, whose fields are readily taken for options.
_TABLES = {"tls": Tls, "admission": Admission, "streams": Streams, "dns": Dns, "network": Network}


class EngineOptions(TypedDict, total=False):
    """Options of an engine; times in seconds. `dracht._core.Engine.start` documents each."""

    shards: int
    advertise: str | None
    t1: float
    t2: float
    t4: float
    timer_c: float
    application_timeout: float
    trying_after: float
    ringing_timeout: float
    max_transactions: int
    max_dialogs: int
    max_event_age: float
    max_events: int
    max_message_bytes: int
    dialog_idle: float
    udp_request_limit: int | None
    drachtio_compatible: bool
    session_timers: bool
    session_expires: int | None
    min_se: int
    session_refresher: Literal["uac", "uas"] | None
    network: Network | None
    dns: Dns | None
    streams: Streams | None
    admission: Admission | None


def check_options(options: Mapping[str, object], others: Mapping[str, Any] | None = None) -> None:
    """Whether an engine has these options, and each is of its type.

    Args:
        options: by name.
        others: the types of the options that may be given besides an engine's; of `tls` as here when None.

    Raises:
        TypeError: it does not have one of them, and where it is found, or what is spelled nearly so; or what one of them takes.
        ValueError: a number is longer than any that makes sense.
    """
    hints = {**_engine_hints(), **({"tls": Tls | None} if others is None else others)}
    known = set(hints)
    for name in options:
        if name in known:
            continue
        holders = [
            f"{option}={table.__name__}({name}=...)"
            for option, table in _TABLES.items()
            if name in {field.name for field in dataclasses.fields(table)}
        ]
        close = near(name, known)
        if holders:
            hint = f"give {holders[0]}"
        elif close:
            hint = f"did you mean {close}?"
        else:
            hint = f"there is {', '.join(sorted(known))}"
        raise TypeError(f"a server has no option {name!r}: {hint}")
    check_types(options, hints)


@functools.cache
def _engine_hints() -> dict[str, Any]:
    return get_type_hints(EngineOptions)
