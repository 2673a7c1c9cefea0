"""The settings: read once, from the environment and a .env file, and passed on as plain values."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

import msgspec
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from candleql.addresses import hosts, key_set, networks, origins, storage, url_of
from candleql.errors import UserError
from gql.limits import Limits
from repos.address import ENV_ENCODING, ENV_FILE, MOST_CONNECTIONS, POOL_SIZE, database_url, environment
from repos.domain import InvalidValue

if TYPE_CHECKING:
    from gql.trusted import TrustedDocuments


class Settings(BaseSettings):
    """Every setting, with its default; .env.example says what each is for. In the environment names are upper case."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_file_encoding=ENV_ENCODING, extra="ignore", hide_input_in_errors=True
    )

    database_url: str | None = None
    database_listen_url: str | None = None
    postgres_host: str | None = None
    postgres_port: str | None = None
    postgres_user: str | None = None
    postgres_password: str | None = None
    postgres_db: str | None = None
    database_pool_size: int = Field(default=POOL_SIZE, gt=0, le=MOST_CONNECTIONS)
    debug: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"
    okx_rest_url: Annotated[str, AfterValidator(url_of("http", "https"))] = "https://www.okx.com"
    okx_ws_url: Annotated[str, AfterValidator(url_of("ws", "wss"))] = "wss://ws.okx.com:8443"
    websocket_compression: bool = False
    hot_candles: int = Field(default=2_000, ge=0, le=10_000)
    bot_heartbeat_timeout: float = Field(default=60.0, gt=0, le=31_536_000)
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_jwks: Annotated[str, AfterValidator(key_set)] | None = None
    jwt_role_claim: str = Field(default="role", min_length=1)
    connection_init_timeout: float = Field(default=10.0, gt=0, le=86_400)
    ping_interval: float = Field(default=20.0, gt=0, le=86_400)
    idle_socket_timeout: float = Field(default=300.0, gt=0, le=86_400)
    max_operations_per_socket: int = Field(default=100, gt=0)
    max_message: int = Field(default=1_000_000, gt=0)
    max_query_length: int = Field(default=32_768, gt=0)
    max_query_tokens: int = Field(default=2_000, gt=0)
    max_query_depth: int = Field(default=16, gt=0)
    max_query_aliases: int = Field(default=50, ge=0)
    max_query_root_fields: int = Field(default=30, gt=0)
    max_query_directives: int = Field(default=50, ge=0)
    introspection: bool = True
    max_query_cost: int = Field(default=1_000_000, gt=0)
    rate_limit: int = Field(default=20_000_000, ge=0)
    rate_limit_storage: Annotated[str, AfterValidator(storage)] = "memory://"
    query_timeout: float = Field(default=10.0, gt=0, le=86_400)
    trusted_documents: Annotated[Path | None, BeforeValidator(lambda path: path or None)] = None
    trusted_only: bool = False
    allowed_hosts: Annotated[str, AfterValidator(hosts)] = "localhost,127.0.0.1,[::1]"
    allowed_origins: Annotated[str, AfterValidator(origins)] = ""
    trusted_proxies: Annotated[str, AfterValidator(networks)] = ""
    graphiql: bool = True
    max_body: int = Field(default=4_000_000, gt=0)
    max_connections: int = Field(default=10_000, gt=0)
    max_connections_per_address: int = Field(default=500, gt=0)
    max_sockets: int = Field(default=500, gt=0)
    request_timeout: float = Field(default=15.0, gt=0, le=86_400)

    @property
    def url(self) -> str | None:
        """The database's URL; None for the embedded default."""
        values = self.model_dump(
            include={"database_url"} | {name for name in type(self).model_fields if "postgres" in name}
        )
        return database_url({name.upper(): value for name, value in values.items() if value is not None})

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if 0 < self.rate_limit < self.max_query_cost:
            raise ValueError("RATE_LIMIT is below MAX_QUERY_COST: the dearest query could never be asked")
        if self.trusted_only and self.trusted_documents is None:
            raise ValueError("TRUSTED_ONLY wants TRUSTED_DOCUMENTS, else nothing could be asked")
        jwt = self.jwt_issuer, self.jwt_audience, self.jwt_jwks
        if any(jwt) and not all(jwt):
            raise ValueError("JWT_ISSUER, JWT_AUDIENCE and JWT_JWKS are wanted together: set all three, or none")
        return self

    @property
    def limits(self) -> Limits:
        return Limits(
            characters=self.max_query_length,
            tokens=self.max_query_tokens,
            depth=self.max_query_depth,
            aliases=self.max_query_aliases,
            root_fields=self.max_query_root_fields,
            directives=self.max_query_directives,
            introspection=self.introspection,
            cost=self.max_query_cost,
            points_a_minute=self.rate_limit,
            seconds=self.query_timeout,
            connection_init_seconds=self.connection_init_timeout,
            ping_seconds=self.ping_interval,
            idle_seconds=self.idle_socket_timeout,
            operations=self.max_operations_per_socket,
            body_bytes=self.max_body,
            connections=self.max_connections,
            connections_per_address=self.max_connections_per_address,
            sockets=self.max_sockets,
            request_seconds=self.request_timeout,
        )

    def trusted(self) -> "TrustedDocuments":
        """The documents of the manifest.

        Raises:
            UserError: It can't be read.
        """
        from gql.trusted import TrustedDocuments  # with graphql-core, which commands that do not serve can do without

        if self.trusted_documents is None:
            return TrustedDocuments()
        try:
            manifest = msgspec.json.decode(self.trusted_documents.read_bytes(), type=dict[str, str])
            return TrustedDocuments(manifest, only=self.trusted_only)
        except (OSError, ValueError) as error:  # msgspec's errors are among the latter
            raise UserError(f"TRUSTED_DOCUMENTS: {_printable(self.trusted_documents)}: {_reason(error)}") from error

    @property
    def bot_timeout(self) -> timedelta:
        return timedelta(seconds=self.bot_heartbeat_timeout)


def _printable(path: Path) -> str:
    return str(path) if str(path).isprintable() else repr(str(path))


def _reason(error: Exception) -> str:
    """What went wrong, without the path that an OSError tells, too."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def read_settings() -> Settings:
    """The settings of this process.

    Raises:
        UserError: One is wrong.
    """
    try:
        environment()  # says what is wrong with a .env file that can't be read
        return Settings()
    except InvalidValue as error:
        raise UserError(str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        problem = first["msg"].removeprefix("Value error, ")  # pydantic's word for what a validator here says
        raise UserError(f"{name}: {problem}" if name else problem) from error
