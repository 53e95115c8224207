/** What a page without a conversation says: what this is, what it saved so far, and how to see it. */

import { bar } from "./turn.js";
import { byId, el } from "./dom.js";
import { amount, isClear, ofServer, origin } from "./savings.js";
import { count, percent } from "./words.js";

const STARTERS = ["I have a cat called Mirelo.", "My locker code is 4821.", "What is my cat called?"];
const EXAMPLE = { cached_by_tier: { resident: 0, ram: 420, disk: 150 }, prefilled_tokens: 32 };

export function showEmpty(composer, samples) {
  const kept = el("p", { class: "kept" });
  byId("empty").append(
    el("h2", {}, "What was read once is not read again."),
    el("p", { class: "lead" }, "Everything a model reads leaves state behind: two vectors a token, in every layer. Most servers drop it after the reply and read the whole conversation again for the next one. This one keeps it, through eviction and restart."),
    el("div", { class: "example" }, bar(EXAMPLE), legend()),
    el("p", { class: "caption" }, "Beside every reply a bar like this one shows its prompt from the first token to the last: what came from saved state, the warmer the nearer it lay, and what had to be computed."),
    kept,
    el("p", { class: "starters" }, "Tell it something, then ask for it: ", ...STARTERS.map((text) => el("button", { type: "button", class: "quiet", onclick: () => composer.suggest(text) }, text))),
  );
  samples.listen(() => (kept.textContent = savedSoFar(samples.stats)));
}

function legend() {
  const names = { resident: "in place", ram: "memory", disk: "disk", computed: "computed" };
  const entries = Object.entries(names).map(([source, meaning]) => el("li", {}, el("span", { class: `swatch ${source}` }), `${source === meaning ? "" : `${source}, `}${meaning}`));
  return el("ul", { class: "legend" }, ...entries);
}

function savedSoFar(stats) {
  if (!stats?.totals.turns) return "Nobody has said anything since this server started.";
  const sources = stats.prompt_tokens_by_source;
  const all = Object.values(sources).reduce((sum, value) => sum + value, 0);
  const share = all ? 1 - (sources.computed ?? 0) / all : null;
  return `Since this server started: ${count(stats.totals.turns)} turns, ${percent(share)} of their prompt tokens reused${waiting(stats)}.`;
}

function waiting(stats) {
  const [saved] = ofServer(stats);
  if (!saved || !isClear(saved) || saved.seconds < 0) return "";
  return `, ${amount(saved)} of waiting saved${saved.source === "measured" ? ` ${origin({ ...saved, bounds: null })}` : ""}`;
}
