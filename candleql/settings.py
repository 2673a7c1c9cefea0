"""The settings: read once, from the environment and a .env file, and passed on as plain values."""

from dataclasses import fields
from datetime import timedelta
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from candleql.errors import UserError
from gql.limits import Limits
from repos.address import database_url


class Settings(BaseSettings):
    """Every setting, with its default; .env.example says what each is for. In the environment names are upper case."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", hide_input_in_errors=True)

    database_url: str | None = None
    database_listen_url: str | None = None
    postgres_host: str | None = None
    postgres_port: str | None = None
    postgres_user: str | None = None
    postgres_password: str | None = None
    postgres_db: str | None = None
    debug: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"
    okx_rest_url: str = "https://www.okx.com"
    okx_ws_url: str = "wss://ws.okx.com:8443"
    websocket_compression: bool = False
    hot_candles: int = Field(default=2_000, ge=0, le=10_000)
    bot_heartbeat_timeout: float = Field(default=60.0, gt=0)

    allowed_hosts: str = "localhost,127.0.0.1,[::1]"
    allowed_origins: str = ""
    trusted_proxies: str = ""
    graphiql: bool = True
    max_body: int = Field(default=4_000_000, gt=0)
    max_connections: int = Field(default=10_000, gt=0)
    max_connections_per_address: int = Field(default=500, gt=0)
    max_sockets: int = Field(default=500, gt=0)
    request_timeout: float = Field(default=15.0, gt=0)

    @property
    def url(self) -> str | None:
        """The database's URL; None for the embedded default."""
        values = self.model_dump(
            include={"database_url"} | {name for name in type(self).model_fields if "postgres" in name}
        )
        return database_url({name.upper(): value for name, value in values.items() if value is not None})

    @property
    def limits(self) -> Limits:
        return Limits(**self.model_dump(include={field.name for field in fields(Limits)}))

    @property
    def bot_timeout(self) -> timedelta:
        return timedelta(seconds=self.bot_heartbeat_timeout)


def read_settings() -> Settings:
    """The settings of this process.

    Raises:
        UserError: One is wrong.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise UserError(f"{name}: {first['msg']}") from error
