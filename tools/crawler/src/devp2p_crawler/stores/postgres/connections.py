"""Connections to a PostgreSQL server: opened, checked, and given up when they fail. No text of an error holds a password."""

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, TypeVar

from devp2p_crawler.stores.sinks import RowsRefusedError, SinkError

if TYPE_CHECKING:  # an extra; imported when it is used
    import psycopg

T = TypeVar("T")

VERSION: Final = 1
"""Of schema.sql."""
_PATIENCE: Final = 10  # seconds until a server that does not answer is given up
_OPTIONS: Final = "-c search_path=devp2p_crawl,pg_temp -c statement_timeout=60000"
_MAKING: Final = 0x64657670  # the number of the lock under which the schema is made


def without_password(url: str) -> str:
    """A URL or connection string as it may be shown: the host and the database alone. SinkError if it is none."""
    driver = _driver()
    try:
        parts = driver.conninfo.conninfo_to_dict(url)
    except driver.Error:  # what it says may quote the URL
        raise SinkError("cannot read the address of PostgreSQL: write postgresql://user:password@host:port/database") from None
    host, port = parts.get("host") or "the local socket", parts.get("port")
    return f"PostgreSQL at {host}{f':{port}' if port else ''}, database {parts.get('dbname') or parts.get('user') or '(default)'}"


def _driver() -> Any:  # noqa: ANN401  (a module that may be missing)
    try:
        import psycopg  # noqa: PLC0415
    except ImportError:
        raise SinkError("PostgreSQL needs the package psycopg: pip install 'devp2p-crawler[postgres]'") from None
    return psycopg


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """How a server is reached."""

    url: str
    """``postgresql://user:password@host:port/database``, or a connection string of libpq."""

    def __repr__(self) -> str:
        return "PostgresSettings(...)"


def connect(settings: PostgresSettings) -> "psycopg.Connection[Any]":
    """Open a connection, and make the tables if there are none; SinkError if that fails, or the tables are of another version."""
    driver, where = _driver(), without_password(settings.url)
    try:
        connection = driver.connect(
            settings.url, connect_timeout=_PATIENCE, tcp_user_timeout=1000 * _PATIENCE, application_name="devp2p-crawler", options=_OPTIONS
        )
    except (driver.Error, UnicodeError) as error:
        raise SinkError(f"cannot connect to {where}: {_first_line(error)}") from None
    try:
        _make_tables(connection, where)
    except BaseException:
        connection.close()
        raise
    return connection  # type: ignore[no-any-return]


def _make_tables(connection: "psycopg.Connection[Any]", where: str) -> None:
    with failures(where), connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))  # two that begin at a time
        found = connection.execute("SELECT to_regclass('devp2p_crawl.meta') IS NOT NULL").fetchone()
        if found is not None and found[0]:
            row = connection.execute("SELECT version FROM devp2p_crawl.meta").fetchone()
            if row is None or row[0] != VERSION:
                raise SinkError(
                    f"the tables at {where} are of version {row and row[0]}, and this program knows version {VERSION}: use the release that"
                    " made them, or another database"
                )
            return
        connection.execute(resources.files("devp2p_crawler.stores.postgres").joinpath("schema.sql").read_bytes())


@contextmanager
def failures(where: str) -> Generator[None]:
    """Turn errors of the driver into SinkError, and into RowsRefusedError what no server would take."""
    driver = _driver()
    try:
        yield
    except (driver.DataError, driver.IntegrityError) as error:
        raise RowsRefusedError(f"{where} does not take rows: {_first_line(error)}") from None
    except driver.Error as error:
        raise SinkError(f"{where} cannot be used now: {_first_line(error)}") from None


class Session:
    """A connection that is opened when it is needed, and anew after a failure."""

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings
        self._connection: psycopg.Connection[Any] | None = None
        self.where: str = without_password(settings.url)

    def run(self, work: "Callable[[psycopg.Connection[Any]], T]") -> T:
        """Do something in a transaction; SinkError if that fails, and then nothing of it is done."""
        connection = self._connection = self._connection or connect(self._settings)
        try:
            with failures(self.where), connection.transaction():
                return work(connection)
        except RowsRefusedError:
            raise
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()


def _first_line(error: Exception) -> str:
    """What the server says, in one line."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
