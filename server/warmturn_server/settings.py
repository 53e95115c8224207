"""Every setting of the server, read once at start. Only `serve.py` and `build.py` see it: all else gets values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from platformdirs import user_data_path
from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .names import is_host_pattern, is_origin

BUNDLED = "bundled"


def _parted(given: object) -> object:
    """What is written with commas; spaces around them do not count."""
    return tuple(filter(None, map(str.strip, given.split(",")))) if isinstance(given, str) else given


def _hosts(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not is_host_pattern(name):
            raise ValueError(f"{name!r} is no host's name: write chat.example.org, *.example.org or *, without a port")
    return names


def _origins(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not is_origin(name):
            raise ValueError(f"{name!r} is no origin: write https://chat.example.org, with a port if it has one, or *")
    return names


Hosts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parted), AfterValidator(_hosts)]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parted), AfterValidator(_origins)]


class Settings(BaseSettings):
    """Settings of `warmturn serve`; each field is also an environment variable `WARMTURN_<FIELD>`.

    Byte sizes take units (`512MiB`, `2GB`); a tier of 0 bytes is switched off.
    """

    model_config = SettingsConfigDict(env_prefix="WARMTURN_", extra="forbid", frozen=True, env_ignore_empty=True)

    model: str = Field(default=BUNDLED, description="'bundled', a pulled name, a folder, a GGUF file, or a hub id")
    adapter: Path | None = Field(default=None, description="folder of a LoRA adapter, merged into the model")
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    data_dir: Path = Field(default_factory=lambda: user_data_path("warmturn"))
    device: str = "cpu"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    weights: Literal["auto", "int8", "int4"] = "auto"
    exact: bool = False
    threads: Annotated[int, Field(ge=1)] | None = None
    executor: Literal["auto", "lean", "generic"] = "auto"
    kv_memory: Annotated[ByteSize, Field(gt=0)] = ByteSize(2 * 2**30)
    ram_cache: Annotated[ByteSize, Field(ge=0)] = ByteSize(1 * 2**30)
    disk_cache: Annotated[ByteSize, Field(ge=0)] = ByteSize(8 * 2**30)
    promise_budget: Annotated[ByteSize, Field(ge=0)] = ByteSize(1 * 2**30)
    promise_longest: Annotated[int, Field(ge=1)] = 86_400
    log_reserve: Annotated[ByteSize, Field(ge=2**20)] = ByteSize(64 * 2**20)
    block_size: Annotated[int, Field(ge=1, le=1024)] = 32
    reasoning: str = "auto"
    ahead: Literal["off", "replies", "typing"] = "typing"
    sampling_defaults: Literal["model", "openai"] = "model"
    max_context: Annotated[int, Field(ge=2)] | None = None
    prefill_budget: Annotated[int, Field(ge=1)] = 512
    drafts: Literal["auto", "off"] | Annotated[int, Field(ge=1, le=15)] = "auto"
    control_rate: Annotated[float, Field(ge=0, le=1)] = 0.01
    control_mode: Literal["replace", "shadow"] = "shadow"
    control_seed: int | None = None
    max_import: Annotated[ByteSize, Field(ge=0)] = ByteSize(8 * 2**30)
    max_waiting: Annotated[int, Field(ge=1)] = 256
    api_key: SecretStr | None = None
    insecure_no_key: bool = False
    drain_seconds: Annotated[float, Field(ge=0)] = 20.0
    max_connections: Annotated[int, Field(ge=1)] = 1000
    head_seconds: Annotated[float, Field(gt=0)] = 10.0
    body_seconds: Annotated[float, Field(gt=0)] = 30.0
    reader_seconds: Annotated[float, Field(gt=0)] = 30.0
    allowed_hosts: Hosts = ()
    allowed_origins: Origins = ()
    log: Literal["sqlite", "redis"] = "sqlite"
    redis: SecretStr | None = Field(default=None, description="URL of the Redis that servers share")
    log_redis: SecretStr | None = Field(default=None, description="URL of the Redis of the log, if it has its own")
    redis_secret: SecretStr | None = Field(default=None, description="signs what is kept there; the same everywhere")
    log_secret: SecretStr | None = Field(default=None, description="signs the rows of the log in the data folder")
    unstored_ttl: Annotated[int, Field(ge=0)] = 3600
    redis_ttl: Annotated[int, Field(ge=1)] = 86_400
    redis_wait_ms: Annotated[float, Field(gt=0)] = 75.0
    kv_codec: Literal["none", "zstd", "int8"] = "none"
    log_level: Literal["debug", "info", "warning", "error"] = "warning"

    @property
    def url_of_log(self) -> SecretStr | None:
        return self.log_redis or self.redis

    @property
    def redis_secret_bytes(self) -> bytes:
        """Empty without a secret."""
        return self.redis_secret.get_secret_value().encode() if self.redis_secret else b""

    @property
    def log_secret_bytes(self) -> bytes:
        """Empty without a secret."""
        return self.log_secret.get_secret_value().encode() if self.log_secret else b""

    @property
    def lossless(self) -> bool:
        """Whether what comes back from the tiers is what was saved, to the last bit."""
        return not (self.redis and self.kv_codec == "int8")

    @model_validator(mode="after")
    def _exact_state_is_kept_exactly(self) -> Self:
        if self.exact and (not self.lossless or self.device != "cpu"):
            other = f"--device {self.device}" if self.device != "cpu" else f"--kv-codec {self.kv_codec}"
            raise PydanticCustomError("exact_beside_inexact", f"--exact and {other} do not go together: leave out one")
        return self

    @model_validator(mode="after")
    def _a_shared_log_has_an_address(self) -> Self:
        if self.log == "redis" and self.url_of_log is None:
            raise PydanticCustomError(
                "log_without_address",
                "--log redis needs the address of the Redis that keeps the conversations: --redis, or --log-redis if "
                "the log has one of its own",
            )
        return self
