import { createOpenAI } from "@ai-sdk/openai";
import { Output, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { BASE_URL, FACT, MODEL, NO_MODEL, PET, QUESTION, tell } from "./telling.mjs";

const provider = createOpenAI({ baseURL: BASE_URL, apiKey: "none" });
const common = { temperature: 0, maxRetries: 0 };
const asked = (model) => ({ ...common, model, prompt: FACT });

const said = async (model) => (await generateText(asked(model))).text;

async function streamed(model) {
  const result = streamText({ ...asked(model), onError: () => {} });
  const pieces = [];
  for await (const piece of result.textStream) pieces.push(piece);
  return { text: pieces.join(""), pieces: pieces.length, usage: await result.usage };
}

async function again(model, providerOptions) {
  const messages = [{ role: "user", content: FACT }];
  const first = await generateText({ ...common, model, messages });
  messages.push(...first.response.messages, { role: "user", content: QUESTION });
  const { text, usage } = await generateText({ ...common, model, messages, providerOptions });
  return { text, cached: usage.inputTokenDetails?.cacheReadTokens ?? usage.cachedInputTokens, input: usage.inputTokens };
}

async function previous() {
  const model = provider.responses(MODEL);
  const { providerMetadata } = await generateText(asked(model));
  const openai = { previousResponseId: providerMetadata.openai.responseId };
  const { text, usage } = await generateText({ ...common, model, prompt: QUESTION, providerOptions: { openai } });
  return { text, cached: usage.inputTokenDetails?.cacheReadTokens ?? usage.cachedInputTokens, input: usage.inputTokens };
}

async function form(model) {
  return (await generateText({ ...asked(model), output: Output.object({ schema: jsonSchema(PET), name: "pet" }) })).output;
}

async function called(model) {
  const execute = () => "It is kept in mind.";
  const keep = tool({ description: "Keeps a pet in mind.", inputSchema: jsonSchema(PET), strict: true, execute });
  const prepareStep = ({ stepNumber }) => ({ toolChoice: stepNumber ? "none" : "required" });
  const steps = { tools: { keep }, prepareStep, stopWhen: stepCountIs(2) };
  const ran = await generateText({ ...asked(model), ...steps, providerOptions: { openai: { parallelToolCalls: false } } });
  const [first, last] = ran.steps;
  const [{ toolName, input: given }] = first.toolCalls;
  const { cachedInputTokens: cached, inputTokens: input } = last.usage;
  return { name: toolName, given, had: first.usage.totalTokens, input, cached, text: ran.text };
}

async function error() {
  try {
    await generateText(asked(provider.responses(NO_MODEL)));
  } catch (refused) {
    return { status: refused.statusCode, code: refused.data?.error?.code };
  }
}

await tell({
  chat: () => said(provider.chat(MODEL)),
  chat_stream: () => streamed(provider.chat(MODEL)),
  chat_again: () => again(provider.chat(MODEL)),
  chat_form: () => form(provider.chat(MODEL)),
  response: () => said(provider.responses(MODEL)),
  response_stream: () => streamed(provider.responses(MODEL)),
  response_again: previous,
  items_sent_again: () => again(provider.responses(MODEL), { openai: { store: false } }),
  items_referred_to: () => again(provider.responses(MODEL)),
  response_called: () => called(provider.responses(MODEL)),
  response_form: () => form(provider.responses(MODEL)),
  error,
});
