/**
 * Where an adapter's base is, what a merged model may not be
 * written over, and names of folders that are no names of the hub.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { checkOutput, findBaseModel, findModel } from '../../src/io/find_model';
import { temporaryFolder } from '../io/temporary';

/** A folder of this kind below another. */
function folder(root: string, at: string, config: 'config.json' | 'adapter_config.json', content: object = {}): string {
  const dir = path.join(root, at);
  fs.mkdirSync(dir, { recursive: true });
  fs.writeFileSync(path.join(dir, config), JSON.stringify(content));
  return dir;
}

const adapterOf = (root: string, at: string, base: unknown) =>
  folder(root, at, 'adapter_config.json', { base_model_name_or_path: base });

/** Whoever asks the hub gets this. */
const offline = { offline: true, cacheDir: path.join(temporaryFolder(), 'no-cache') };

describe('the base of an adapter', () => {
  it.each(['models/base', './models/base', '../../models/base'])('%s is found from its folder up', async (name) => {
    const root = temporaryFolder();
    const base = folder(root, 'models/base', 'config.json');
    const notices: string[] = [];
    const found = await findBaseModel(adapterOf(root, 'runs/out', name), {
      ...offline,
      onNotice: (line) => notices.push(line),
    });
    expect(fs.realpathSync(found.folder)).toBe(fs.realpathSync(base));
    expect(notices).toEqual([expect.stringContaining(found.folder)]);
  });

  it('is taken as it stands first, and only where there is a model', async () => {
    const root = temporaryFolder();
    const base = folder(root, 'elsewhere/base', 'config.json');
    fs.mkdirSync(path.join(root, 'runs/out/base'), { recursive: true });
    folder(root, 'base', 'config.json');
    expect((await findBaseModel(adapterOf(root, 'runs/out', base), offline)).folder).toBe(base);
    expect((await findBaseModel(adapterOf(root, 'runs/out', 'base'), offline)).folder).toBe(path.join(root, 'base'));
  });

  it('that lies with the adapter comes before one of the same name here, and one from here alone is told', async () => {
    const root = temporaryFolder();
    const own = folder(root, 'a/models/b', 'config.json');
    folder(root, 'c/models/b', 'config.json');
    const adapter = adapterOf(root, 'a/runs/o', './models/b');
    const elsewhere = adapterOf(root, 'far/o', './models/b');
    const here = process.cwd();
    process.chdir(path.join(root, 'c'));
    const notices: string[] = [];
    const onNotice = (line: string) => notices.push(line);
    try {
      const found = await findBaseModel(adapter, { ...offline, onNotice });
      expect(fs.realpathSync(found.folder)).toBe(fs.realpathSync(own));
      expect((await findBaseModel(elsewhere, { ...offline, onNotice })).folder).toBe('./models/b');
      expect(notices).toEqual([
        `base model of ${adapter}: ${found.folder}`,
        `base model of ${elsewhere}: ./models/b in the current folder; none lies with the adapter`,
      ]);
      process.chdir(path.join(root, 'a'));
      notices.length = 0;
      expect((await findBaseModel('runs/o', { ...offline, onNotice })).folder).toBe('./models/b');
      expect(notices).toEqual([]);
    } finally {
      process.chdir(here);
    }
  });

  it.each(['./models/gone', '/models/gone', '../gone', '', null])(
    '%s: not there, and the hub is not asked',
    async (name) => {
      const adapter = adapterOf(temporaryFolder(), 'out', name);
      await expect(findBaseModel(adapter, offline)).rejects.toMatchObject({
        code: 'FILE_NOT_FOUND',
        message: expect.stringContaining(
          `${path.join(adapter, 'adapter_config.json')}: field "base_model_name_or_path"`,
        ),
      });
    },
  );

  it('of the hub is asked for there', async () => {
    const adapter = adapterOf(temporaryFolder(), 'out', 'owner/name');
    await expect(findBaseModel(adapter, offline)).rejects.toMatchObject({
      message: expect.stringMatching(/owner\/name.*offline/s),
    });
  });
});

it('a relative folder is named so that nobody takes it for a repository', async () => {
  const root = temporaryFolder();
  folder(root, 'models/base', 'config.json');
  const here = process.cwd();
  process.chdir(root);
  try {
    expect((await findModel('models/base')).name).toBe('./models/base');
    expect((await findModel('./models/base')).name).toBe('./models/base');
    expect((await findModel(path.join(root, 'models/base'))).name).toBe(path.join(root, 'models/base'));
  } finally {
    process.chdir(here);
  }
});

describe('what is written', () => {
  const root = temporaryFolder();
  const baseModel = folder(root, 'base', 'config.json');
  const adapter = adapterOf(root, 'adapter', baseModel);
  const other = adapterOf(root, 'other-adapter', baseModel);
  const whole = folder(root, 'whole', 'config.json');
  fs.writeFileSync(path.join(whole, 'model.safetensors'), '');
  const link = path.join(root, 'link');
  fs.symlinkSync(baseModel, link);
  const ofBase = `is the folder of the base model ${baseModel}`;
  const ofAdapter = `is the folder of the adapter ${adapter}`;

  it.each<[string, string, 'model' | 'adapter', string]>([
    ['the base', baseModel, 'model', ofBase],
    ['the base, an adapter', baseModel, 'adapter', ofBase],
    ['the base under another name', link, 'adapter', ofBase],
    ['the base by another path', path.join(adapter, '..', 'base', '.'), 'model', ofBase],
    ['the adapter', adapter, 'model', ofAdapter],
    ['the adapter, one more', adapter, 'adapter', ofAdapter],
    ['another adapter', other, 'model', 'holds an adapter (adapter_config.json)'],
    ['a whole model', whole, 'adapter', 'holds a whole model (config.json)'],
  ])('is not written over %s', (_, output, kind, problem) => {
    const write = () => checkOutput(output, kind, { baseModel, adapter });
    expect(write).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(write).toThrow(`${output} ${problem}`);
  });

  it.each<[string, 'model' | 'adapter']>([
    [path.join(root, 'new'), 'model'],
    [whole, 'model'],
    [other, 'adapter'],
    [folder(root, 'project', 'config.json'), 'adapter'],
  ])('is written elsewhere: %s, %s', (output, kind) => {
    expect(() => checkOutput(output, kind, { baseModel, adapter })).not.toThrow();
    expect(() => checkOutput(output, kind, { baseModel: 'owner/name' })).not.toThrow();
  });
});
