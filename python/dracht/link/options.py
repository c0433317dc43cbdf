"""What an engine in this process can be told: the keyword arguments of `dracht._core.Engine.start`. No defaults of its own."""

from typing import Literal, TypedDict

from dracht.admission import Admission
from dracht.dns import Dns
from dracht.network import Network
from dracht.streams import Streams


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
