/** Markdown that is not whole yet, as it may be shown: marks whose other half is still to come would stand there as
 * characters for a moment, and then be gone. Once a reply is whole it is shown as it is. */

const FENCE = /^ {0,3}(`{3,}|~{3,})/gm;
const FENCE_TO_BE = /(^|\n) {0,3}(`{1,2}|~{1,2}|(`{3,}|~{3,})[^\n]*)$/;
const LAST_FENCE = /\n {0,3}(`{3,}|~{3,})[ \t]*$/;
const ONLY_MARKS = /(^|\n)[ \t]*(?:[-+*>#|~=_]+|\d+[.)])[ \t]*$/;
const ROW_TO_BE = /(^|\n)[ \t]*\|(?:[ :|-]*|[^\n]*[^\n :|-][^\n]*(?:\n[ \t]*\|?[ :|-]*)?)$/;
const LINK_TO_BE = /!?\[([^\]\n]*)\]\([^)\n]*$/;
const MARKS = ["***", "**", "~~", "*"];

export function steady(text) {
  const fences = (text.match(FENCE) ?? []).length;
  if (fences % 2) return text.replace(FENCE_TO_BE, "$1");
  if (fences && LAST_FENCE.test(text)) return text;
  const begun = [FENCE_TO_BE, ONLY_MARKS, ROW_TO_BE].reduce((rest, end) => rest.replace(end, "$1"), text);
  const line = begun.lastIndexOf("\n") + 1;
  return begun.slice(0, line) + paired(begun.slice(line).replace(LINK_TO_BE, "$1"));
}

/** A line with the second halves of the marks that are open at its end. */
function paired(line) {
  if ((line.match(/`/g) ?? []).length % 2) return line.endsWith("`") ? line.slice(0, -1) : `${line}\``;
  return MARKS.reduce(withSecondHalf, line);
}

function withSecondHalf(line, mark) {
  const begun = line.replace(new RegExp(`(^|[\\s("'[])[${mark[0]}]+$`), "$1");
  return isOpen(begun, mark) ? begun.trimEnd().replace(new RegExp(`[${mark[0]}]$`), "") + mark : begun;
}

/** More of them begin before a word than end behind one. Bullets and what stands between ticks are no marks. */
function isOpen(line, mark) {
  const words = line.replace(/`[^`]*`/g, "`").replace(/^[ \t]*[*+-][ \t]/, "");
  const single = mark.length === 1 ? words.replaceAll("**", "") : words;
  const escaped = mark.replaceAll("*", "\\*");
  const count = (pattern) => (single.match(new RegExp(pattern, "g")) ?? []).length;
  return count(`(?<![^\\s("'[])${escaped}(?=[^\\s*~])`) > count(`(?<=[^\\s*~])${escaped}(?![\\w*~])`);
}
