/**
 * Tokenizer folders in the forms that people have, against what transformers' AutoTokenizer makes of them (test/fixtures/tokenizer/folders.json.gz):
 * ids, pairs, cut texts, sides and sizes; and folders that are refused.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as zlib from 'node:zlib';
import { loadTokenizer } from '../../src/data/tokenize/tokenizer';
import { temporaryFolder } from '../io/temporary';

const FILE = path.join(__dirname, '..', 'fixtures', 'tokenizer', 'folders.json.gz');
interface Folder {
  name: string;
  files: Record<string, unknown>;
  truncationSide: string;
  modelMaxLength: number | null;
  size: number;
  ids: number[][];
  pairs: { ids: number[]; types: number[] }[];
  cut: (number[] | null)[];
}
const { texts, pairs, cut, folders } = JSON.parse(zlib.gunzipSync(fs.readFileSync(FILE)).toString()) as {
  texts: string[];
  pairs: [string, string][];
  cut: [string, string | null, number][];
  folders: Folder[];
};
const dir = temporaryFolder();
let count = 0;

function write(files: Record<string, unknown>): string {
  const folder = path.join(dir, String(count++));
  fs.mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) {
    fs.writeFileSync(path.join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return folder;
}

it.each(folders.map((folder) => [folder.name, folder] as const))('%s', (_, folder) => {
  const tokenizer = loadTokenizer(write(folder.files));
  expect({
    truncationSide: tokenizer.truncationSide,
    modelMaxLength: tokenizer.modelMaxLength ?? null,
    ids: texts.map((text) => [...tokenizer.encode(text).inputIds]),
    pairs: pairs.map(([text, pair]) => {
      const { inputIds, tokenTypeIds } = tokenizer.encode(text, { pair });
      return { ids: [...inputIds], types: [...tokenTypeIds] };
    }),
    cut: cut.map(([text, pair, maxLength], i) =>
      folder.cut[i] === null ? null : [...tokenizer.encode(text, { pair: pair ?? undefined, maxLength }).inputIds],
    ),
  }).toEqual({
    truncationSide: folder.truncationSide,
    modelMaxLength: folder.modelMaxLength,
    ids: folder.ids,
    pairs: folder.pairs,
    cut: folder.cut,
  });
});
