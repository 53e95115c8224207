/** What the figures show. Each panel gives its lines' names, a line's value at one moment, and the columns of its table. */

import { amount, ofServer, origin } from "./savings.js";
import { byteSize, count, milliseconds, percent, rate, seconds } from "./words.js";

const MODES = ["state", "prompt", "nothing"];
const SOURCES = ["computed", "redis", "disk", "ram", "resident"];
const REASON_COLOURS = ["ember", "ram", "disk", "redis", "computed", "mode-prompt", "ink-2"];

const WHOLE = [1, 2, 5].flatMap((digit) => [0, 1, 2, 3, 4, 5, 6, 7, 8].map((power) => digit * 10 ** power)).sort((a, b) => a - b);
const BINARY = Array.from({ length: 45 }, (_, power) => 2 ** power);

const ttft = (row, mode) => row.stats.recent.by_reuse[mode]?.ttft_ms ?? {};
const sources = (stats) => stats.prompt_tokens_by_source;
const sum = (counts) => Object.values(counts).reduce((total, value) => total + value, 0);
const share = (row, source) => (sum(sources(row.stats)) ? (sources(row.stats)[source] ?? 0) / sum(sources(row.stats)) : null);
const reasons = (stats) => Object.keys(stats.misses).sort();

const SAVED_FROM = { controls: "control turns", measured: "measured", estimated: "estimated" };
const savedFrom = (stats, name) => ofServer(stats).find(({ source }) => SAVED_FROM[source] === name);
const savedSeconds = (row, name) => savedFrom(row.stats, name)?.seconds;
const confidence = (row, name) => savedFrom(row.stats, name)?.bounds?.map(seconds).join(" to ");

function bestKnown(row) {
  const [saved] = ofServer(row.stats);
  return saved ? { value: amount(saved), says: origin(saved) } : { value: "–", says: "of waiting: not known yet" };
}

export const PANELS = [
  {
    id: "ttft",
    title: "Time to first token",
    says: "median of the turns that ended in the last minute, by reuse mode",
    names: () => MODES,
    value: (row, mode) => ttft(row, mode).p50,
    colour: (mode) => `mode-${mode}`,
    label: milliseconds,
    columns: [
      { head: "p50", value: (row, mode) => ttft(row, mode).p50, text: milliseconds },
      { head: "p95", value: (row, mode) => ttft(row, mode).p95, text: milliseconds },
      { head: "turns", value: (row, mode) => row.stats.recent.by_reuse[mode]?.turns, text: count },
    ],
  },
  {
    id: "sources",
    title: "Where prompt tokens come from",
    says: "tokens a second of the turns that ended, stacked; what is not computed was reused",
    stacked: true,
    names: (stats) => SOURCES.filter((source) => source in sources(stats) || source in stats.tiers),
    value: (row, source) => row.rates.sources?.[source] ?? (row.rates.sources ? 0 : null),
    colour: (source) => source,
    label: rate,
    columns: [
      { head: "a second", value: (row, source) => row.rates.sources?.[source], text: rate },
      { head: "total", value: (row, source) => sources(row.stats)[source] ?? 0, text: count },
      { head: "share", value: share, text: percent },
    ],
  },
  {
    id: "saved",
    title: "Seconds saved",
    says: "against computing everything again: by control turns for all turns, measured on those timed twice, estimated; losses count as negative",
    names: (stats) => Object.values(SAVED_FROM).filter((name) => name === "estimated" || savedFrom(stats, name)),
    value: savedSeconds,
    colour: (name) => ({ "control turns": "redis", measured: "disk", estimated: "ember" })[name],
    label: seconds,
    columns: [{ head: "total", value: savedSeconds, text: seconds }, { head: "95 %", value: confidence, text: (text) => text ?? "" }],
  },
  {
    id: "throughput",
    title: "Tokens a second",
    says: "while turns run; all computed holds what mode nothing computes again for every token",
    names: () => ["all computed", "generated"],
    value: (row, name) => row.rates[name],
    colour: (name) => (name === "generated" ? "ember" : "computed"),
    label: rate,
    columns: [
      { head: "a second", value: (row, name) => row.rates[name], text: rate },
      { head: "total", value: (row, name) => row.stats.totals[name === "generated" ? "tokens_generated" : "tokens_prefilled"], text: count },
    ],
  },
  {
    id: "requests",
    title: "Turns in work",
    says: "running together in one batch, and waiting for room",
    stepped: true,
    names: () => ["running", "waiting"],
    value: (row, name) => row.stats[name],
    colour: (name) => (name === "running" ? "ember" : "disk"),
    label: count,
    steps: WHOLE,
    columns: [{ head: "turns", value: (row, name) => row.stats[name], text: count }],
  },
  {
    id: "tiers",
    title: "State held",
    says: "bytes in each tier; a full tier drops what was used longest ago",
    names: (stats) => Object.keys(stats.tiers),
    value: (row, tier) => row.stats.tiers[tier]?.bytes,
    colour: (tier) => tier,
    label: byteSize,
    steps: BINARY,
    columns: [
      { head: "held", value: (row, tier) => row.stats.tiers[tier]?.bytes, text: byteSize },
      { head: "of", value: (row, tier) => row.stats.tiers[tier]?.budget_bytes, text: byteSize },
      { head: "read at", value: (row, tier) => row.stats.tiers[tier]?.bytes_per_second, text: (speed) => (speed == null ? "–" : `${byteSize(speed)}/s`) },
    ],
  },
  {
    id: "misses",
    title: "Where reuse stopped early",
    says: "turns by reason, since the server started",
    stepped: true,
    names: (stats) => (reasons(stats).length ? reasons(stats) : ["none"]),
    value: (row, reason) => row.stats.misses[reason] ?? 0,
    colour: (_reason, index) => REASON_COLOURS[index % REASON_COLOURS.length],
    label: count,
    steps: WHOLE,
    columns: [{ head: "turns", value: (row, reason) => row.stats.misses[reason] ?? 0, text: count }],
  },
];

/** The few figures that matter most, in the order in which people ask for them. */
export const HEADLINE = [
  { name: "saved", about: "saved", value: (row) => bestKnown(row).value, says: (row) => bestKnown(row).says },
  { name: "reused", value: (row) => percent(share(row, "computed") === null ? null : 1 - share(row, "computed")), says: "of prompt tokens in all modes" },
  { name: "first token", about: "first text", value: (row) => milliseconds(row.stats.by_reuse.state.ttft_ms.p50), says: "after, in the median, from saved state" },
  { name: "audits", value: (row) => count(row.stats.audits?.clean), says: (row) => `clean, ${count(row.stats.audits?.breach)} breached: saved state against recomputed` },
  { name: "turns", value: (row) => count(row.stats.totals.turns), says: (row) => `${row.stats.running} running, ${row.stats.waiting} waiting` },
];
