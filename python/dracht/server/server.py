"""A running server: the engine without an application of its own, and its control listener.

Everything that happens per message happens in Rust; this starts it, says where it listens, and ends it.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from dracht import _core
from dracht.server.config import ServerConfig


class Server:
    """A server, as a context manager: entering opens the listeners (`OSError` where one cannot be), leaving closes them."""

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self._engine: _core.Engine | None = None

    def __enter__(self) -> Self:
        self._engine = _core.Engine.start(
            list(self.config.listen), embedded=False, **self.config.engine_options()
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._engine is not None:
            self._engine.stop()
            self._engine = None

    def drain(self) -> None:
        """From now on new requests get 503; the calls that there are go on, and their applications stay connected."""
        self.engine.drain()

    def reload_certificates(self) -> bool:
        """Reads the certificates' files again (`Engine.reload_certificates`); whether there are any."""
        return self.engine.reload_certificates()

    @property
    def calls(self) -> int:
        """How many calls there are: dialogs that end here, and requests that are being proxied.

        Nothing is kept of an answered call that only passes through: its later requests find their way through any server that
        has the same secret.
        """
        return sum(shard["dialogs"] + shard["proxies"] for shard in self.engine.counts())

    @property
    def engine(self) -> _core.Engine:
        """The engine; `RuntimeError` when the server does not run."""
        if self._engine is None:
            raise RuntimeError("the server does not run: enter it with `with Server(config) as server:`")
        return self._engine

    @property
    def hostports(self) -> list[str]:
        """The SIP listeners as `proto/host:port`, ports filled in."""
        return self.engine.hostports()[1]

    @property
    def control_url(self) -> str:
        """What applications connect to: `tcp://HOST:PORT` or `tls://HOST:PORT`, the port filled in."""
        return f"{self.config.control_scheme}://{self.control}"

    @property
    def control(self) -> str:
        """`HOST:PORT` on which applications are accepted, the port filled in."""
        address = self.engine.control_address
        if address is None:
            return self.config.control
        host, port = address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
