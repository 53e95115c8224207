# mypy: ignore-errors
import asyncio

import openai
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    SQLiteSession,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from pet import Pet
from telling import FACT, MODEL, NO_MODEL, QUESTION, tell

set_tracing_disabled(True)


def agent(kind=OpenAIResponsesModel, name=MODEL, **options):
    model = kind(model=name, openai_client=AsyncOpenAI(max_retries=0))
    return Agent(name="cat", model=model, model_settings=ModelSettings(temperature=0, include_usage=True), **options)


def run(*asked, **options):
    return asyncio.run(Runner.run(*asked, **options))


async def _streamed(one):
    result = Runner.run_streamed(one, FACT)
    events = [event async for event in result.stream_events() if event.type == "raw_response_event"]
    pieces = [event.data.delta for event in events if event.data.type == "response.output_text.delta"]
    usage = result.context_wrapper.usage
    return {
        "text": "".join(pieces),
        "pieces": len(pieces),
        "usage": {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens},
    }


def again(said):
    usage = said.context_wrapper.usage
    return {
        "text": said.final_output,
        "cached": usage.input_tokens_details.cached_tokens,
        "input": usage.input_tokens,
    }


def chat():
    return run(agent(OpenAIChatCompletionsModel), FACT).final_output


def chat_stream():
    return asyncio.run(_streamed(agent(OpenAIChatCompletionsModel)))


def chat_again():
    session = SQLiteSession("chat")
    run(agent(OpenAIChatCompletionsModel), FACT, session=session)
    return again(run(agent(OpenAIChatCompletionsModel), QUESTION, session=session))


def chat_form():
    return run(agent(OpenAIChatCompletionsModel, output_type=Pet), FACT).final_output.model_dump()


def response():
    return run(agent(), FACT).final_output


def response_stream():
    return asyncio.run(_streamed(agent()))


def response_again():
    first = run(agent(), FACT)
    return again(run(agent(), QUESTION, previous_response_id=first.last_response_id))


def conversation():
    async def created():
        return (await AsyncOpenAI().conversations.create()).id

    talk = asyncio.run(created())
    run(agent(), FACT, conversation_id=talk)
    return again(run(agent(), QUESTION, conversation_id=talk))


def items_sent_again():
    session = SQLiteSession("responses")
    run(agent(), FACT, session=session)
    return again(run(agent(), QUESTION, session=session))


def response_form():
    return run(agent(output_type=Pet), FACT).final_output.model_dump()


def error():
    try:
        run(agent(name=NO_MODEL), FACT)
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
    items_sent_again,
    response_form,
    error,
)
