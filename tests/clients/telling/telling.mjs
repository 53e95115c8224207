// What a client's script tells of what it saw: one object, feature by feature, as JSON on its last line.

export const BASE_URL = process.env.OPENAI_BASE_URL;
export const MODEL = process.env.WARMTURN_TESTS_MODEL;
export const FACT = "My cat is called Mirelo.";
export const QUESTION = "What is my cat called?";
export const NO_MODEL = "no-such-model";
export const PET = {
  type: "object",
  properties: { name: { type: "string", enum: ["Mirelo", "Luno"] }, alive: { type: "boolean" } },
  required: ["name", "alive"],
  additionalProperties: false,
};

export async function tell(features) {
  const seen = {};
  for (const [name, feature] of Object.entries(features)) {
    try {
      seen[name] = await feature();
    } catch (error) {
      seen[name] = { failed: `${error?.stack ?? error}`.slice(0, 3000) };
    }
  }
  console.log(JSON.stringify(seen));
}
