"""`DialogHandle`: the name of a dialog, and the link it lives on. No state of the dialog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dracht.link.base import DialogReference

if TYPE_CHECKING:
    from dracht.dispatch import Dispatcher

__all__ = ["DialogHandle"]


class DialogHandle:
    """Names a dialog, for `agent.request(dialog=...)`. Compares and hashes as the dialog; `str()` is for logs."""

    __slots__ = ("dispatcher", "reference")

    def __init__(self, dispatcher: Dispatcher, reference: DialogReference) -> None:
        self.dispatcher = dispatcher
        self.reference = reference

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DialogHandle):
            return NotImplemented
        return self.reference == other.reference and self.dispatcher is other.dispatcher

    def __hash__(self) -> int:
        return hash(self.reference)

    def __str__(self) -> str:
        return str(self.reference)

    def __repr__(self) -> str:
        return f"<DialogHandle {self.reference}>"
