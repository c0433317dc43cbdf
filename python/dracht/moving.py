"""Confirmed dialogs that move between engines: given as a value, taken over from one. `Agent.export_dialog`, `import_dialog`.

The value is the engine's JSON, with the session description that this side gave last beside it: the default answer to a re-INVITE
needs that, and an engine does not keep it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dracht.dialogid import DialogHandle
from dracht.link.base import DialogReference

if TYPE_CHECKING:
    from dracht.dispatch import Dispatcher

__all__ = ["export_dialog", "import_dialog"]

_LOCAL_SDP = "local_sdp"
# The oldest value that is taken over: whatever it was, nobody waits for it. A year; seconds.
_OLDEST = 366 * 24 * 3600.0


async def export_dialog(dispatcher: Dispatcher, reference: DialogReference, *, release: bool) -> str:
    """Gives a dialog as a value; with `release` this side forgets it once the engine has."""
    value = await dispatcher.link.export_dialog(reference, release)
    calls = dispatcher.agent.calls
    sdp = calls.sdp_of(dispatcher, reference) if calls is not None else None
    if sdp is not None:
        # One character a byte, whatever the encoding: a session description may hold any text (RFC 8866 §4.5).
        value = json.dumps({**json.loads(value), _LOCAL_SDP: sdp.decode("latin-1")}, separators=(",", ":"))
    if release and isinstance(reference, int | str):
        dispatcher.call_over(reference)
    return value


async def import_dialog(dispatcher: Dispatcher, value: str, *, age: float) -> DialogHandle:
    """Takes a dialog over, and with it the call that it carries."""
    if not isinstance(value, str):
        raise TypeError(f"a dialog is the text that export_dialog gave, not {type(value).__name__}")
    if isinstance(age, bool) or not isinstance(age, int | float):
        raise TypeError(f"age is a number of seconds since the dialog was exported, not {age!r}")
    if not 0 <= age <= _OLDEST:
        raise ValueError(f"age is seconds since the dialog was exported, 0 or more, not {age!r}")
    dialog = await dispatcher.link.import_dialog(value, age)
    parts = json.loads(value)
    if parts.get("invited") is True:
        dispatcher.established.add(dialog)
        if parts.get("role") == "uac":
            dispatcher.initiated.add(dialog)
        calls = dispatcher.agent.calls
        if calls is not None:
            sdp = parts.get(_LOCAL_SDP)
            local = b"\r\n\r\n" + sdp.encode("latin-1", "replace") if isinstance(sdp, str) else None
            calls.confirmed(dispatcher, dialog, local)
    return DialogHandle(dispatcher, dialog)
