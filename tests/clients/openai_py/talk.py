# mypy: ignore-errors

import openai
from pet import Pet
from telling import FACT, MODEL, NO_MODEL, QUESTION, tell

client = openai.OpenAI(max_retries=0, _strict_response_validation=True)


def chat():
    said = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": FACT}], temperature=0)
    return said.choices[0].message.content


def chat_stream():
    asked = {"model": MODEL, "messages": [{"role": "user", "content": FACT}], "temperature": 0}
    with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        return {"text": "".join(pieces), "pieces": len(pieces), "usage": stream.get_final_completion().usage.to_dict()}


def chat_again():
    history = [{"role": "user", "content": FACT}, {"role": "assistant", "content": chat()}]
    asked = [*history, {"role": "user", "content": QUESTION}]
    said = client.chat.completions.create(model=MODEL, messages=asked, temperature=0)
    return {
        "text": said.choices[0].message.content,
        "cached": said.usage.prompt_tokens_details.cached_tokens,
        "input": said.usage.prompt_tokens,
    }


def chat_form():
    asked = {"model": MODEL, "messages": [{"role": "user", "content": FACT}], "temperature": 0}
    return client.chat.completions.parse(**asked, response_format=Pet).choices[0].message.parsed.model_dump()


def response():
    return client.responses.create(model=MODEL, input=FACT, temperature=0).output_text


def response_stream():
    with client.responses.stream(model=MODEL, input=FACT, temperature=0) as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        return {"text": "".join(pieces), "pieces": len(pieces), "usage": stream.get_final_response().usage.to_dict()}


def response_again():
    first = client.responses.create(model=MODEL, input=FACT, temperature=0)
    said = client.responses.create(model=MODEL, input=QUESTION, previous_response_id=first.id, temperature=0)
    return _again(said)


def conversation():
    talk = client.conversations.create()
    client.responses.create(model=MODEL, input=FACT, conversation=talk.id, temperature=0)
    return _again(client.responses.create(model=MODEL, input=QUESTION, conversation=talk.id, temperature=0))


def _again(said):
    usage = said.usage
    return {"text": said.output_text, "cached": usage.input_tokens_details.cached_tokens, "input": usage.input_tokens}


def response_form():
    asked = {"model": MODEL, "input": FACT, "temperature": 0}
    return client.responses.parse(**asked, text_format=Pet).output_parsed.model_dump()


def count():
    counted = client.responses.input_tokens.count(model=MODEL, input=FACT).input_tokens
    return {"counted": counted, "used": client.responses.create(model=MODEL, input=FACT).usage.input_tokens}


def error():
    try:
        client.responses.create(model=NO_MODEL, input=FACT)
    except openai.NotFoundError as refused:
        return {"status": refused.status_code, "code": refused.code}


tell(
    chat,
    chat_stream,
    chat_again,
    chat_form,
    response,
    response_stream,
    response_again,
    conversation,
    response_form,
    count,
    error,
)
