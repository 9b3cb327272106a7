"""SQLite and PostgreSQL behind one door: connections, transactions, and errors in our words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from zhiyin.base.errors import ConfigError, MissingExtraError, StoreError

_CHUNK = 500
"""Values in one IN list; SQLite takes 999 at least."""

PageKey = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text in the order of code points in both, whatever the language of the machine."""


class Database:
    """An engine for ``sqlite:///file`` or ``postgresql://user@host/name``; the tables of ``metadata`` are made if absent.

    SQLite runs with a write-ahead log and flushes at every commit (synchronous=FULL). Waiting for a lock ends after
    ``wait_s``. ``writing`` transactions come one at a time, over all processes: what commits later got later numbers.
    """

    def __init__(self, url: str, metadata: sa.MetaData, *, lock: int, wait_s: float) -> None:
        self.engine = _engine(url, wait_s)
        self.sqlite = self.engine.dialect.name == "sqlite"
        self.name = self.engine.url.render_as_string(hide_password=True)
        self._lock = lock
        try:
            with self.writing() as connection:
                metadata.create_all(connection)
        except StoreError:
            self.engine.dispose()
            raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state. Database errors become StoreError."""
        with self._told(), self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """The one transaction that writes at this moment; committed and durable at the end, undone on any error."""
        with self._told(), self.engine.connect().execution_options(zhiyin_writing=True) as connection, connection.begin():
            if not self.sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(self._lock)))
            yield connection

    def clean(self, table: str) -> None:
        """After rows of people were deleted: free their pages, so that the next rows overwrite them."""
        with self._told(), self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if self.sqlite:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            else:
                connection.exec_driver_sql(f'VACUUM "{table}"')

    def close(self) -> None:
        self.engine.dispose()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.SQLAlchemyError as error:
            cause = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            raise StoreError(f"database '{self.name}' failed: {cause}", "Nothing of this call was kept.") from None


def chunks(values: list[str]) -> Iterator[list[str]]:
    """Lists short enough for one statement."""
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


def _engine(url: str, wait_s: float) -> sa.Engine:
    try:
        asked = make_url(url)
    except sa.exc.ArgumentError:
        raise ConfigError("this is no database address", "Say sqlite:///path/to/file or postgresql://user@host/name.") from None
    kind = asked.get_backend_name()
    if kind == "sqlite" and asked.database not in (None, "", ":memory:"):
        return _sqlite(asked, wait_s)
    if kind == "postgresql":
        return _postgresql(asked.set(drivername="postgresql+psycopg"), wait_s)
    raise ConfigError(f"'{asked.render_as_string()}' is no database for a store", "Say sqlite:///file or postgresql://user@host/name.")


def _sqlite(url: sa.URL, wait_s: float) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": wait_s, "check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin below, not where the driver thinks
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writing = connection.get_execution_options().get("zhiyin_writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _postgresql(url: sa.URL, wait_s: float) -> sa.Engine:
    waits = f"-c lock_timeout={round(1000 * wait_s)} -c statement_timeout={round(10_000 * wait_s)}"
    try:
        return sa.create_engine(url, pool_pre_ping=True, connect_args={"options": waits, "connect_timeout": max(1, round(wait_s))})
    except ImportError:
        raise MissingExtraError("PostgreSQL needs psycopg", "pip install 'zhiyin[postgresql]'") from None
