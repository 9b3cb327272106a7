"""How a server runs: read once, from the command line and ``ZHIYIN_...`` variables, never from a request."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import Field

from zhiyin.base.errors import ConfigError
from zhiyin.base.spec import Spec


class Settings(Spec):
    """Every limit has a default that suits one small machine."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8765
    deadline_ms: Annotated[int, Field(ge=1, le=60_000)] = 45
    max_body_mb: Annotated[float, Field(gt=0)] = 1.0
    max_bulk_mb: Annotated[float, Field(gt=0)] = 64.0
    read_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    max_waiting: Annotated[int, Field(ge=1)] = 4096
    max_connections: Annotated[int, Field(ge=1)] = 2048
    rate_per_s: Annotated[float, Field(gt=0)] | None = None
    tls_certificate: str | None = None
    tls_key: str | None = None
    traces_mb: Annotated[float, Field(ge=0)] = 256.0

    @property
    def loopback(self) -> bool:
        """True where only this machine can reach the address."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def check_open(settings: Settings, without_keys: list[str]) -> None:
    """Refuse to stand open to other machines without keys."""
    if without_keys and not settings.loopback:
        names = ", ".join(f"'{name}'" for name in without_keys)
        raise ConfigError(
            f"refusing to listen on {settings.host} while {names} has no keys",
            "Make one: zhiyin keys make FOLDER --name admin --scope admin. Or listen on 127.0.0.1.",
        )
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise ConfigError("TLS needs both a certificate and its key", "Give --tls-certificate and --tls-key.")
