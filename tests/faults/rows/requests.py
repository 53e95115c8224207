"""Requests made from `/openapi.json`, right and wrong ones, alone and in chains: what it says must be true."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.result import Ok
from tests.faults.row import Outcome, Row, Trial
from tests.support.conversation_files import brought, fetched
from tests.support.models import make_model
from tests.support.server import ServerProcess
from tests.support.talk import Talk, checked

_CASES = 10
_SENSIBLE = 0.7
_MESSAGES = [{"role": "user", "content": "hello"}]
_STEPS = 12
_EVERY = 6
"""One trial of so many makes requests that build on each other."""
_CONTEXT = ("--block-size", "8", "--max-context", "128")
_CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
    "use_after_free",
    "ignored_auth",
)


@contextmanager
def _rig(folder: Path) -> Iterator[Trial]:
    load_all_checks()
    with ServerProcess(
        make_model(folder / "model"), folder / "data", *_CONTEXT, environment={"WARMTURN_API_KEY": _KEY}
    ) as server:
        schema = schemathesis.openapi.from_url(f"{server.base_url}/openapi.json", headers=_WITH_KEY)
        operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
        with server.client() as client:
            client.headers.update(_WITH_KEY)
            yield _Asking(schema, operations, client).try_once


_KEY = "the key of the requests"
_WITH_KEY = {"Authorization": f"Bearer {_KEY}"}


class _Asking:
    def __init__(self, schema: Any, operations: list[Any], client: httpx.Client) -> None:
        self._schema, self._operations, self._client = schema, operations, client
        self._checks: list[Any] = [CHECKS.get_one(name) for name in _CHECKED]

    def try_once(self, number: int, chance: random.Random) -> Outcome:
        if number % _EVERY == _EVERY - 1:
            return self._one_after_the_other(chance)
        operation = self._operations[(number - number // _EVERY) % len(self._operations)]
        mode = chance.choice([GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
        return self._alone(operation, mode, chance)

    def _alone(self, operation: Any, mode: GenerationMode, chance: random.Random) -> Outcome:
        seen: Counter[str] = Counter()
        there = self._what_is_there() if mode is GenerationMode.POSITIVE else {}

        @hypothesis.seed(chance.getrandbits(64))
        @hypothesis.settings(_SETTINGS, max_examples=_CASES)
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            if there and chance.random() < _SENSIBLE:
                _mean_something(case, there)
            response = case.call_and_validate(checks=self._checks, headers=_WITH_KEY)
            seen.update(["requests", f"answered {response.status_code // 100}xx"])

        with suppress(Unsatisfiable):  # a route without parameters cannot be asked wrongly
            ask()
        return Outcome(seen)

    def _what_is_there(self) -> dict[str, str]:
        """By the name of the parameter that takes it; requests may delete it."""
        talk = Talk.begin(self._client)
        said = talk.say("hello", max_output_tokens=4)
        items = checked(self._client.get(f"/v1/conversations/{talk.id}/items"))
        imported = brought(self._client, fetched(self._client, talk.id, state="false")).answer["id"]
        of_talk = {"conversation_id": talk.id, "response_id": said.id, "item_id": items["last_id"], "model": "model"}
        return {**of_talk, "import_id": imported, "number": "0"}

    def _one_after_the_other(self, chance: random.Random) -> Outcome:
        seen: Counter[str] = Counter()
        checks = self._checks

        class Chain(self._schema.as_state_machine()):  # type: ignore[misc]
            def get_call_kwargs(self, case: Any) -> dict[str, Any]:  # noqa: ARG002
                return {"headers": _WITH_KEY}

            def validate_response(self, response: Any, case: Any, **given: Any) -> None:
                seen.update(["requests in chains", f"answered {response.status_code // 100}xx"])
                case.validate_response(response, checks=checks, **given)

        hypothesis.stateful.run_state_machine_as_test(
            hypothesis.seed(chance.getrandbits(64))(Chain),
            settings=hypothesis.settings(_SETTINGS, max_examples=1, stateful_step_count=_STEPS),
        )
        return Outcome(seen)


def _mean_something(case: Any, there: dict[str, str]) -> None:
    """Chance alone names nothing that there is, and says nothing that can be answered."""
    case.path_parameters.update({name: there[name] for name in case.path_parameters})
    if isinstance(case.body, dict):
        for name in ("model", "conversation", "previous_response_id", "item_id"):
            case.body.pop(name, None)
        for name, value in {"input": "hello", "messages": _MESSAGES, "items": _MESSAGES}.items():
            if name in case.body:
                case.body[name] = value


_SETTINGS = hypothesis.settings(
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)

ROW = Row(
    "requests",
    "no request makes the server fail, and every answer is as its OpenAPI description says",
    long=240,
    short=30,
    rig=_rig,
)
