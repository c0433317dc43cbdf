"""`dracht serve`: an engine that applications drive over the control protocol. Listeners and control now; more comes here."""

from dracht.server.config import ServerConfig
from dracht.server.server import Server

__all__ = ["Server", "ServerConfig"]
