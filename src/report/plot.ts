/**
 * Pictures as SVG text, drawn when a page is made: axes, dots, lines, bands, in the page's colours,
 * so that they need no script and no other width. Which pictures a study has: study_page.ts; those
 * of runs are drawn by uPlot in the browser (charts.ts).
 */
import { number } from './format';
import { type Html, html, trusted } from './html';

/** In units of the picture, which is scaled to the page. */
const [WIDTH, HEIGHT] = [440, 270];
const [LEFT, RIGHT, TOP, BOTTOM] = [58, 12, 18, 46];

export interface Axis {
  label: string;
  from: number;
  to: number;
  /** Logarithmic. */
  log?: boolean;
  /** Whole numbers alone. */
  whole?: boolean;
  /** In place of numbers: names at 0, 1, 2, … */
  names?: readonly string[];
}

/** Where a value lies, from 0 to 1. */
function share({ from, to, log }: Axis, value: number): number {
  const at = log ? Math.log : (x: number) => x;
  return to === from ? 0.5 : (at(value) - at(from)) / (at(to) - at(from));
}

/** Round numbers between the ends: 1, 2 and 5 of each power of ten. */
export function ticksOf({ from, to, log, whole, names }: Axis, most = 6): number[] {
  if (names) return names.map((_, i) => i);
  if (log) {
    const exponents = Array.from(
      { length: Math.ceil(Math.log10(to / from)) + 2 },
      (_, i) => Math.floor(Math.log10(from)) + i,
    );
    const all = exponents.flatMap((e) => [1, 2, 5].map((m) => m * 10 ** e));
    const inside = all.filter((x) => x >= from * 0.999 && x <= to * 1.001);
    // Over less than a decade.
    if (inside.length < 3) return ticksOf({ label: '', from, to }, 4);
    return inside.length > most ? inside.filter((x) => Math.abs(Math.log10(x) % 1) < 1e-6) : inside;
  }
  if (to === from) return [from];
  const rough = Math.max((to - from) / most, whole ? 1 : 0);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((x) => x >= rough) as number;
  const first = Math.ceil(from / step - 1e-9);
  return Array.from({ length: Math.floor(to / step + 1e-9) - first + 1 }, (_, i) =>
    Number(((first + i) * step).toPrecision(12)),
  );
}

/** Ends of an axis around values, with some room. */
export function around(values: readonly number[], log = false): { from: number; to: number } {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (log) return { from: low / 1.25, to: high * 1.25 };
  const room = high === low ? Math.max(Math.abs(high), 1) * 0.05 : (high - low) * 0.06;
  return { from: low - room, to: high + room };
}

const round = (value: number) => Number(value.toFixed(1));

/** Few digits: 0.2, 1500, 5e-4. */
export const tick = (value: number) =>
  value !== 0 && Math.abs(value) < 1e-3 ? number(value) : String(Number(value.toPrecision(4)));

/** Both axes, and where a point lies. */
export interface Frame {
  x: (value: number) => number;
  y: (value: number) => number;
  axes: Html;
}

export function frameOf(x: Axis, y: Axis, { height = HEIGHT, left = LEFT } = {}): Frame {
  const [inner, down] = [WIDTH - left - RIGHT, height - TOP - BOTTOM];
  // Names stand in the middle of equal parts.
  const xAt = (value: number) =>
    round(left + inner * (x.names ? (value + 0.5) / Math.max(1, x.names.length) : share(x, value)));
  const yAt = (value: number) =>
    round(TOP + down * (y.names ? (value + 0.5) / Math.max(1, y.names.length) : 1 - share(y, value)));
  const shown = (axis: Axis, value: number, most: number) => {
    const text = axis.names ? (axis.names[value] as string) : tick(value);
    return text.length > most ? `${text.slice(0, most - 1)}…` : text;
  };
  const bottom = TOP + down;
  // Characters that have room under a name's part; long names take two heights in turn.
  const perName = x.names ? Math.floor(inner / Math.max(1, x.names.length) / 6.2) : 12;
  const areLong = x.names?.some(({ length }) => length > perName) === true;
  const axes = html`<g class="axes">${ticksOf(y).map(
    (value) =>
      html`<line x1="${left}" x2="${WIDTH - RIGHT}" y1="${yAt(value)}" y2="${yAt(value)}"/><text x="${left - 8}" y="${yAt(value) + 4}" text-anchor="end">${shown(y, value, Math.floor(left / 6.4))}</text>`,
  )}${ticksOf(x).map(
    (value, i) =>
      html`<line x1="${xAt(value)}" x2="${xAt(value)}" y1="${TOP}" y2="${bottom}"/><text x="${xAt(value)}" y="${bottom + (areLong && i % 2 === 1 ? 28 : 15)}" text-anchor="middle">${shown(x, value, areLong ? 2 * perName : perName)}</text>`,
  )}<text class="label" x="${left + inner / 2}" y="${height - 4}" text-anchor="middle">${x.label}</text><text class="label" x="${left}" y="${TOP - 6}">${y.label}</text></g>`;
  return { x: xAt, y: yAt, axes };
}

/** A picture of its content, with words for those who do not see it. */
export function picture(description: string, content: readonly Html[], height = HEIGHT): Html {
  return html`<svg class="plot-svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${description}">${content}</svg>`;
}

/** @param hollow of what was stopped, or does not count. */
export function dot(x: number, y: number, colour: number, title: string, hollow = false): Html {
  const look = hollow ? `fill="none" stroke="var(--c${colour % 8})"` : `fill="var(--c${colour % 8})"`;
  return html`<circle cx="${x}" cy="${y}" r="4" ${trusted(look)}><title>${title}</title></circle>`;
}

export function line(points: readonly (readonly [number, number])[], colour: number, title = '', faint = false): Html {
  const text = points.map(([x, y]) => `${x},${y}`).join(' ');
  const look = `stroke="var(--c${colour % 8})" stroke-width="${faint ? 1.2 : 2}" opacity="${faint ? 0.45 : 1}"`;
  return html`<polyline points="${text}" fill="none" ${trusted(look)}>${title !== '' && html`<title>${title}</title>`}</polyline>`;
}

/** From one time to another; what was stopped is lighter. */
export function bar(x: number, to: number, y: number, colour: number, title: string, faint: boolean): Html {
  const look = `fill="var(--c${colour % 8})" opacity="${faint ? 0.4 : 1}"`;
  return html`<rect x="${x}" y="${y - 4}" width="${Math.max(1, round(to - x))}" height="8" rx="2" ${trusted(look)}><title>${title}</title></rect>`;
}

/** Names with their colours. */
export function legend(names: readonly string[]): Html {
  return html`<p class="legend">${names.map((name, i) => html`<span><span class="swatch c${i % 8}"></span>${name}</span> `)}</p>`;
}
