# mypy: ignore-errors
import json

import litellm
from pet import Pet
from telling import BASE_URL, FACT, MODEL, NO_MODEL, QUESTION, tell

COMMON = {"api_base": BASE_URL, "api_key": "none", "temperature": 0, "num_retries": 0}
ASKED = {**COMMON, "model": f"openai/{MODEL}"}


def user(text):
    return {"role": "user", "content": text}


def chat():
    return litellm.completion(**ASKED, messages=[user(FACT)]).choices[0].message.content


def chat_stream():
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(litellm.completion(**ASKED, messages=[user(FACT)], **options))
    pieces = [text for chunk in chunks for choice in chunk.choices if (text := choice.delta.content)]
    return {"text": "".join(pieces), "pieces": len(pieces), "usage": chunks[-1].usage.model_dump(mode="json")}


def chat_again():
    history = [user(FACT), {"role": "assistant", "content": chat()}, user(QUESTION)]
    said = litellm.completion(**ASKED, messages=history)
    usage = said.usage
    return {
        "text": said.choices[0].message.content,
        "cached": usage.prompt_tokens_details.cached_tokens,
        "input": usage.prompt_tokens,
    }


def chat_form():
    said = litellm.completion(**ASKED, messages=[user(FACT)], response_format=Pet)
    return json.loads(said.choices[0].message.content)


def response():
    return litellm.responses(**ASKED, input=FACT).output_text


def response_stream():
    events = list(litellm.responses(**ASKED, input=FACT, stream=True))
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    usage = events[-1].response.usage.model_dump(mode="json")
    return {"text": "".join(pieces), "pieces": len(pieces), "usage": usage}


def response_again():
    first = litellm.responses(**ASKED, input=FACT)
    said = litellm.responses(**ASKED, input=QUESTION, previous_response_id=first.id)
    usage = said.usage
    return {"text": said.output_text, "cached": usage.input_tokens_details.cached_tokens, "input": usage.input_tokens}


def response_form():
    return json.loads(litellm.responses(**ASKED, input=FACT, text_format=Pet).output_text)


def error():
    try:
        litellm.completion(**COMMON, model=f"openai/{NO_MODEL}", messages=[user(FACT)])
    except litellm.NotFoundError as refused:
        return {"status": refused.status_code, "code": "model_not_found" if "does not exist" in str(refused) else None}


tell(
    chat,
    chat_stream,
    chat_again,
    chat_form,
    response,
    response_stream,
    response_again,
    response_form,
    error,
)
