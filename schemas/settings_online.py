"""The blocks of the settings of the online service, and of the routes that it shares with the stream."""

import re
from datetime import UTC, date, datetime

from pydantic import Field, field_validator

from schemas.settings_blocks import Block

HASH = "sha256:"


class Key(Block):
    """An API key of the online service: what it is for, and the hash that it is known by.

    Attributes:
        name: what logs call it.
        hash: `sha256:` and 64 hexadecimal digits, as `streamscore serve-key` prints it.
        predict: patterns of the models that it may ask, as `wine_*`.
        users: patterns of the users that it may predict for.
        admin: whether it may use the admin routes.
        expires: the first day, in UTC, on which it is refused; None: it is never.
    """

    name: str = Field(min_length=1, max_length=100)
    hash: str
    predict: tuple[str, ...] = ()
    users: tuple[str, ...] = ("*",)
    admin: bool = False
    expires: date | None = None

    @field_validator("hash")
    @classmethod
    def _is_a_hash(cls, value: str) -> str:
        if not re.fullmatch(HASH + "[0-9a-f]{64}", value):
            msg = "wanted sha256: and 64 hexadecimal digits; make a key: streamscore serve-key NAME"
            raise ValueError(msg)
        return value

    def is_over(self) -> bool:
        """Whether it has expired."""
        return self.expires is not None and datetime.now(UTC).date() >= self.expires


class Routing(Block):
    """Which model answers for which routing key."""

    routes: str = Field(
        "conf/routes.yaml",
        description="The table of routes: a YAML file, or the SQLAlchemy URL of a database, as "
        "`sqlite:///var/routes.db`. There need be no file of the default name.",
    )
    poll_seconds: float = Field(1.0, gt=0, description="How often the table is looked at for changes, in seconds.")
    shadow_share: float = Field(
        0.25,
        gt=0,
        le=1,
        description="The share of the time that shadows may be asked in, of one worker or of a stream.",
    )
    shadow_rows: int = Field(
        10_000,
        gt=0,
        description="The most rows that wait for shadows, and the most of a micro-batch of the stream. What is beyond "
        "them is not compared.",
    )
    max_models: int = Field(
        200,
        gt=0,
        description="The most versions in memory of the stream of a routed feed, in the driver and in each worker of "
        "executors. The one that was not used for longest goes first.",
    )
    max_model_bytes: int | None = Field(
        None,
        gt=0,
        description="The most memory for these versions, in bytes, of the driver, and again of all workers of a "
        "machine. `null` takes a quarter of the memory of the machine or its container.",
    )


class Serving(Block):
    """The online service, `streamscore serve`."""

    host: str = Field(
        "127.0.0.1", description="The address to listen on. Other machines reach `0.0.0.0`; it needs keys."
    )
    port: int = Field(8000, ge=0, le=65535, description="The port to listen on.")
    workers: int = Field(1, gt=0, description="The number of processes that answer. Each loads its own models.")
    models: tuple[str, ...] = Field(
        (), description="Model URIs to load before the service is ready. All other models are loaded at first use."
    )
    default_model: str = Field(
        "", description="The model that `/invocations` answers with. If it is empty, the first of `serving.models`."
    )
    batch_rows: int = Field(1024, gt=0, description="The most rows of waiting requests that are predicted in one call.")
    waiting_rows: int = Field(
        100_000,
        gt=0,
        description="The most rows that wait for one model. A request beyond them is answered with 503, one that has "
        "more by itself with 413.",
    )
    batch_bytes: int = Field(
        16 * 2**20, gt=0, description="The most bytes of their bodies in one call; a larger request goes alone."
    )
    waiting_bytes: int = Field(
        256 * 2**20, gt=0, description="The most bytes of bodies that wait for one model. Beyond them, 503."
    )
    max_body_bytes: int = Field(
        16 * 2**20, gt=0, description="The largest body of a request, in bytes. A larger one is answered with 413."
    )
    max_requests: int = Field(
        1024,
        gt=0,
        description="The most requests that a worker answers at once. One more is answered with 503, unread.",
    )
    max_connections: int = Field(
        4096, gt=0, description="The most connections of a worker. Requests on more are answered with 503."
    )
    request_seconds: float = Field(
        60.0,
        gt=0,
        description="The longest that a request may take. A caller can ask for less with the header "
        "`x-request-timeout-ms`.",
    )
    drain_seconds: float = Field(
        2.0,
        ge=0,
        description="How long the service says that it is not ready, and still answers, between SIGTERM and its end. "
        "Give a load balancer the time to notice.",
    )
    max_models: int = Field(
        200, gt=0, description="The most versions in memory. The one that was not asked for longest goes first."
    )
    max_model_bytes: int | None = Field(
        None,
        gt=0,
        description="The most memory for versions, in bytes, of all workers. "
        "`null` takes half of the memory of the machine or its container.",
    )
    keys: tuple[Key, ...] = Field(
        (),
        description="The API keys. Without any, the service listens on loopback only, and asks for none.",
    )
    admin_host: str = Field("127.0.0.1", description="The address that the admin routes are on.")
    admin_port: int = Field(
        0, ge=0, le=65535, description="The port of the admin routes, which want an admin key. With 0 there are none."
    )
    max_upload_bytes: int = Field(
        2 * 2**30, gt=0, description="The largest model that `PUT /store/models` takes, in bytes."
    )
