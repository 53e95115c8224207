"""The deployment: what Serve is told of replicas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ray import serve

from .arguments import Arguments, Scale
from .replica import HEALTH_SECONDS, Replica
from .router import router_config

_MOST_REQUESTS: Final = 1000
"""At one replica at once: it has limits of its own, and tells them in OpenAI's words."""
_LAST_WORDS_SECONDS: Final = 20.0
"""For ending turns that took too long, and for saving what they computed."""
_TRIES: Final = 3
_MORE_AFTER_SECONDS: Final = 10.0
_FEWER_AFTER_SECONDS: Final = 300.0
"""A replica that goes takes what it has in memory along."""


def application(arguments: Mapping[str, Any]) -> Any:
    """Raises `StartRefused` with what to do."""
    parsed = Arguments.parse(arguments)
    settings = parsed.read()
    deployment = serve.deployment(
        Replica,
        name="Warmturn",
        ray_actor_options={"num_cpus": parsed.scale.cpus, "num_gpus": parsed.scale.gpus},
        max_ongoing_requests=_MOST_REQUESTS,
        request_router_config=router_config(),
        graceful_shutdown_wait_loop_s=0.5,
        graceful_shutdown_timeout_s=settings.drain_seconds + _LAST_WORDS_SECONDS,
        health_check_period_s=5.0,
        health_check_timeout_s=HEALTH_SECONDS + 10.0,
        max_constructor_retry_count=_TRIES,
        **_number_of_replicas(parsed.scale),
    )
    return deployment.bind(parsed)


def _number_of_replicas(scale: Scale) -> dict[str, Any]:
    """Turns are what takes time; so requests in flight are turns in flight."""
    if scale.max_replicas is None:
        return {"num_replicas": scale.replicas or scale.min_replicas}
    return {
        "autoscaling_config": {
            "min_replicas": scale.min_replicas,
            "max_replicas": scale.max_replicas,
            "target_ongoing_requests": scale.turns_per_replica,
            "upscale_delay_s": _MORE_AFTER_SECONDS,
            "downscale_delay_s": _FEWER_AFTER_SECONDS,
        }
    }
