# mypy: ignore-errors
"""The command itself: what a person types."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from telling import BASE_URL, FACT, MODEL, NO_MODEL, QUESTION, tell

HOME = Path(tempfile.mkdtemp())
MODELS = "".join(
    f"- model_id: {name}\n  model_name: {name}\n  api_base: {BASE_URL}\n  supports_schema: true\n"
    for name in (MODEL, NO_MODEL)
)
(HOME / "extra-openai-models.yaml").write_text(MODELS)
PET = {
    "type": "object",
    "properties": {"name": {"enum": ["Mirelo", "Luno"]}, "alive": {"type": "boolean"}},
    "required": ["name", "alive"],
    "additionalProperties": False,
}


def llm(*arguments, check=True):
    """What it prints, without the last line's end."""
    environment = {**os.environ, "LLM_USER_PATH": str(HOME)}
    ran = subprocess.run([sys.executable, "-m", "llm", *arguments], capture_output=True, text=True, env=environment)
    if check and ran.returncode:
        raise RuntimeError(ran.stderr)
    return ran.stdout.removesuffix("\n") if check else ran.stderr


def last():
    (entry,) = json.loads(llm("logs", "list", "-n", "1", "--json"))
    return entry


def chat():
    return llm(FACT, "-m", MODEL, "-o", "temperature", "0", "--no-stream")


def chat_stream():
    text = llm(FACT, "-m", MODEL, "-o", "temperature", "0")
    entry = last()
    usage = {"input_tokens": entry["input_tokens"], "output_tokens": entry["output_tokens"]}
    return {"text": text, "pieces": None, "usage": usage}


def chat_again():
    text = llm(QUESTION, "-c", "-o", "temperature", "0")
    entry = last()
    details = json.loads(entry["token_details"]) if isinstance(entry["token_details"], str) else entry["token_details"]
    return {
        "text": text,
        "cached": (details or {}).get("prompt_tokens_details", {}).get("cached_tokens"),
        "input": entry["input_tokens"],
    }


def chat_form():
    return json.loads(llm(FACT, "-m", MODEL, "--schema", json.dumps(PET), "-o", "temperature", "0", "--no-stream"))


def error():
    said = llm(FACT, "-m", NO_MODEL, check=False)
    return {"status": 404 if "404" in said else said, "code": "model_not_found" if "does not exist" in said else said}


tell(chat, chat_stream, chat_again, chat_form, error)
