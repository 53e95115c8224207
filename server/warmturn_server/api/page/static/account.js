/** A turn's account in words; the same line as `warmturn chat` shows. */

import { ofTurn } from "./savings.js";
import { count, milliseconds, spelled } from "./words.js";

/** The line under a turn, in its parts: `TTFT 38 ms`, `1,186 of 1,204 tokens reused (ram)`, `saved about 1.44 s (36x)`. */
export function turnParts(report) {
  return [ttft(report), tokens(report), ofTurn(report), drafts(report), miss(report), control(report)].filter(Boolean);
}

export const turnLine = (report) => turnParts(report).join(" · ");

export const usedTiers = (report) => Object.entries(report.cached_by_tier).filter(([, number]) => number);

function ttft(report) {
  return report.ttft_ms == null ? "" : `TTFT ${milliseconds(report.ttft_ms)}`;
}

function tokens(report) {
  if (report.reuse !== "state") return `${count(report.prefilled_tokens)} tokens computed, reuse off (${report.reuse})`;
  return `${count(report.cached_tokens)} of ${count(report.prompt_tokens)} tokens reused${tiers(report)}${ahead(report)}`;
}

const ahead = (report) => (report.ahead_tokens ? `, ${count(report.ahead_tokens)} of them prepared` : "");

function tiers(report) {
  const used = usedTiers(report);
  if (used.length === 1) return ` (${used[0][0]})`;
  return used.length ? ` (${used.map(([tier, number]) => `${count(number)} ${tier}`).join(", ")})` : "";
}

function drafts(report) {
  if (!report.drafts?.drafted) return "";
  return `${count(report.drafts.accepted)} of ${count(report.drafts.drafted)} guesses right`;
}

function miss(report) {
  if (!report.miss) return "";
  return `reuse stopped at token ${count(report.miss.at_token)} (${spelled(report.miss.reason)})`;
}

/** Nothing of a check that waits until the machine is idle: that cost this turn nothing. */
const control = (report) => (report.control?.mode === "replace" ? "control turn, computed in full on purpose" : "");

/** The same for somebody who sees it for the first time. */
export function explanation(report) {
  const all = count(report.prompt_tokens);
  const fresh = count(report.prefilled_tokens);
  if (report.reuse === "prompt") return `A server that keeps nothing: all ${all} tokens of the conversation were computed again before the first word.`;
  if (report.reuse === "nothing") return `No cache at all: all ${all} tokens were computed again, and once more for every word of the reply.`;
  if (control(report)) return `A control turn: all ${all} tokens were computed again on purpose, to check what saved state saves and says.`;
  if (!report.cached_tokens) return `Nothing was saved yet, so the model computed all ${all} tokens of this prompt. Their state is kept now: the next turn computes only what is new.`;
  return `The prompt has ${all} tokens. ${count(report.cached_tokens)} were computed in earlier turns and their state was kept; only ${fresh} had to be computed now.`;
}
