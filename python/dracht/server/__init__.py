"""`dracht serve`: an engine that applications drive over the control protocol. Listeners and control now; more comes here."""

from .config import ServerConfig
from .server import Server

__all__ = ["Server", "ServerConfig"]
