/**
 * A value of any kind as it stands in an error: short, and never an error itself.
 * Names that are near a mistyped one are in near.ts, the errors' codes in errors.ts.
 */
export function shown(value: unknown): string {
  let text: string | undefined;
  try {
    // 64-bit numbers of Parquet files are BigInt, for which JSON has no form.
    text = JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? Number(part) : part));
  } catch {
    text = undefined;
  }
  text ??= value === undefined ? 'missing' : typeof value === 'object' ? 'an object' : String(value);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
