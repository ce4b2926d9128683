/**
 * What a configuration means in a model: which modules are adapted, with which rank and alpha, and
 * which are saved whole. The rules are those of PEFT 0.21.2 (check_target_module_exists,
 * get_pattern_key, _set_trainable); patterns themselves are in base/patterns.ts.
 */
import { listNames, nearNames } from '../base/near';
import type { Parameter } from '../graph/parameter';
import { Linear, type Module } from '../nn';
import { HEADS } from './adapter_keys';
import { invalidLora, type ResolvedLoraConfig } from './config';
import { LoraLinear } from './lora_linear';
import { ModulesToSave } from './modules_to_save';
import { compiled, parsePattern } from './presets';
import { baseModules } from './registry';

/** A module that is to be adapted. */
export interface Target {
  path: string;
  module: Linear | LoraLinear;
  rank: number;
  alpha: number;
  /** alpha / r, or alpha / √r. */
  scaling: number;
}

/** What an adapter's file says beside its configuration. */
export interface MatchOptions {
  /**
   * The module that the paths of the configuration start from: see `rootOf`. Default: the model.
   */
  root?: string;
  /**
   * Whether all-linear takes the head too, which PEFT leaves out for SEQ_CLS alone. Default false.
   */
  headIsTarget?: boolean;
  /** More names of modules that are never targets, saved whole or not. */
  keptOff?: readonly string[];
  /** Takes ranks above min(in, out) of a module too, as PEFT does. Default false. */
  anyRank?: boolean;
}

/** Whether a path is one of these names or ends in one, at a dot. */
const endsInOne = (path: string, names: readonly string[]) =>
  names.some((name) => path === name || path.endsWith(`.${name}`));

/** Whether a path is of a module, or below it. */
const isWithin = (path: string, outer: string) => path === outer || path.startsWith(`${outer}.`);

/** Whether a path is one that names or a regular expression (of the whole path) mean. */
export function matcher(spec: string | readonly string[], field: string): (path: string) => boolean {
  if (typeof spec !== 'string') return (path) => endsInOne(path, spec);
  const regex = compiled(spec, field, 'fullmatch');
  return (path) => regex.test(path);
}

/** Those of a list of target modules that no Linear module of the model answers to. */
export function targetsWithoutModule(model: Module, names: readonly string[]): string[] {
  const paths = baseModules(model)
    .filter(([, module]) => isLinear(module))
    .map(([path]) => path);
  return names.filter((name) => !paths.some((path) => endsInOne(path, [name])));
}

/**
 * The value whose key (a regular expression) matches the end of a path; the first that does, as in
 * PEFT.
 */
function byPattern(patterns: Readonly<Record<string, number>>, path: string, field: string): number | undefined {
  return Object.entries(patterns).find(([key]) => compiled(`(.*\\.)?(${key})$`, field, 'match').test(path))?.[1];
}

/**
 * Paths of the modules that are trained and saved whole; of one within another, the outer one.
 *
 * @throws FusedLoraError INVALID_LORA when names are given and none of them is there.
 */
export function findModulesToSave(model: Module, config: ResolvedLoraConfig, options: MatchOptions = {}): string[] {
  if (config.modulesToSave === undefined) {
    return model
      .namedChildren()
      .map(([name]) => name)
      .filter((name) => HEADS.includes(name));
  }
  const names = config.modulesToSave;
  const paths = baseModules(model).map(([path]) => path);
  const found = paths.filter((path) => {
    const at = fromRoot(path, options.root);
    return at !== undefined && at !== '' && names.some((name) => at.endsWith(name));
  });
  if (names.length > 0 && found.length === 0) {
    const near = nearNames(names[0] as string, paths);
    throw invalidLora(
      `modulesToSave ${JSON.stringify(names)} matches no module.${near.length ? ` Near: ${near.join(', ')}.` : ''} Leave it out for the head, or [] for none.`,
    );
  }
  return found.filter((path) => !found.some((outer) => path.startsWith(`${outer}.`)));
}

/** A path as the configuration has it; undefined outside of its root. */
function fromRoot(path: string, root = ''): string | undefined {
  if (root === '') return path;
  return isWithin(path, root) ? path.slice(root.length + 1) : undefined;
}

/** Linear modules whose weight sits at several paths: an adapter there would change both. */
function tiedPaths(model: Module): Set<string> {
  const all = baseModules(model).flatMap(([path, module]) =>
    (module instanceof LoraLinear ? module.base_layer : module)
      .ownParameters()
      .map(([name, parameter]) => [`${path}.${name}`, parameter] as const),
  );
  const places = new Map<Parameter, number>();
  for (const [, parameter] of all) places.set(parameter, (places.get(parameter) ?? 0) + 1);
  const tied = all.filter(([, parameter]) => (places.get(parameter) ?? 0) > 1);
  return new Set(tied.map(([name]) => name.replace(/\.weight$/, '')));
}

