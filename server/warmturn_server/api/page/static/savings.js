/** What reuse saved, as it may be said; the same as `warmturn.savings` says it. Seconds, bounds of 95%. */

import { counted, seconds as written, times } from "./words.js";

export const NO_CLEAR_DIFFERENCE = "no clear difference";
const ENOUGH_CONTROLS = 5;
const CLEARLY = 1.1;

export const isClear = ({ bounds }) => !bounds || bounds[0] > 0 || bounds[1] < 0;

/** `about 1.44 s`, `lost 12 ms`, or that there is no clear difference. */
export function amount(saved) {
  if (!isClear(saved)) return NO_CLEAR_DIFFERENCE;
  return `${saved.seconds < 0 ? "lost " : ""}${saved.source === "estimated" ? "about " : ""}${written(Math.abs(saved.seconds))}`;
}

/** From `/v1/stats`, what is surest first; what control turns say goes for all turns, what was measured for some. */
export function ofServer(stats) {
  const known = [
    read(stats.controls?.saved_seconds, "controls", stats.controls?.measured_turns),
    ...["measured", "estimated"].map((source) => read(stats.saved_seconds?.[source], source, stats.saved_seconds?.[source]?.turns)),
  ].filter(Boolean);
  const controlled = known.some(({ source, bounds, turns }) => source === "controls" && bounds && turns >= ENOUGH_CONTROLS);
  const order = controlled ? ["controls", "estimated", "measured"] : ["measured", "estimated", "controls"];
  return known.sort((one, other) => order.indexOf(one.source) - order.indexOf(other.source));
}

/** Where the amount is from. */
export function origin({ source, turns, bounds }) {
  const between = bounds ? ` (${bounds.map(written).join(" to ")})` : "";
  const of = { controls: `by ${counted(turns, "control turn")}`, measured: `on ${counted(turns, "turn")} timed twice`, estimated: "of waiting, estimated" };
  return `${of[source]}${between}`;
}

/** The part of a turn's line, empty where nothing was reused or nobody knows; how many times sooner, by the lower bound. */
export function ofTurn(report) {
  if (!report.cached_tokens || report.saved_ms == null) return "";
  const source = report.recompute_source === "measured" ? "measured" : "estimated";
  const saved = { seconds: report.saved_ms / 1000, bounds: report.saved_ms_ci95?.map((ms) => ms / 1000), source };
  if (!isClear(saved) || saved.seconds < 0) return amount(saved);
  const low = report.saved_ms_ci95?.[0] ?? report.saved_ms;
  const factor = report.ttft_ms ? 1 + low / report.ttft_ms : 1;
  return `saved ${amount(saved)}${factor >= CLEARLY ? ` (${times(factor)})` : ""}`;
}

function read(found, source, turns) {
  return found?.value == null ? null : { seconds: found.value, bounds: found.ci95, source, turns };
}
