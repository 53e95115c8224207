# mypy: ignore-errors

import openai
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from pet import Pet
from telling import FACT, MODEL, NO_MODEL, QUESTION, tell


def model(**options):
    return ChatOpenAI(**{"model": MODEL, "temperature": 0, "max_retries": 0, **options})


def chat():
    return model().invoke(FACT).content


def streamed(llm):
    pieces = list(llm.stream(FACT))
    texts = [str(piece.text) for piece in pieces]
    return {"text": "".join(texts), "pieces": sum(map(bool, texts)), "usage": _sum(pieces).usage_metadata}


def _sum(pieces):
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    return whole


def chat_stream():
    return streamed(model(stream_usage=True))


def again(llm):
    asked = [HumanMessage(FACT)]
    asked += [llm.invoke(asked), HumanMessage(QUESTION)]
    said = llm.invoke(asked)
    usage = said.usage_metadata
    return {"text": said.text, "cached": usage["input_token_details"]["cache_read"], "input": usage["input_tokens"]}


def chat_again():
    return again(model())


def chat_form():
    return model().with_structured_output(Pet, method="json_schema").invoke(FACT).model_dump()


def response():
    return model(use_responses_api=True).invoke(FACT).text


def response_stream():
    return streamed(model(use_responses_api=True))


def response_again():
    return again(model(use_responses_api=True, use_previous_response_id=True))


def items_sent_again():
    return again(model(use_responses_api=True))


def response_form():
    llm = model(use_responses_api=True)
    return llm.with_structured_output(Pet, method="json_schema").invoke(FACT).model_dump()


def error():
    try:
        model(model=NO_MODEL).invoke(FACT)
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
    items_sent_again,
    response_form,
    error,
)
