/**
 * How many parameters there are and which learn, as the article's table. What makes them learn is
 * registry.ts.
 */
import type { Module } from '../nn';
import type { ParameterRow } from '../nn/fold_layers';

export type { ParameterRow } from '../nn/fold_layers';

import { adapterNames } from './registry';

/** The parameters of a model: how many there are, and how many learn. */
export interface ParameterTable {
  rows: ParameterRow[];
  total: number;
  learnable: number;
}

/**
 * Names without what wrapping brought: `query.weight`, `query.lora_A`, `classifier.dense.weight`.
 */
function shortName(path: string, adapters: readonly string[]): string {
  const plain = path.replace('.base_layer.', '.');
  if (adapters.length !== 1) return plain;
  return plain.replace(/\.(lora_[AB])\.[^.]+\.weight$/, '.$1').replace(/\.modules_to_save\.[^.]+\./, '.');
}

/**
 * Every parameter with its count and whether it is trained; a shared one once. Counting reads no
 * values.
 */
export function parameterTable(model: Module): ParameterTable {
  const adapters = adapterNames(model);
  const rows = model.namedParameters().map(([path, parameter]) => ({
    name: shortName(path, adapters),
    learnable: parameter.requiresGrad,
    count: parameter.count,
  }));
  const sum = (some: readonly ParameterRow[]) => some.reduce((total, { count }) => total + count, 0);
  return { rows, total: sum(rows), learnable: sum(rows.filter(({ learnable }) => learnable)) };
}

/** `Total parameters: 124,978,946, thereof learnable: 923,906 (0.7392%)` */
export function formatTotals({ total, learnable }: ParameterTable): string {
  const number = (n: number) => n.toLocaleString('en-US');
  const percent = total === 0 ? 0 : (100 * learnable) / total;
  return `Total parameters: ${number(total)}, thereof learnable: ${number(learnable)} (${percent.toFixed(4)}%)`;
}

/**
 * The table of the article: name, 1 for what is trained and 0 for what is frozen, count; then the
 * totals.
 */
export function formatParameterTable(table: ParameterTable): string {
  const width = Math.max(4, ...table.rows.map(({ name }) => name.length));
  const lines = table.rows.map(
    ({ name, learnable, count }) => `${name.padEnd(width)}  ${learnable ? 1 : 0}  ${String(count).padStart(11)}`,
  );
  return [`Parameters (name, learnable, count):`, ...lines, formatTotals(table)].join('\n');
}
