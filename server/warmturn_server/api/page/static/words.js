/** Figures as people read them; the same words as `warmturn chat`. */

const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const toHundredths = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export const count = (value) => (value == null ? "?" : grouped.format(value));
export const percent = (share) => (share == null ? "–" : `${grouped.format(100 * share)} %`);
export const spelled = (name) => name.replaceAll("_", " ");

/** `6.1 ms`, `38 ms`, `1.44 s`: two or three digits that matter. */
export function milliseconds(ms) {
  if (ms == null) return "–";
  if (Math.abs(ms) >= 1000) return `${toHundredths.format(ms / 1000)} s`;
  return Math.abs(ms) < 9.95 ? `${ms.toFixed(1)} ms` : `${ms.toFixed(0)} ms`;
}

export const seconds = (value) => (value == null ? "–" : milliseconds(1000 * value));

export function byteSize(size) {
  if (size == null) return "?";
  let unit = 0;
  for (; size >= 1024 && unit < UNITS.length - 1; unit += 1) size /= 1024;
  return `${size.toFixed(unit ? 1 : 0)} ${UNITS[unit]}`;
}

export function rate(perSecond) {
  if (perSecond == null) return "–";
  return perSecond >= 9.95 || perSecond === 0 ? grouped.format(perSecond) : perSecond.toFixed(1);
}

/** Rounded down, so that a gain is never overstated. */
export function times(factor) {
  return factor >= 10 ? `${grouped.format(Math.floor(factor))}x` : `${(Math.floor(factor * 10) / 10).toFixed(1)}x`;
}

/** The line under a turn, in its parts: `TTFT 38 ms`, `1,186 of 1,204 tokens reused (ram)`, `saved 1.44 s (38x)`. */
export function turnParts(report) {
  return [ttft(report), tokens(report), saved(report), miss(report)].filter(Boolean);
}

export const turnLine = (report) => turnParts(report).join(" · ");

export const usedTiers = (report) => Object.entries(report.cached_by_tier).filter(([, number]) => number);

function ttft(report) {
  return report.ttft_ms == null ? "" : `TTFT ${milliseconds(report.ttft_ms)}`;
}

function tokens(report) {
  if (report.reuse !== "state") return `${count(report.prefilled_tokens)} tokens computed, reuse off (${report.reuse})`;
  return `${count(report.cached_tokens)} of ${count(report.prompt_tokens)} tokens reused${tiers(report)}`;
}

function tiers(report) {
  const used = usedTiers(report);
  if (used.length === 1) return ` (${used[0][0]})`;
  return used.length ? ` (${used.map(([tier, number]) => `${count(number)} ${tier}`).join(", ")})` : "";
}

function saved(report) {
  if (!report.cached_tokens || report.saved_ms == null) return "";
  if (report.saved_ms < 0) return `lost ${milliseconds(-report.saved_ms)}`;
  const faster = report.ttft_ms ? ` (${times((report.ttft_ms + report.saved_ms) / report.ttft_ms)})` : "";
  return `saved ${milliseconds(report.saved_ms)}${faster}`;
}

function miss(report) {
  if (!report.miss) return "";
  return `reuse stopped at token ${count(report.miss.at_token)} (${spelled(report.miss.reason)})`;
}

/** The same for somebody who sees it for the first time. */
export function explanation(report) {
  const all = count(report.prompt_tokens);
  const fresh = count(report.prefilled_tokens);
  if (report.reuse === "prompt") return `A server that keeps nothing: all ${all} tokens of the conversation were computed again before the first word.`;
  if (report.reuse === "nothing") return `No cache at all: all ${all} tokens were computed again, and once more for every word of the reply.`;
  if (!report.cached_tokens) return `Nothing was saved yet, so the model computed all ${all} tokens of this prompt. Their state is kept now: the next turn computes only what is new.`;
  return `The prompt has ${all} tokens. ${count(report.cached_tokens)} were computed in earlier turns and their state was kept; only ${fresh} had to be computed now.`;
}
