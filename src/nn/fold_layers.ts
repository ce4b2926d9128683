// Parameters of equal layers as one row: an encoder of twelve
// layers has two hundred, of which a reader wants twenty.
// Reports show them in src/report/tables.ts.

export interface ParameterRow {
  name: string;
  learnable: boolean;
  count: number;
}

export interface FoldedRow extends ParameterRow {
  /** Layers that have it; `count` is that of one. */
  times: number;
}

const LAYER = /\.layer\.(\d+)\./;

/**
 * Rows whose names differ in their layer number alone, with
 * the same count, become one: `encoder.layer.{0-11}.…`.
 */
export function foldLayers(rows: readonly ParameterRow[]): FoldedRow[] {
  const folded = new Map<string, { row: ParameterRow; layers: number[] }>();
  for (const row of rows) {
    const layer = LAYER.exec(row.name)?.[1];
    const key = `${row.name.replace(LAYER, '.layer.*.')} ${row.learnable} ${row.count}`;
    const known = folded.get(key) ?? { row, layers: [] };
    if (layer !== undefined) known.layers.push(Number(layer));
    folded.set(key, known);
  }
  return [...folded.values()].map(({ row, layers }) => ({
    ...row,
    name: layers.length > 1 ? row.name.replace(LAYER, `.layer.${ranges(layers)}.`) : row.name,
    times: Math.max(1, layers.length),
  }));
}

/** [0, 1, 2, 5] → {0-2,5} */
function ranges(numbers: readonly number[]): string {
  const parts: [number, number][] = [];
  for (const n of numbers) {
    const last = parts.at(-1);
    if (last && last[1] === n - 1) last[1] = n;
    else parts.push([n, n]);
  }
  return `{${parts.map(([a, b]) => (a === b ? a : `${a}-${b}`)).join(',')}}`;
}
