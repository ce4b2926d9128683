/**
 * Checkpoints that transformers saved in 4 and 8 bits: every weight against bitsandbytes'
 * dequantisation, to the bit. The fixture is of scripts/oracle/make_quantised_fixture.py.
 * Weights that are quantised here: nf4.test.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { openModelFolder } from '../../src/io/model_folder';
import { SafetensorsFile, tensorSource } from '../../src/io/safetensors';
import { loadModel, saveModel } from '../../src/models';
import { temporaryFolder } from '../io/temporary';

const root = path.join(__dirname, '..', 'fixtures', 'oracle', 'quantised');
const { versions: _, ...expected } = JSON.parse(fs.readFileSync(path.join(root, 'expected.json'), 'utf8')) as {
  versions: Record<string, string>;
} & Record<string, Record<string, string>>;
const temporary = temporaryFolder();

/** Of FP4's two zeros bitsandbytes on a CPU gives one a sign, which its own table does not have. */
const unsigned = (values: Float32Array) => values.map((value) => value + 0);
const floats = (text: string) => unsigned(new Float32Array(Uint8Array.from(Buffer.from(text, 'base64')).buffer));

describe.each(Object.entries(expected as Record<string, Record<string, string>>))('%s', (form, weights) => {
  const folder = openModelFolder(path.join(root, form));

  test('every quantised weight has the values of bitsandbytes', () => {
    for (const [name, text] of Object.entries(weights)) {
      const info = folder.tensors.get(name)!;
      const { read, readParts, readSample } = tensorSource(info);
      const want = floats(text);
      expect({ name, dtype: info.dtype, values: unsigned(read()) }).toEqual({ name, dtype: 'F32', values: want });
      const parts = new Float32Array(want.length);
      readParts((values, at) => parts.set(values, at));
      expect(unsigned(parts)).toEqual(want);
      expect(unsigned(readSample(7))).toEqual(want.filter((_, i) => i % 7 === 0));
    }
    expect([...folder.tensors.keys()].filter((name) => /absmax|quant|SCB|weight_format/.test(name))).toEqual([]);
  });

  test('the model opens, and is saved as floats', () => {
    const { model, report } = loadModel(path.join(root, form));
    expect(report).toEqual({ initialized: [], unused: [] });
    const saved = path.join(temporary, form);
    saveModel(model, saved);
    model.dispose();
    expect(JSON.parse(fs.readFileSync(path.join(saved, 'config.json'), 'utf8'))).not.toHaveProperty(
      'quantization_config',
    );
    const file = SafetensorsFile.open(path.join(saved, 'model.safetensors'));
    for (const [name, text] of Object.entries(weights)) expect(unsigned(file.readFloat32(name))).toEqual(floats(text));
  });
});

describe('what does not belong together', () => {
  /** A copy of a folder whose header is changed: names of the same length, other types. */
  function changed(form: string, from: string, to: string): string {
    const copy = fs.mkdtempSync(path.join(temporary, 'changed-'));
    fs.cpSync(path.join(root, form), copy, { recursive: true });
    const file = path.join(copy, 'model.safetensors');
    const bytes = fs.readFileSync(file, 'latin1');
    expect(from).toHaveLength(to.length);
    expect(bytes).toContain(from);
    fs.writeFileSync(file, bytes.replace(from, to), 'latin1');
    return copy;
  }

  test.each([
    [
      'nf4-doubled',
      'query.weight.nested_quant_map',
      'query.weight.nested_quant_mop',
      /"[^"]*query\.weight" is quantised, and the tensor "[^"]*nested_quant_map" is missing/,
    ],
    ['nf4-doubled', '"blocksize": 64', '"blocksize": 32', /absmax" has 7 values of U8, expected 13 of U8/],
    ['nf4-doubled', '"shape": [20, 20]', '"shape": [20, 21]', /weight" has 200 values of U8, expected 210 of U8/],
    ['fp4', '"quant_type": "fp4"', '"quant_type": "fp6"', /field "quant_type" is "fp6"; expected one of "nf4", "fp4"/],
    ['int8', 'query.SCB', 'query.SCX', /query\.weight" is quantised, and the tensor "[^"]*query\.SCB" is missing/],
  ])('%s with %s as %s', (form, from, to, message) => {
    expect(() => openModelFolder(changed(form, from, to))).toThrow(message);
  });
});
