"""Connections to a ClickHouse server, over HTTP. No text of an error holds a password."""

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module, resources
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import unquote, urlsplit

from devp2p_crawler.stores.sinks import SinkError

T = TypeVar("T")
Client: TypeAlias = Any  # of the driver, whose types are not whole

VERSION: Final = 1
"""Of schema.sql."""
_PORTS: Final = {"clickhouse": 8123, "clickhouses": 8443}
_CONNECTING: Final = 10  # seconds
_ANSWERING: Final = 60  # seconds until a server that says nothing is given up
_LONGEST_TEXT: Final = 300


@dataclass(frozen=True, slots=True, repr=False)
class ClickHouseSettings:
    """How a server is reached."""

    host: str
    port: int
    user: str
    password: str
    database: str
    is_secure: bool

    @classmethod
    def parse(cls, url: str) -> "ClickHouseSettings":
        """Read ``clickhouse://user:password@host:port/database``, or ``clickhouses://`` for TLS; SinkError if it is none."""
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS[parts.scheme]
        except (ValueError, KeyError):  # what they say may quote the URL
            parts, port = None, 0
        if parts is None or not parts.hostname or parts.query or parts.fragment or "/" in parts.path.strip("/"):
            raise SinkError(
                "cannot read the address of ClickHouse: write clickhouse://user:password@host:8123/database, or clickhouses:// for TLS;"
                " in a password write @ as %40, : as %3A and / as %2F"
            )
        return cls(
            host=parts.hostname,
            port=port,
            user=unquote(parts.username or "default"),
            password=unquote(parts.password or ""),
            database=unquote(parts.path.strip("/")) or "default",
            is_secure=parts.scheme == "clickhouses",
        )

    @property
    def where(self) -> str:
        """The server as it may be shown."""
        return f"ClickHouse at {self.host}:{self.port}, database {self.database}"

    def __repr__(self) -> str:
        return f"ClickHouseSettings({self.where})"


def _driver() -> Any:  # noqa: ANN401  (a module that may be missing)
    try:
        import_module("clickhouse_connect.driver.exceptions")
        return import_module("clickhouse_connect")
    except ImportError:
        raise SinkError("ClickHouse needs the package clickhouse-connect: pip install 'devp2p-crawler[clickhouse]'") from None


class Session:
    """A client that is made when it is needed, and anew after a failure."""

    def __init__(self, settings: ClickHouseSettings) -> None:
        self._settings = settings
        self._client: Client | None = None
        _driver()

    def run(self, work: Callable[[Client], T]) -> T:
        """Do something; SinkError if that fails."""
        try:
            with self.failures():
                client = self._client = self._client or self._connect()
                return work(client)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def failures(self) -> Generator[None]:
        """Turn errors of the driver and of the network into SinkError."""
        try:
            yield
        except SinkError:
            raise
        except (_driver().driver.exceptions.ClickHouseError, OSError, EOFError) as error:
            raise SinkError(f"{self._settings.where} cannot be used now: {self._told(error)}") from None
        except Exception as error:
            if not type(error).__module__.startswith(("urllib3", "clickhouse_connect")):
                raise
            raise SinkError(f"{self._settings.where} cannot be used now: {self._told(error)}") from None

    def close(self) -> None:
        """Let go of the connection."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):
                client.close()

    def _connect(self) -> Client:
        settings = self._settings
        client: Client = _driver().get_client(
            interface="https" if settings.is_secure else "http",
            host=settings.host,
            port=settings.port,
            username=settings.user,
            password=settings.password,
            database=settings.database,
            connect_timeout=_CONNECTING,
            send_receive_timeout=_ANSWERING,
            client_name="devp2p-crawler",
            autogenerate_session_id=False,
            show_clickhouse_errors="scrub",
            query_retries=0,
        )
        try:
            self._make_tables(client)
        except BaseException:
            client.close()
            raise
        return client

    def _make_tables(self, client: Client) -> None:
        text = resources.files("devp2p_crawler.stores.clickhouse").joinpath("schema.sql").read_text("utf-8")
        for statement in text.split(";\n"):
            if statement.strip():
                client.command(statement)
        versions = {int(row[0]) for row in client.query("SELECT version FROM meta FINAL").result_rows}
        if not versions:
            client.insert("meta", [[VERSION]], column_names=["version"], column_type_names=["UInt32"])
        elif versions != {VERSION}:
            raise SinkError(
                f"the tables at {self._settings.where} are of version {max(versions)}, and this program knows version {VERSION}: use the"
                " release that made them, or another database"
            )

    def _told(self, error: BaseException) -> str:
        """What the driver says, in one line."""
        lines = str(error).strip().splitlines()
        text = (lines[0].strip() if lines else type(error).__name__)[:_LONGEST_TEXT]
        return text.replace(self._settings.password, "***") if self._settings.password else text
