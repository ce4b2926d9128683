/**
 * The keys of adapter_model.safetensors in all the forms that PEFT and others wrote: what they
 * become in our tree, and which modules they hold whole. Reading and writing of the folder itself:
 * peft_files.ts.
 */
import type { TensorInfo } from '../io/safetensors';
import type { Module } from '../nn';

/** What PEFT puts before every key. */
export const PREFIX = 'base_model.model.';
/** Modules at the top of a model that are its head. */
export const HEADS = ['classifier', 'score'];

const LORA = /\.lora_[AB]\.weight$/;
/** What VeLoRA and MonteCLoRA keep for training. */
const TRAINING_BUFFER = /\.lora_(?:velora_embed|monteclora_sampler\..+)$/;

/**
 * The tensors by their plain keys: without the adapter's name, wrapper names, copies of originals,
 * and without what is for training alone. PEFT with bias "all" writes copies of the head's biases
 * under more names.
 */
export function plainKeys(tensors: ReadonlyMap<string, TensorInfo>): Map<string, TensorInfo> {
  const found = new Map<string, TensorInfo>();
  for (const [key, info] of tensors) {
    if (key.includes('.original_module.') || TRAINING_BUFFER.test(key)) continue;
    const plain = key
      .replace(/\.modules_to_save\.(?:[^.]+\.(?=.*\.))?/, '.')
      .replace(/\.(lora_[AB])\.[^.]+\.weight$/, '.$1.weight');
    if (plain === key || !tensors.has(plain)) found.set(plain, info);
  }
  return found;
}

const withoutPrefix = (key: string) => (key.startsWith(PREFIX) ? key.slice(PREFIX.length) : key);
const within = (path: string, outer: string) => path === outer || path.startsWith(`${outer}.`);
const firstName = (path: string) => path.slice(0, path.indexOf('.'));

/**
 * The module that an adapter's paths start from: '' for the model itself; the encoder for an
 * adapter that was put on it alone (task_type FEATURE_EXTRACTION), whose keys have no `roberta.` or
 * `bert.`.
 */
export function rootOf(model: Module, keys: Iterable<string>): string {
  const starts = new Set([...keys].map((key) => firstName(withoutPrefix(key))));
  const children = model.namedChildren();
  if (starts.size === 0 || children.some(([name]) => starts.has(name))) return '';
  const inside = children.filter(([, child]) => child.namedChildren().some(([name]) => starts.has(name)));
  return inside.length === 1 ? (inside[0]?.[0] as string) : '';
}

/** Keys that start from the model, of keys that start from one of its modules. */
export function rooted(tensors: ReadonlyMap<string, TensorInfo>, root: string): Map<string, TensorInfo> {
  if (root === '') return new Map(tensors);
  return new Map([...tensors].map(([key, info]) => [`${PREFIX}${root}.${withoutPrefix(key)}`, info]));
}

/**
 * Modules that a file holds whole though its configuration does not say so: the head, in files of
 * PEFT before 0.7 and of others, and the embedding, which PEFT saves when it was resized.
 *
 * @param saved paths that the configuration names.
 * @param bias whether biases may stand in the file by themselves.
 */
export function impliedModules(
  model: Module,
  keys: Iterable<string>,
  saved: readonly string[],
  bias: boolean,
): string[] {
  const owners = new Map(
    model.namedModules().flatMap(([path, module]) => module.ownParameters().map(([name]) => [`${path}.${name}`, path])),
  );
  const found = new Set<string>();
  for (const key of keys) {
    if (LORA.test(key) || (bias && key.endsWith('.bias'))) continue;
    const owner = owners.get(withoutPrefix(key));
    if (owner === undefined) continue;
    if (saved.some((outer) => within(owner, outer))) continue;
    const head = HEADS.find((name) => within(owner, name));
    // A head of which parts are saved by name is not saved whole.
    const whole = head !== undefined && !saved.some((part) => within(part, head));
    found.add(whole ? head : owner);
  }
  return [...found];
}
