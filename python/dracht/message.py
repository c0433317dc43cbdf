"""Header fields as a mapping, and the typed views that requests and responses share.

Nothing is parsed here: a received message is `dracht._core.Message`, and its header fields become Python objects when they are
asked for. What this module refuses: names and values that would break out of their line when a message is written.
"""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar, overload

from dracht.errors import HeaderError
from dracht.headerview import HeaderView

if TYPE_CHECKING:
    from dracht._core import Address, CSeq, Message, Uri, Via
    from dracht.headerview import HeaderField

HeaderValue: TypeAlias = "str | int | HeaderField | Sequence[str | HeaderField]"
# What an application may give as header fields: a mapping (a list of values makes several fields), or pairs in order.
HeadersInput: TypeAlias = Mapping[str, HeaderValue] | Iterable[tuple[str, "str | HeaderField"]]
Body: TypeAlias = str | bytes

_T = TypeVar("_T")


class Headers(Mapping[str, str]):
    """The header fields of a received message: a case-insensitive multi-mapping that cannot be changed.

    Compact forms equal long ones. `headers["X"]` is the first value, `getall` every one; iteration, `keys`, `values` and
    `items` give every field in its order, repeated names repeated.
    """

    __slots__ = ("_message",)

    def __init__(self, message: "Message") -> None:
        self._message = message

    def __getitem__(self, name: str) -> str:
        value = self._message.header(name)
        if value is None:
            raise KeyError(name)
        return value

    @overload
    def get(self, name: str, /) -> str | None: ...
    @overload
    def get(self, name: str, /, default: str) -> str: ...
    @overload
    def get(self, name: str, /, default: _T) -> str | _T: ...
    def get(self, name: str, /, default: object = None) -> object:
        """The value of the first field of that name, or `default`."""
        value = self._message.header(name)
        return default if value is None else value

    def getall(self, name: str) -> list[str]:
        """The value of every field of that name, in order; empty when there is none."""
        return self._message.headers_all(name)

    def getlist(self, name: str) -> list[str]:
        """Every single value of that header: comma-separated lists are split outside quotes and angle brackets."""
        return self._message.values(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._message.header(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._message.fields()])

    def __len__(self) -> int:
        return len(self._message.fields())

    def keys(self) -> list[str]:  # type: ignore[override]
        """Every name, in order."""
        return [name for name, _ in self._message.fields()]

    def values(self) -> list[str]:  # type: ignore[override]
        """Every value, in order."""
        return [value for _, value in self._message.fields()]

    def items(self) -> list[tuple[str, str]]:  # type: ignore[override]
        """Every name and value, in order."""
        return self._message.fields()

    def __repr__(self) -> str:
        return f"Headers({self._message.fields()!r})"


class DraftHeaders(MutableMapping[str, str]):
    """Header fields to be sent: a case-insensitive multi-mapping in which setting replaces and `add` appends.

    Args:
        headers: what to start with.

    Raises:
        HeaderError: a name or a value cannot be sent.
    """

    __slots__ = ("_fields",)

    def __init__(self, headers: HeadersInput | None = None) -> None:
        self._fields: list[tuple[str, str]] = list(header_list(headers)) if headers else []

    def __getitem__(self, name: str) -> str:
        key = name.lower()
        for field, value in self._fields:
            if field.lower() == key:
                return value
        raise KeyError(name)

    def getall(self, name: str) -> list[str]:
        """The value of every field of that name, in order; empty when there is none."""
        key = name.lower()
        return [value for field, value in self._fields if field.lower() == key]

    def __setitem__(self, name: str, value: HeaderValue) -> None:
        """Replaces every field of that name; a new one keeps the place of the first. Raises HeaderError."""
        fresh = header_list({name: value})
        key = name.lower()
        at = len(self._fields)
        for index, (field, _) in enumerate(self._fields):
            if field.lower() == key:
                at = index
                break
        kept = [item for item in self._fields[at:] if item[0].lower() != key]
        self._fields[at:] = [*fresh, *kept]

    def add(self, name: str, value: "str | int | HeaderField") -> None:
        """Appends a field, beside those of that name. Raises HeaderError."""
        self._fields.extend(header_list({name: value}))

    def __delitem__(self, name: str) -> None:
        key = name.lower()
        kept = [item for item in self._fields if item[0].lower() != key]
        if len(kept) == len(self._fields):
            raise KeyError(name)
        self._fields = kept

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and any(field.lower() == name.lower() for field, _ in self._fields)

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._fields])

    def __len__(self) -> int:
        return len(self._fields)

    def items(self) -> list[tuple[str, str]]:  # type: ignore[override]
        """Every name and value, in order."""
        return list(self._fields)

    def __repr__(self) -> str:
        return f"DraftHeaders({self._fields!r})"


