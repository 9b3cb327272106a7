"""How a server runs: read once, from the command line and ``ZHIYIN_...`` variables, never from a request."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, field_validator

from zhiyin.base.errors import ConfigError
from zhiyin.base.spec import Spec

VARIABLE = "ZHIYIN_"


class Settings(Spec):
    """Every limit has a default that suits one small machine; docs/access-and-limits.md explains each."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8765
    deadline_ms: Annotated[int, Field(ge=1, le=60_000)] = 40
    max_body_mb: Annotated[float, Field(gt=0)] = 64.0
    max_bodies_mb: Annotated[float, Field(gt=0)] = 256.0
    max_import_mb: Annotated[float, Field(gt=0)] = 4096.0
    read_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    write_timeout_s: Annotated[float, Field(gt=0)] = 30.0
    max_waiting: Annotated[int, Field(ge=1)] = 4096
    max_connections: Annotated[int, Field(ge=1)] = 2048
    rate_per_s: Annotated[float, Field(gt=0)] | None = None
    rate_burst: Annotated[float, Field(ge=1)] | None = None
    trusted_proxies: str = ""
    cors_origins: tuple[str, ...] = ()
    log_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    otel: bool = False
    tls_certificate: str | None = None
    tls_key: str | None = None
    retrain_every_h: Annotated[float, Field(gt=0)] | None = None
    traces_mb: Annotated[float, Field(ge=0)] = 256.0
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    database: str | None = None
    redis: str | None = None

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _listed(cls, said: object) -> object:
        """A variable of the environment says several origins with commas between them."""
        return [part.strip() for part in said.split(",") if part.strip()] if isinstance(said, str) else said

    @classmethod
    def here(cls, environment: Mapping[str, str], **said: Any) -> Self:
        """``ZHIYIN_MAX_CONNECTIONS`` and the like, and above them what was said on the command line (None = not said)."""
        there = {name: environment[VARIABLE + name.upper()] for name in cls.model_fields if VARIABLE + name.upper() in environment}
        return cls.parse({**there, **{name: value for name, value in said.items() if value is not None}}, "the settings of the server")

    @property
    def shared(self) -> bool:
        """True where other processes write the same stores."""
        return self.workers > 1 or self.database is not None

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
    """Refuse to stand open to other machines without keys, or with TLS that cannot work."""
    if without_keys and not settings.loopback:
        names = ", ".join(f"'{name}'" for name in without_keys)
        raise ConfigError(
            f"refusing to listen on {settings.host} while {names} has no keys",
            "Make one: zhiyin keys make FOLDER --name admin --scope admin. Or listen on 127.0.0.1.",
        )
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise ConfigError("TLS needs both a certificate and its key", "Give --tls-certificate and --tls-key.")
    if settings.tls_certificate is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_certificate, settings.tls_key, password="")
        except OSError as error:  # ssl.SSLError is one too
            reason = error.strerror or "they do not belong together"
            raise ConfigError(
                f"TLS cannot use '{settings.tls_certificate}' with '{settings.tls_key}': {reason}",
                "Give two PEM files without a passphrase.",
            ) from None
