/** Figures as people read them; the same words as `warmturn chat`. */

const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const toHundredths = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export const count = (value) => (value == null ? "?" : grouped.format(value));
export const counted = (value, what) => `${count(value)} ${what}${value === 1 ? "" : "s"}`;
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
