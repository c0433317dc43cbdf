"""Replaces (RFC 3891): an INVITE that is to take the place of a call. Which call, whether it may, and how the old one ends.

An engine keeps the calls of one Call-ID together and apart from all others; which of an application's calls is meant only the
application can know. That the caller may do this at all is for it to decide as well (RFC 3891 §8): a Replaces of a stranger who
learned three random texts is as good as any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dracht.dialogid import DialogHandle
from dracht.errors import HeaderError, SipError
from dracht.sending import SentRequest

if TYPE_CHECKING:
    from dracht.agent import Agent
    from dracht.request import Request
    from dracht.transaction import ClientTransaction

__all__ = ["Replaced", "find_dialog", "replaced"]


class Replaced:
    """A call that an INVITE is to replace."""

    __slots__ = ("_invite", "dialog", "early")

    def __init__(self, dialog: DialogHandle, invite: ClientTransaction | None) -> None:
        self.dialog = dialog
        """The dialog."""
        self.early = invite is not None
        """Whether it is early: an INVITE of ours that rings."""
        self._invite = invite

    async def end(self) -> ClientTransaction | SentRequest | None:
        """Ends the old call, once the new one is answered (RFC 3891 §3): BYE, or CANCEL where it only rings.

        Returns:
            The transaction of the BYE, or the CANCEL as sent; None when the old call was answered or refused meanwhile.

        Raises:
            CommandFailed, ConnectionLost: it could not be sent; the call is over then as a rule.
        """
        if self._invite is not None:
            return await self._invite.cancel(headers={"Reason": 'SIP ;cause=200 ;text="Replaced"'})
        agent = self.dialog.dispatcher.agent
        return await agent.request(
            method="BYE", dialog=self.dialog, headers={"Reason": 'SIP ;cause=200 ;text="Replaced"'}
        )

    def __repr__(self) -> str:
        return f"<Replaced {'early ' if self.early else ''}{self.dialog!r}>"


def find_dialog(agent: Agent, call_id: str, local_tag: str, remote_tag: str) -> DialogHandle | None:
    """The dialog of a call that this agent takes part in, or that rings at somebody it has called; None where there is none.

    Confirmed ones are found where the agent keeps a table of calls, as an `App`'s does.
    """
    early = _ringing(agent, call_id, local_tag, remote_tag)
    if early is not None:
        return early[0]
    return None if agent.calls is None else agent.calls.find(call_id, local_tag, remote_tag)


def replaced(req: Request) -> Replaced | None:
    """The call that this INVITE is to replace; None when it has no Replaces.

    Raises:
        SipError: what RFC 3891 §3 has the caller told: 400 (several Replaces, or one that cannot be read, or not in an INVITE),
            481 (no such call, or one that rings here), 486 (it is answered, and only an early one was to be replaced), 603
            (it has just ended). A handler that lets it pass answers with it.
    """
    try:
        wanted = req.replaces
    except HeaderError as error:
        raise SipError(400, "One Replaces Is Wanted") from error
    if wanted is None:
        return None
    if len(req.headers.getlist("Replaces")) > 1:
        raise SipError(400, "One Replaces Is Wanted")
    if req.method != "INVITE":
        raise SipError(400, "Replaces Belongs To INVITE")
    agent = req.agent
    names = wanted.call_id, wanted.to_tag, wanted.from_tag
    early = _ringing(agent, *names)
    if early is not None:
        return Replaced(*early)
    if agent.calls is not None:
        confirmed = agent.calls.find(*names)
        if confirmed is not None:
            if wanted.early_only:
                raise SipError(486)
            return Replaced(confirmed, None)
        if agent.calls.has_ended(*names):
            raise SipError(603)
    # One that rings here, which we did not begin, is not to be replaced either (RFC 3891 §3).
    raise SipError(481)


def _ringing(
    agent: Agent, call_id: str, local_tag: str, remote_tag: str
) -> tuple[DialogHandle, ClientTransaction] | None:
    for dispatcher in agent._dispatchers:
        for client in list(dispatcher.clients.values()):
            if client.method != "INVITE" or client._message is None or client.msg.call_id != call_id:
                continue
            if client.msg.from_.tag != local_tag or client.msg.to.tag is not None:
                continue
            for response in client.responses:
                if response._dialog is not None and response.to.tag == remote_tag:
                    return DialogHandle(dispatcher, response._dialog), client
    return None
