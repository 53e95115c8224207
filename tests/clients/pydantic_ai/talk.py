# mypy: ignore-errors
import asyncio

from pet import Pet
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from telling import BASE_URL, FACT, MODEL, NO_MODEL, QUESTION, tell


def agent(kind, name=MODEL, **options):
    model = kind(name, provider=OpenAIProvider(base_url=BASE_URL, api_key="none"))
    return Agent(model, model_settings={"temperature": 0}, retries=0, **options)


async def _streamed(one):
    async with one.run_stream(FACT) as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
    usage = result.usage
    return {
        "text": "".join(pieces),
        "pieces": len(pieces),
        "usage": {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens},
    }


def again(one, **options):
    first = one.run_sync(FACT)
    said = one.run_sync(QUESTION, message_history=first.all_messages(), **options)
    usage = said.usage
    return {"text": said.output, "cached": usage.cache_read_tokens, "input": usage.input_tokens}


def chat():
    return agent(OpenAIChatModel).run_sync(FACT).output


def chat_stream():
    return asyncio.run(_streamed(agent(OpenAIChatModel)))


def chat_again():
    return again(agent(OpenAIChatModel))


def chat_form():
    return agent(OpenAIChatModel, output_type=NativeOutput(Pet)).run_sync(FACT).output.model_dump()


def response():
    return agent(OpenAIResponsesModel).run_sync(FACT).output


def response_stream():
    return asyncio.run(_streamed(agent(OpenAIResponsesModel)))


def response_again():
    return again(agent(OpenAIResponsesModel), model_settings={"openai_previous_response_id": "auto", "temperature": 0})


def items_sent_again():
    return again(agent(OpenAIResponsesModel))


def response_form():
    return agent(OpenAIResponsesModel, output_type=NativeOutput(Pet)).run_sync(FACT).output.model_dump()


def error():
    try:
        agent(OpenAIResponsesModel, NO_MODEL).run_sync(FACT)
    except ModelHTTPError as refused:
        return {"status": refused.status_code, "code": refused.body["code"]}


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
