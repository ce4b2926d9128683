/** What files unpack to is limited: small files of our own against small limits. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { gzipSync } from 'node:zlib';
import { openParquet } from '../../../src/data/read/parquet';
import { PARQUET_LIMITS, type ParquetLimits } from '../../../src/data/read/parquet_limits';
import { SafetensorsFile, writeSafetensors } from '../../../src/io/safetensors';

const PARQUET = path.join(__dirname, '..', '..', 'fixtures', 'parquet');
let folder: string;
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'unpacked-'));
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

async function read(file: string, limits: Partial<ParquetLimits>): Promise<number> {
  const table = await openParquet(
    { path: file, name: path.basename(file), format: 'parquet' },
    { ...PARQUET_LIMITS, ...limits },
  );
  let rows = 0;
  for await (const piece of table.rows(table.columns.names!.map((_, column) => column))) rows += piece.length;
  return rows;
}

const refused = (message: RegExp) => ({ code: 'INVALID_DATA', message: expect.stringMatching(message) });

describe.each(['none', 'snappy', 'gzip', 'zstd', 'brotli', 'lz4'])('a Parquet file with %s', (codec) => {
  const name = `reviews-${codec}.parquet`;
  const file = path.join(PARQUET, name);

  it('is read within the limits, and refused beyond them', async () => {
    const rows = await read(file, {});
    expect(rows).toBeGreaterThan(1);
    expect(await read(file, { groupValues: rows })).toBe(rows);
    await expect(read(file, { groupValues: 1 })).rejects.toMatchObject(refused(/parquet: rows of one of its groups/));
    await expect(read(file, { pageBytes: 8 })).rejects.toMatchObject(
      refused(/: bytes of one of its pages: \d+, and 8 is/),
    );
  });
});

it('a column of lists counts its values, not its rows', async () => {
  const file = path.join(PARQUET, 'words.parquet');
  const rows = await read(file, {});
  await expect(read(file, { groupValues: rows })).rejects.toMatchObject(
    refused(/values of one of its columns in a group/),
  );
});

it('a Parquet file that comes gzipped', async () => {
  const file = path.join(folder, 'a.parquet.gz');
  const plain = fs.readFileSync(path.join(PARQUET, 'reviews-none.parquet'));
  fs.writeFileSync(file, gzipSync(plain));
  expect(await read(file, { fileBytes: plain.length })).toBeGreaterThan(1);
  await expect(read(file, { fileBytes: plain.length - 1 })).rejects.toMatchObject(
    refused(/^a\.parquet\.gz: bytes after it was unzipped: more than/),
  );
});

it('the header of a safetensors file', () => {
  const file = path.join(folder, 'a.safetensors');
  writeSafetensors(file, [['a', { dtype: 'F32', shape: [2], data: new Float32Array(2) }]]);
  const length = fs.statSync(file).size - 8 - 8;
  expect([...SafetensorsFile.open(file, { maxHeaderBytes: length }).tensors.keys()]).toEqual(['a']);
  expect(() => SafetensorsFile.open(file, { maxHeaderBytes: 16 })).toThrow(
    expect.objectContaining({
      code: 'INVALID_CHECKPOINT',
      message: expect.stringMatching(/claims a header of \d+ bytes/),
    }),
  );
});
