"""What a client's script tells of what it saw: one object, feature by feature, as JSON on its last line."""

import json
import os
import traceback
from collections.abc import Callable
from typing import Any

BASE_URL, MODEL = os.environ["OPENAI_BASE_URL"], os.environ["WARMTURN_TESTS_MODEL"]
FACT, QUESTION = "My cat is called Mirelo.", "What is my cat called?"
NO_MODEL = "no-such-model"


def tell(*features: Callable[[], Any]) -> None:
    print(json.dumps({feature.__name__: _seen(feature) for feature in features}))


def _seen(feature: Callable[[], Any]) -> Any:
    try:
        return feature()
    except Exception:
        return {"failed": traceback.format_exc()[-3000:]}
