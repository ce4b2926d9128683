/**
 * Draws a model as text: the module tree, with a 1 before what is trained and a 0 before the rest.
 * The same as a table, equal layers folded: fold_layers.ts.
 */
import { ModuleList } from './containers';
import type { Module } from './module';

/**
 * One line a module and a parameter, children below their parents; equal neighbours of a list once:
 *
 *     1 RobertaForSequenceClassification
 *     1   roberta: RobertaModel
 *     0     embeddings: RobertaEmbeddings
 *     0       word_embeddings.weight [50265 × 768]
 *
 * A module has a 1 where something in it is trained.
 */
export function flagTree(model: Module): string {
  const line = (depth: number, trained: boolean, text: string) => `${trained ? 1 : 0} ${'  '.repeat(depth)}${text}`;
  const visit = (module: Module, label: string, depth: number): string[] => {
    const trains = module.parameters().some(({ requiresGrad }) => requiresGrad);
    const children = module.namedChildren();
    const own = module.ownParameters();
    // A module of one parameter alone (an embedding, an adapter's A) needs no line of its own.
    if (children.length === 0 && own.length <= 2) {
      return own.map(([name, { shape, requiresGrad }]) =>
        line(depth, requiresGrad, `${label.split(':')[0]}.${name} [${shape.join(' × ')}]`),
      );
    }
    const lines = [line(depth, trains, label)];
    for (const [name, { shape, requiresGrad }] of own) {
      lines.push(line(depth + 1, requiresGrad, `${name} [${shape.join(' × ')}]`));
    }
    const texts = children.map(([, child]) => visit(child, '', depth + 1).join('\n'));
    for (let i = 0; i < children.length; ) {
      const [name, child] = children[i]!;
      let end = i + 1;
      if (module instanceof ModuleList) while (end < children.length && texts[end] === texts[i]) end++;
      const times = end - i;
      const number = times > 1 ? `{${name}-${children[end - 1]![0]}}: ${times} × ` : `${name}: `;
      lines.push(...visit(child, `${number}${child.constructor.name}`, depth + 1));
      i = end;
    }
    return lines;
  };
  return visit(model, model.constructor.name, 0).join('\n');
}
