import { listNames, nearNames } from '../base/near';
import { Linear, type Module } from '../nn';
import { invalidLora, type ResolvedLoraConfig } from './config';
import { LoraLinear } from './lora_linear';
import { ModulesToSave } from './modules_to_save';
import { parsePattern, toRegExp } from './presets';

/** A module that is to be adapted. */
export interface Target {
  path: string;
  module: Linear | LoraLinear;
  rank: number;
  alpha: number;
  /** alpha / r, or alpha / √r. */
  scaling: number;
}

/** Whether a path is one of these names or ends in one, at a dot. */
const endsInOne = (path: string, names: readonly string[]) =>
  names.some((name) => path === name || path.endsWith(`.${name}`));

function matcher(spec: string | readonly string[], field: string): (path: string) => boolean {
  if (typeof spec !== 'string') return (path) => endsInOne(path, spec);
  const regex = toRegExp(spec, field, 'whole');
  return (path) => regex.test(path);
}

/** The value whose key (a regular expression) matches the end of a path; the first that does, as in PEFT. */
function byPattern(patterns: Readonly<Record<string, number>>, path: string, field: string): number | undefined {
  return Object.entries(patterns).find(([key]) => toRegExp(key, field, 'end').test(path))?.[1];
}

/** The model's modules without what adapters brought: an adapted Linear stands for itself. */
export function baseModules(model: Module): [string, Module][] {
  const inner = model
    .namedModules()
    .filter(([, module]) => module instanceof LoraLinear || module instanceof ModulesToSave)
    .map(([path]) => `${path}.`);
  return model.namedModules().filter(([path]) => !inner.some((start) => path.startsWith(start)));
}

const HEADS = ['classifier', 'score'];

/**
 * Paths of the modules that are trained and saved whole.
 *
 * @throws FusedLoraError INVALID_LORA when names are given and none of them is there.
 */
export function findModulesToSave(model: Module, config: ResolvedLoraConfig): string[] {
  if (config.modulesToSave === undefined) {
    return model
      .namedChildren()
      .map(([name]) => name)
      .filter((name) => HEADS.includes(name));
  }
  const names = config.modulesToSave;
  const paths = baseModules(model).map(([path]) => path);
  const found = paths.filter((path) => path !== '' && endsInOne(path, names));
  if (names.length > 0 && found.length === 0) {
    const near = nearNames(names[0] as string, paths);
    throw invalidLora(
      `modulesToSave ${JSON.stringify(names)} matches no module.${near.length ? ` Near: ${near.join(', ')}.` : ''} Leave it out for the head, or [] for none.`,
    );
  }
  return found.filter((path) => !found.some((outer) => path.startsWith(`${outer}.`)));
}

/** Linear modules whose weight sits at several paths: an adapter there would change both. */
function tiedPaths(model: Module): Set<string> {
  const all = model.namedParameters({ all: true });
  const tied = all.filter(([, parameter]) => all.filter(([, other]) => other === parameter).length > 1);
  return new Set(tied.map(([name]) => name.replace(/\.weight$/, '')));
}

function layerOf(path: string, patterns: readonly string[] | undefined): number | undefined {
  for (const pattern of patterns ?? ['[^.]*']) {
    const regex = toRegExp(`^(?:.*?\\.)${patterns ? '?' : ''}(?:${pattern})\\.(\\d+)\\.`, 'layersPattern');
    const match = regex.exec(path);
    if (match) return Number(match[1]);
  }
  return undefined;
}

function noMatch(field: string, spec: unknown, model: Module, layers?: readonly number[]): Error {
  const paths = baseModules(model)
    .filter(([, module]) => module instanceof Linear || module instanceof LoraLinear)
    .map(([path]) => path);
  const wanted = Array.isArray(spec) ? String(spec[0]) : String(spec);
  const near = nearNames(wanted, paths);
  const names = near.length ? `Near: ${listNames(near)}.` : `Linear modules are: ${listNames(paths)}.`;
  const where = layers ? ` in layersToTransform ${JSON.stringify(layers)}` : '';
  return invalidLora(
    `${field} ${JSON.stringify(spec)}${where} matches no module of ${model.constructor.name}. ${names}`,
  );
}

/**
 * The modules that a configuration adapts, in the order of the model.
 *
 * @param saved paths of {@link findModulesToSave}; nothing in them is adapted.
 * @throws FusedLoraError INVALID_LORA when nothing matches (but for the preset clf_only), when a match is no Linear, shares its weight with
 * another module, or is smaller than its rank.
 */
export function findTargets(model: Module, config: ResolvedLoraConfig, saved: readonly string[]): Target[] {
  const { pattern, targetModules: spec } = config;
  const excluded = config.excludeModules === undefined ? () => false : matcher(config.excludeModules, 'excludeModules');
  const inSaved = (path: string) => saved.some((head) => path === head || path.startsWith(`${head}.`));
  const open = baseModules(model).filter(
    ([path, m]) => !(m instanceof ModulesToSave) && !excluded(path) && !inSaved(path),
  );
  const isLinear = (module: Module): module is Linear | LoraLinear =>
    module instanceof Linear || module instanceof LoraLinear;
  const tied = tiedPaths(model);
  const found: { path: string; module: Module; rank?: number | undefined }[] = [];
  if (pattern !== undefined) {
    const parts = parsePattern(pattern);
    for (const [path, module] of open) {
      if (!isLinear(module)) continue;
      const part = parts.find(({ regex }) => regex.test(path));
      if (part) found.push({ path, module, rank: part.rank });
    }
    if (found.length === 0 && parts.length > 0) throw noMatch('pattern', pattern, model);
  } else if (typeof spec === 'string' && spec.toLowerCase() === 'all-linear') {
    for (const [path, module] of open) {
      if (isLinear(module) && !tied.has(path) && !HEADS.includes(path)) found.push({ path, module });
    }
    if (found.length === 0) throw noMatch('targetModules', spec, model);
  } else {
    const matches = matcher(spec, 'targetModules');
    const layers = config.layersToTransform;
    for (const [path, module] of open) {
      if (path === '' || !matches(path)) continue;
      const layer = layers ? layerOf(path, config.layersPattern) : undefined;
      if (!layers || (layer !== undefined && layers.includes(layer))) found.push({ path, module });
    }
    if (found.length === 0 && spec !== DUMMY_TARGET) throw noMatch('targetModules', spec, model, layers);
  }
  return found.map(({ path, module, rank: own }) => {
    if (!isLinear(module)) {
      throw invalidLora(
        `"${path}" is matched, but it is a ${module.constructor.name}; only Linear modules can be adapted.`,
      );
    }
    if (tied.has(path)) {
      throw invalidLora(
        `"${path}" is matched, but it shares its weight with another module. Put it into excludeModules.`,
      );
    }
    const rank = own ?? byPattern(config.rankPattern, path, 'rankPattern') ?? config.r;
    const most = Math.min(module.inFeatures, module.outFeatures);
    if (rank > most) {
      throw invalidLora(
        `rank ${rank} is too large for "${path}" of ${module.inFeatures} to ${module.outFeatures}: at most ${most}.`,
      );
    }
    const alpha = byPattern(config.alphaPattern, path, 'alphaPattern') ?? config.loraAlpha ?? rank;
    return { path, module, rank, alpha, scaling: alpha / (config.useRslora ? Math.sqrt(rank) : rank) };
  });
}

/** What PEFT writes as target module of a configuration that adapts nothing. */
export const DUMMY_TARGET = 'dummy-target-modules';
