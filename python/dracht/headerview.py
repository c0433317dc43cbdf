"""Typed views of header fields that requests and responses share, read when asked for. Nothing is parsed here.

Each property is that of `dracht._core.Message`, which says more; `docs/reference/headers.md` has the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from dracht._core import (
        Address,
        CSeq,
        Diversion,
        EventPackage,
        GeolocationError,
        HistoryInfo,
        Join,
        Message,
        Privacy,
        RAck,
        Reason,
        RemotePartyId,
        Replaces,
        RetryAfter,
        Sdp,
        SessionExpires,
        SubscriptionState,
        TargetDialog,
        Uri,
        UserToUser,
        Via,
    )

    HeaderField: TypeAlias = (
        Address
        | CSeq
        | Diversion
        | EventPackage
        | GeolocationError
        | HistoryInfo
        | Join
        | Privacy
        | RAck
        | Reason
        | RemotePartyId
        | Replaces
        | RetryAfter
        | SessionExpires
        | SubscriptionState
        | TargetDialog
        | Uri
        | UserToUser
        | Via
    )
    """A typed header field: `str` gives its value."""

__all__ = ["HeaderView"]


class HeaderView:
    """Header fields as types."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def msg(self) -> Message:
            """The SIP message itself."""

    @property
    def session_expires(self) -> SessionExpires | None:
        """How long the session lives without a refresh (Session-Expires, RFC 4028 §4). Raises HeaderError."""
        return self.msg.session_expires

    @property
    def min_se(self) -> int | None:
        """The shortest session interval that is accepted, in seconds (Min-SE, RFC 4028 §5). Raises HeaderError."""
        return self.msg.min_se

    @property
    def event(self) -> EventPackage | None:
        """The event package (Event, RFC 6665 §8.2.1). Raises HeaderError."""
        return self.msg.event

    @property
    def subscription_state(self) -> SubscriptionState | None:
        """The state of the subscription (Subscription-State, RFC 6665 §8.2.3). Raises HeaderError."""
        return self.msg.subscription_state

    @property
    def replaces(self) -> Replaces | None:
        """The dialog to replace (Replaces, RFC 3891). Raises HeaderError: unreadable, or more than one."""
        return self.msg.replaces

    @property
    def join(self) -> Join | None:
        """The dialog to join (Join, RFC 3911). Raises HeaderError."""
        return self.msg.join

    @property
    def target_dialog(self) -> TargetDialog | None:
        """The dialog that proves who asks (Target-Dialog, RFC 4538). Raises HeaderError."""
        return self.msg.target_dialog

    @property
    def refer_to(self) -> Address | None:
        """Whom to call (Refer-To, RFC 3515 §2.1). Raises HeaderError: unreadable, or more than one."""
        return self.msg.refer_to

    @property
    def referred_by(self) -> Address | None:
        """Who asked for the call (Referred-By, RFC 3892). Raises HeaderError."""
        return self.msg.referred_by

    @property
    def refer_sub(self) -> bool | None:
        """Whether a REFER is to make a subscription (Refer-Sub, RFC 4488); None where nothing is said, and it does."""
        return self.msg.refer_sub

    @property
    def rack(self) -> RAck | None:
        """The response that a PRACK acknowledges (RAck, RFC 3262 §7.2). Raises HeaderError."""
        return self.msg.rack

    @property
    def rseq(self) -> int | None:
        """The number of a reliable provisional response (RSeq, RFC 3262 §7.1). Raises HeaderError."""
        return self.msg.rseq

    @property
    def reasons(self) -> list[Reason]:
        """Every Reason, in order (RFC 3326). Raises HeaderError."""
        return self.msg.reasons

    @property
    def retry_after(self) -> RetryAfter | None:
        """When to try again (Retry-After, RFC 3261 §20.33). Raises HeaderError."""
        return self.msg.retry_after

    @property
    def expires(self) -> int | None:
        """The Expires, in seconds (RFC 3261 §20.19). Raises HeaderError."""
        return self.msg.expires

    @property
    def min_expires(self) -> int | None:
        """The shortest Expires that is accepted, in seconds (RFC 3261 §20.23). Raises HeaderError."""
        return self.msg.min_expires

    @property
    def max_breadth(self) -> int | None:
        """How many branches it may yet be forked into (Max-Breadth, RFC 5393 §5). Raises HeaderError."""
        return self.msg.max_breadth

    @property
    def sip_etag(self) -> str | None:
        """The entity tag that a publication got (SIP-ETag, RFC 3903 §11.3.1). Raises HeaderError."""
        return self.msg.sip_etag

    @property
    def sip_if_match(self) -> str | None:
        """The entity tag of the publication meant (SIP-If-Match, RFC 3903 §11.3.2). Raises HeaderError."""
        return self.msg.sip_if_match

    @property
    def supported(self) -> list[str]:
        """The option tags of Supported, as sent; `supports` compares without regard to case."""
        return self.msg.supported

    @property
    def required(self) -> list[str]:
        """The option tags of Require, as sent."""
        return self.msg.required

    @property
    def unsupported(self) -> list[str]:
        """The option tags of Unsupported, as sent."""
        return self.msg.unsupported

    @property
    def allowed(self) -> list[str]:
        """The methods of Allow; empty without one, which says nothing (RFC 3261 §20.5): see `allows`."""
        return self.msg.allowed

    @property
    def allowed_events(self) -> list[str]:
        """The event packages of Allow-Events (RFC 6665 §8.2.2)."""
        return self.msg.allowed_events

    @property
    def asserted_identities(self) -> list[Address]:
        """The caller as the trusted network asserts it (P-Asserted-Identity, RFC 3325 §9.1). Raises HeaderError."""
        return self.msg.asserted_identities

    @property
    def preferred_identities(self) -> list[Address]:
        """The identity that is asked for (P-Preferred-Identity, RFC 3325 §9.2). Raises HeaderError."""
        return self.msg.preferred_identities

    @property
    def remote_party_ids(self) -> list[RemotePartyId]:
        """Every Remote-Party-ID, in order. Raises HeaderError."""
        return self.msg.remote_party_ids

    @property
    def privacy(self) -> Privacy | None:
        """What the caller wants kept from the callee (Privacy, RFC 3323 §4.2). Raises HeaderError."""
        return self.msg.privacy

    @property
    def withheld_from_untrusted(self) -> list[str]:
        """The header fields that must not reach a next hop outside the trusted network (RFC 3325 §5, §7, RFC 7044 §10.1)."""
        return self.msg.withheld_from_untrusted

    @property
    def history_info(self) -> list[HistoryInfo]:
        """Whom the request was sent to on its way, the oldest first (History-Info, RFC 7044). Raises HeaderError."""
        return self.msg.history_info

    @property
    def diversions(self) -> list[Diversion]:
        """Who forwarded the call, the latest first (Diversion, RFC 5806). Raises HeaderError."""
        return self.msg.diversions

    @property
    def user_to_user(self) -> list[UserToUser]:
        """Data of the application (User-to-User, RFC 7433). Raises HeaderError."""
        return self.msg.user_to_user

    @property
    def geolocations(self) -> list[Address]:
        """Where the caller is, by `cid:` or by reference (Geolocation, RFC 6442 §4.1). Raises HeaderError."""
        return self.msg.geolocations

    @property
    def geolocation_routing(self) -> bool | None:
        """Whether servers may route by the location (Geolocation-Routing, RFC 6442 §4.2); None where nothing is said: no."""
        return self.msg.geolocation_routing

    @property
    def geolocation_error(self) -> GeolocationError | None:
        """Why the location was of no use (Geolocation-Error, RFC 6442 §4.3). Raises HeaderError."""
        return self.msg.geolocation_error

    @property
    def sdp(self) -> Sdp | None:
        """The session description: the body, or a part of a multipart one. Raises ParseError."""
        return self.msg.sdp

    def supports(self, tag: str) -> bool:
        """Whether Supported or Require has that option tag, in any case (who requires an extension understands it)."""
        return self.msg.supports(tag)

    def requires(self, tag: str) -> bool:
        """Whether Require has that option tag, in any case (RFC 3261 §20.32)."""
        return self.msg.requires(tag)

    def allows(self, method: str) -> bool | None:
        """Whether Allow has that method; None without Allow, which says nothing (RFC 3261 §20.5)."""
        return self.msg.allows(method)

    def body_part(self, media_type: str) -> bytes | None:
        """The body, or the first part of a multipart one, of a media type such as `application/sdp` (RFC 5621); None without."""
        return self.msg.body_part(media_type)

    def body_part_by_id(self, content_id: str) -> bytes | None:
        """The part of a multipart body with that Content-ID, without brackets: what a `cid:` URI names (RFC 2392)."""
        return self.msg.body_part_by_id(content_id)