def header_list(headers: HeadersInput | None) -> list[tuple[str, str]]:
    """Header fields as an application gave them, as name and value of each field in order: a list of the caller's own.

    Raises:
        HeaderError: a name is not a token, or a value holds a line break, with which it would forge other header fields.
        TypeError: it is no mapping and no pairs; or a value is neither text nor number, nor a typed header field, nor a sequence
            of those.
    """
    if not headers:
        return []
    if isinstance(headers, str | bytes) or not isinstance(headers, Iterable):
        raise TypeError(f'header fields are a mapping, as {{"X-Name": "value"}}, or pairs, not {headers!r}')
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    fields: list[tuple[str, str]] = []
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f'a header field is a pair, as ("X-Name", "value"), not {pair!r}')
        name, value = pair
        if not isinstance(name, str) or not name or not _NAME.issuperset(name):
            raise HeaderError(f"{name!r} cannot be the name of a header field (RFC 3261 §25.1, token)")
        if isinstance(value, str):
            fields.append((name, _checked(name, value)))
        elif isinstance(value, int):
            fields.append((name, str(value)))
        elif isinstance(value, list | tuple):
            fields.extend((name, _checked(name, str(item))) for item in value)
        elif type(value).__module__ == "dracht._core":
            fields.append((name, _checked(name, str(value))))
        else:
            raise TypeError(f"the value of {name} is {type(value).__name__}, not text")
    return fields


def body_bytes(body: Body | None) -> bytes:
    """A body as bytes; text is UTF-8 (surrogate escapes give back the bytes they stand for).

    Raises:
        TypeError: it is neither text nor bytes.
    """
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode("utf-8", "surrogateescape")
    # An Sdp can say its bytes. Of a number `bytes` would make so many zeros, of a dictionary what its keys are.
    if isinstance(body, bytes | bytearray | memoryview) or hasattr(body, "__bytes__"):
        return bytes(body)
    raise TypeError(f"a body is text or bytes, not {body!r}")


_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~")


def _checked(name: str, value: str) -> str:
    if "\n" in value or "\r" in value or "\0" in value:
        raise HeaderError(f"the value of {name} holds a line break: {value!r}")
    return value


def event_of(value: str) -> tuple[str, str]:
    """Package and `id` of an Event (RFC 6665 §8.2.1) as an application or the engine writes it; an absent `id` is ""."""
    package, *rest = (part.strip() for part in value.split(";"))
    pairs = (part.partition("=") for part in rest)
    return package, next((text.strip() for name, _, text in pairs if name.strip().lower() == "id"), "")


def number(text: str | None) -> int | None:
    """A header field's number of seconds; None where there is none that can be read."""
    word = (text or "").partition(";")[0].strip()
    # Whatever a peer writes, at most ten digits are a number of seconds (RFC 3261 §25.1: below 2^32).
    return int(word) if word.isascii() and word.isdigit() and len(word) <= 10 else None


class MessageView(HeaderView):
    """What requests and responses have in common: the message itself, and typed views of its parts, read when asked for."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def msg(self) -> Message:
            """The SIP message itself."""

    @property
    def headers(self) -> Headers:
        """The header fields."""
        return Headers(self.msg)

    @property
    def method(self) -> str:
        """The method; of a response that of its request."""
        return self.msg.method

    @property
    def body(self) -> bytes:
        """The body."""
        return self.msg.body

    @property
    def text(self) -> str:
        """The body as text: UTF-8, other bytes as surrogate escapes."""
        return self.msg.body.decode("utf-8", "surrogateescape")

    @property
    def content_type(self) -> str | None:
        """The value of Content-Type."""
        return self.msg.content_type

    @property
    def call_id(self) -> str:
        """The Call-ID."""
        return self.msg.call_id

    @property
    def from_(self) -> "Address":
        """The From header field. Raises HeaderError when it cannot be read."""
        return self.msg.from_

    @property
    def to(self) -> "Address":
        """The To header field. Raises HeaderError when it cannot be read."""
        return self.msg.to

    @property
    def contacts(self) -> "list[Address]":
        """Every Contact. Raises HeaderError when one cannot be read."""
        return self.msg.contacts

    @property
    def via(self) -> "Via":
        """The top Via. Raises HeaderError when it cannot be read."""
        return self.msg.via

    @property
    def cseq(self) -> "CSeq":
        """The CSeq. Raises HeaderError when it cannot be read."""
        return self.msg.cseq


class RequestView(MessageView):
    """A request, received or sent."""

    __slots__ = ()

    @property
    def uri(self) -> "Uri":
        """The request-URI. Raises UriError when it cannot be read; `msg.uri` is its text."""
        from dracht._core import parse_uri

        return parse_uri(self.msg.uri)

    def contact_expires(self, contact: "Address") -> int | None:
        """How many seconds a Contact of a REGISTER asks for: its `expires`, else Expires (RFC 3261 §10.2.1.1).

        Args:
            contact: one of `contacts`.

        Returns:
            The seconds, 0 to remove it; None where nothing that can be read is asked for, so that the registrar chooses
            (RFC 3261 §10.3 step 6). More than ten digits, whatever a stranger writes, cannot be read.
        """
        return number(contact.param("expires") or self.msg.header("Expires"))