function layerOf(path: string, patterns: readonly string[] | undefined): number | undefined {
  const sources = patterns?.map((pattern) => `(?:^|.*?\\.)${pattern}\\.(?P<idx>\\d+)\\.`) ?? [
    '.*?\\.[^.]*\\.(?P<idx>\\d+)\\.',
  ];
  for (const source of sources) {
    const layer = compiled(source, 'layersPattern', 'match').groups(path)?.['idx'];
    if (layer !== undefined) return Number(layer);
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

/** Whether a target is one that PEFT keeps off, since modules_to_save names it or what it is in. */
function keptWhole(names: readonly string[]): (path: string) => boolean {
  const parts = names.map((name) => compiled(`(^|.*\\.)${name}($|\\..*)`, 'modulesToSave', 'match'));
  return (path) => parts.some((part) => part.test(path));
}

const isLinear = (module: Module): module is Linear | LoraLinear =>
  module instanceof Linear || module instanceof LoraLinear;

/** A module that a configuration names, and the rank that its pattern gives. */
interface Named {
  path: string;
  module: Module;
  rank?: number | undefined;
}

/** The modules that `pattern`, all-linear or targetModules name. */
function namedTargets(
  model: Module,
  open: readonly [string, Module][],
  config: ResolvedLoraConfig,
  tied: ReadonlySet<string>,
  options: MatchOptions,
): Named[] {
  const { pattern, targetModules: spec, layersToTransform: layers } = config;
  const at = (path: string) => fromRoot(path, options.root) ?? '';
  const found: Named[] = [];
  if (pattern !== undefined) {
    const parts = parsePattern(pattern);
    for (const [path, module] of open) {
      const part = isLinear(module) ? parts.find(({ regex }) => regex.test(path)) : undefined;
      if (part) found.push({ path, module, rank: part.rank });
    }
    if (found.length === 0 && parts.length > 0) throw noMatch('pattern', pattern, model);
    return found;
  }
  if (typeof spec === 'string' && spec.toLowerCase() === 'all-linear') {
    for (const [path, module] of open) {
      const head = HEADS.includes(path) && !options.headIsTarget;
      if (isLinear(module) && !tied.has(path) && !head) found.push({ path, module });
    }
  } else {
    const matches = matcher(spec, 'targetModules');
    for (const [path, module] of open) {
      if (at(path) === '' || !matches(at(path))) continue;
      const whole = typeof spec !== 'string' && spec.includes(at(path));
      if (!layers || whole || layers.includes(layerOf(at(path), config.layersPattern) ?? -1))
        found.push({ path, module });
    }
  }
  if (found.length === 0 && spec !== DUMMY_TARGET) throw noMatch('targetModules', spec, model, layers);
  return found;
}

/**
 * The modules that a configuration adapts, in the order of the model.
 *
 * @param saved paths of {@link findModulesToSave}; nothing in them is adapted.
 * @throws FusedLoraError INVALID_LORA when nothing matches (but for the preset clf_only), when a
 * match is no Linear, shares its weight with another module, is saved whole by a name that is no
 * whole part of its path, or is smaller than its rank.
 */
export function findTargets(
  model: Module,
  config: ResolvedLoraConfig,
  saved: readonly string[],
  options: MatchOptions = {},
): Target[] {
  const { root } = options;
  const at = (path: string) => fromRoot(path, root) ?? '';
  const excluded = config.excludeModules === undefined ? () => false : matcher(config.excludeModules, 'excludeModules');
  const kept = keptWhole([...(config.modulesToSave ?? saved), ...(options.keptOff ?? [])]);
  const isSaved = (path: string) => saved.some((outer) => isWithin(path, outer));
  const open = baseModules(model).filter(([path, module]) => {
    if (fromRoot(path, root) === undefined || module instanceof ModulesToSave) return false;
    return !excluded(at(path)) && !kept(at(path));
  });
  const tied = tiedPaths(model);
  return namedTargets(model, open, config, tied, options).map(({ path, module, rank: own }) => {
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
    if (isSaved(path)) {
      throw invalidLora(
        `"${path}" is matched, and modulesToSave ${JSON.stringify(config.modulesToSave)} saves it whole too, which is not supported. ` +
          'Put it into excludeModules, or name in modulesToSave whole parts of paths.',
      );
    }
    const rank = own ?? byPattern(config.rankPattern, at(path), 'rankPattern') ?? config.r;
    const most = Math.min(module.inFeatures, module.outFeatures);
    if (rank > most && !options.anyRank) {
      throw invalidLora(
        `rank ${rank} is too large for "${path}" of ${module.inFeatures} to ${module.outFeatures}: at most ${most}.`,
      );
    }
    const alpha = byPattern(config.alphaPattern, at(path), 'alphaPattern') ?? config.loraAlpha ?? rank;
    return { path, module, rank, alpha, scaling: alpha / (config.useRslora ? Math.sqrt(rank) : rank) };
  });
}

/** What PEFT writes as target module of a configuration that adapts nothing. */
export const DUMMY_TARGET = 'dummy-target-modules';
