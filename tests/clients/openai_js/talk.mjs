import OpenAI from "openai";
import { FACT, MODEL, NO_MODEL, PET, QUESTION, tell } from "./telling.mjs";

const client = new OpenAI({ maxRetries: 0 });
const messages = [{ role: "user", content: FACT }];
const asked = { model: MODEL, temperature: 0 };

async function chat() {
  return (await client.chat.completions.create({ ...asked, messages })).choices[0].message.content;
}

async function chat_stream() {
  const stream = client.chat.completions.stream({ ...asked, messages, stream_options: { include_usage: true } });
  const pieces = [];
  stream.on("content", (piece) => pieces.push(piece));
  const { usage } = await stream.finalChatCompletion();
  return { text: pieces.join(""), pieces: pieces.length, usage };
}

async function chat_again() {
  const history = [...messages, { role: "assistant", content: await chat() }, { role: "user", content: QUESTION }];
  const { choices, usage } = await client.chat.completions.create({ ...asked, messages: history });
  return {
    text: choices[0].message.content,
    cached: usage.prompt_tokens_details.cached_tokens,
    input: usage.prompt_tokens,
  };
}

async function chat_form() {
  const response_format = { type: "json_schema", json_schema: { name: "pet", strict: true, schema: PET } };
  return JSON.parse((await client.chat.completions.create({ ...asked, messages, response_format })).choices[0].message.content);
}

async function response() {
  return (await client.responses.create({ ...asked, input: FACT })).output_text;
}

async function response_stream() {
  const stream = client.responses.stream({ ...asked, input: FACT });
  const pieces = [];
  stream.on("response.output_text.delta", (event) => pieces.push(event.delta));
  const { usage } = await stream.finalResponse();
  return { text: pieces.join(""), pieces: pieces.length, usage };
}

const again = ({ output_text, usage }) => ({
  text: output_text,
  cached: usage.input_tokens_details.cached_tokens,
  input: usage.input_tokens,
});

async function response_again() {
  const { id } = await client.responses.create({ ...asked, input: FACT });
  return again(await client.responses.create({ ...asked, input: QUESTION, previous_response_id: id }));
}

async function conversation() {
  const { id } = await client.conversations.create({});
  await client.responses.create({ ...asked, input: FACT, conversation: id });
  return again(await client.responses.create({ ...asked, input: QUESTION, conversation: id }));
}

async function response_form() {
  const text = { format: { type: "json_schema", name: "pet", strict: true, schema: PET } };
  return (await client.responses.parse({ ...asked, input: FACT, text })).output_parsed;
}

async function response_called() {
  const tools = [{ type: "function", name: "keep", description: "Keeps a pet in mind.", parameters: PET, strict: true }];
  const first = await client.responses.create({ ...asked, input: FACT, tools, tool_choice: "required", parallel_tool_calls: false });
  const call = first.output.find((item) => item.type === "function_call");
  const input = [{ type: "function_call_output", call_id: call.call_id, output: "It is kept in mind." }];
  const rest = { tools, tool_choice: "none", previous_response_id: first.id };
  const { output_text, usage } = await client.responses.create({ ...asked, ...rest, input });
  const told = { had: first.usage.total_tokens, ...again({ output_text, usage }) };
  return { name: call.name, given: JSON.parse(call.arguments), ...told };
}

async function count() {
  const { input_tokens } = await client.responses.inputTokens.count({ model: MODEL, input: FACT });
  return { counted: input_tokens, used: (await client.responses.create({ ...asked, input: FACT })).usage.input_tokens };
}

async function error() {
  try {
    await client.responses.create({ model: NO_MODEL, input: FACT });
  } catch (refused) {
    return { status: refused.status, code: refused.code };
  }
}

await tell({
  chat,
  chat_stream,
  chat_again,
  chat_form,
  response,
  response_stream,
  response_again,
  conversation,
  response_form,
  response_called,
  count,
  error,
});
