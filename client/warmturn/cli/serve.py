"""`warmturn serve`: the one command that needs the server's packages."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from warmturn.cli.server_side import FAILED, load_server_settings, refuse, refuse_missing, variable


def _option(flag: str, help_text: str) -> Any:
    name = variable(flag.removeprefix("--").replace("-", "_"))
    return typer.Option(flag, help=f"{help_text} [env: {name}]", show_default=False)


def serve(
    model: Annotated[
        str | None,
        _option("--model", "`bundled` (default), what `warmturn models` lists, a folder, a GGUF file, or a hub id."),
    ] = None,
    adapter: Annotated[
        Path | None, _option("--adapter", "Folder of a LoRA adapter, merged into the model; default none.")
    ] = None,
    host: Annotated[str | None, _option("--host", "Address to listen on; default 127.0.0.1.")] = None,
    port: Annotated[int | None, _option("--port", "Port to listen on, 0 for any free one; default 8000.")] = None,
    allowed_hosts: Annotated[
        str | None,
        _option("--allowed-hosts", "Names of this server besides localhost, parted by commas; default none."),
    ] = None,
    allowed_origins: Annotated[
        str | None,
        _option(
            "--allowed-origins", "Other servers whose pages may use it, such as https://chat.example.org; default none."
        ),
    ] = None,
    insecure_no_key: Annotated[
        bool | None, _option("--insecure-no-key", "Serve other machines without a key; default False.")
    ] = None,
    drain_seconds: Annotated[
        float | None, _option("--drain-seconds", "How long running turns may go on after SIGTERM; default 20.0.")
    ] = None,
    data_dir: Annotated[Path | None, _option("--data-dir", "Folder of the conversations and the disk cache.")] = None,
    device: Annotated[str | None, _option("--device", "Where the model runs; default cpu.")] = None,
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"] | None, _option("--dtype", "Number format; default auto.")
    ] = None,
    weights: Annotated[
        Literal["auto", "int8", "int4"] | None,
        _option(
            "--weights",
            "Bits that weights are kept in: those of --dtype (auto, default), int8 or int4; a GGUF file's own where it "
            "has such.",
        ),
    ] = None,
    exact: Annotated[
        bool | None, _option("--exact", "The same bits with saved state as without, at a price; default False.")
    ] = None,
    threads: Annotated[int | None, _option("--threads", "Threads for computing; default one per core.")] = None,
    executor: Annotated[
        Literal["auto", "lean", "generic"] | None,
        _option("--executor", "Who computes: the fastest that is proved right (auto, default), lean or generic."),
    ] = None,
    kv_memory: Annotated[str | None, _option("--kv-memory", "Bytes of resident state, e.g. 2GiB.")] = None,
    ram_cache: Annotated[str | None, _option("--ram-cache", "Bytes of state in main memory; 0 for none.")] = None,
    disk_cache: Annotated[str | None, _option("--disk-cache", "Bytes of state on disk; 0 for none.")] = None,
    promise_budget: Annotated[
        str | None, _option("--promise-budget", "Bytes of state on disk that may be promised to stay; default 1GiB.")
    ] = None,
    promise_longest: Annotated[
        int | None, _option("--promise-longest", "Seconds that state is promised for at most; default 86400.")
    ] = None,
    log_reserve: Annotated[
        str | None, _option("--log-reserve", "Bytes of free disk that state leaves to conversations; default 64MiB.")
    ] = None,
    log: Annotated[
        Literal["sqlite", "redis"] | None,
        _option("--log", "Where conversations are kept: in the data folder (default), or shared in --redis."),
    ] = None,
    unstored_ttl: Annotated[
        int | None,
        _option("--unstored-ttl", "Seconds that turns not to be stored are of use; 0 for none; default 3600."),
    ] = None,
    redis: Annotated[str | None, _option("--redis", "Redis that servers share, e.g. redis://host:6379/0.")] = None,
    redis_ttl: Annotated[int | None, _option("--redis-ttl", "Seconds that unused state stays in Redis; a day.")] = None,
    kv_codec: Annotated[
        Literal["none", "zstd", "int8"] | None,
        _option("--kv-codec", "How state in Redis is made smaller: none (default), zstd (exact), int8 (not exact)."),
    ] = None,
    log_redis: Annotated[
        str | None, _option("--log-redis", "The log's Redis, if it is not the one of --redis.")
    ] = None,
    block_size: Annotated[int | None, _option("--block-size", "Tokens a block of saved state; default 32.")] = None,
    drafts: Annotated[
        str | None,
        _option("--drafts", "Tokens guessed ahead in a step: auto (where it pays), off, or how many; default auto."),
    ] = None,
    control_rate: Annotated[
        float | None,
        _option("--control-rate", "Share of turns computed from scratch as a check; default 0.01."),
    ] = None,
    control_mode: Annotated[
        Literal["replace", "shadow"] | None,
        _option("--control-mode", "In place of reuse, or after the reply while idle; default shadow."),
    ] = None,
    reasoning: Annotated[
        str | None,
        _option("--reasoning", "How the model marks what it thinks: off, or a format's name; default auto."),
    ] = None,
    ahead: Annotated[
        Literal["off", "replies", "typing"] | None,
        _option("--ahead", "What next turns are prepared for while the machine is idle; default typing."),
    ] = None,
    sampling_defaults: Annotated[
        Literal["model", "openai"] | None,
        _option(
            "--sampling-defaults", "How to sample where a request does not say it: model or openai; default model."
        ),
    ] = None,
    max_context: Annotated[
        int | None, _option("--max-context", "Longest prompt and reply; default the model's.")
    ] = None,
) -> None:
    """Start a server. The address is printed on stdout when it is ready."""
    _serve({name: value for name, value in locals().items() if value is not None})


def _serve(given: dict[str, Any]) -> None:
    settings = load_server_settings(given, "serve")
    try:
        from warmturn_server.errors import WarmturnError
        from warmturn_server.serve import serve as run_server
    except ModuleNotFoundError as error:
        refuse_missing(error, "serve")
    try:
        run_server(settings)
    except ModuleNotFoundError as error:  # what only a server that really runs needs is loaded late
        refuse_missing(error, "serve")
    except (WarmturnError, OSError) as error:
        refuse(str(error), FAILED)
