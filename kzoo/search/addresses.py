"""Where a chief listens: HOST:PORT, and whether that can be (no Keras, no gRPC)."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from kzoo.errors import InputError


@dataclass(frozen=True)
class Address:
    """A host, by name or number, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def address(text: str, option: str) -> Address:
    """Read ``HOST:PORT`` (``[HOST]:PORT`` for an IPv6 number).

    Raises:
        InputError: it is nothing of the kind; `option` is named.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
        raise InputError(f"{option} takes HOST:PORT with a port of 1-65535, not {text!r}")
    return Address(host, int(port))


def check_free(place: Address) -> None:
    """Refuse an address at which nothing can listen now.

    Raises:
        InputError: the port is taken, or the host is unknown or not this machine.
    """
    try:
        family, kind, _, _, where = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as listener:
            # As gRPC does: what a chief before has left half-closed is no obstacle.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
            listener.listen()
    except OSError as error:
        raise InputError(f"cannot listen at {place}: {error.strerror or error}") from None


def free_port(host: str = "127.0.0.1") -> Address:
    """An address of this machine at which nothing listens."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        return Address(host, listener.getsockname()[1])
