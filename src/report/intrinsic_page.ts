/**
 * The page about intrinsic dimensions: a table of models, the metric by dimension, and d90 by
 * pretraining steps and by size, as in Aghajanyan et al. 2020. The results are made by
 * src/study/intrinsic; pictures are drawn by plot.ts.
 */
import { documentOf } from './document';
import { count, duration, number } from './format';
import { type Html, html } from './html';
import { type Axis, around, dot, frameOf, legend, line, picture } from './plot';
import type { StudySpread } from './study_record';

/** What the page shows of a model. */
export interface IntrinsicModelFacts {
  model: string;
  weights: number;
  pretrainingSteps: number | null;
  full: { learningRate: number; value: StudySpread };
  enough: number;
  searches: readonly {
    structure: string;
    least: number | null;
    tried: readonly { dimension: number; enough: boolean; learningRate: number; value: StudySpread }[];
  }[];
}

/** Everything that the page shows. */
export interface IntrinsicFacts {
  metric: string;
  share: number;
  models: readonly IntrinsicModelFacts[];
  seconds: number;
}

const spread = ({ mean, deviation, count: n }: StudySpread) => `${mean.toFixed(4)} ± ${deviation.toFixed(4)} (${n})`;
const nameOf = (model: string) => model.replace(/\/+$/, '').split('/').at(-1) ?? model;

/** The metric by dimension, for one model. */
function dimensionFigure(metric: string, model: IntrinsicModelFacts): Html {
  const all = model.searches.flatMap(({ tried }) => tried);
  const dimensions = all.map(({ dimension }) => dimension);
  const values = [...all.map(({ value }) => value.mean), model.full.value.mean, model.enough];
  const x: Axis = { label: 'dimension of the subspace', log: true, ...around(dimensions, true) };
  const frame = frameOf(x, { label: metric, ...around(values) });
  const level = (value: number, words: string) =>
    line(
      [
        [frame.x(x.from), frame.y(value)],
        [frame.x(x.to), frame.y(value)],
      ],
      7,
      words,
      true,
    );
  const curves = model.searches.map(({ structure, tried }, c) => {
    const sorted = [...tried].sort((a, b) => a.dimension - b.dimension);
    const points = sorted.map(({ dimension, value }): [number, number] => [frame.x(dimension), frame.y(value.mean)]);
    const dots = sorted.map(({ dimension, value, learningRate, enough }, i) => {
      const [px, py] = points[i] as [number, number];
      return dot(px, py, c, `${structure}, ${dimension}: ${spread(value)}, rate ${number(learningRate)}`, !enough);
    });
    return html`${points.length > 1 && line(points, c)}${dots}`;
  });
  const names = model.searches.map(({ structure }) => structure.toUpperCase());
  const levels = [level(model.full.value.mean, 'full fine-tuning'), level(model.enough, 'enough')];
  return html`<figure><h2>${nameOf(model.model)}</h2><p class="note">the upper line is full fine-tuning, the lower one what is enough; a circle is not</p>
<div class="scroll">${picture(`${metric} by dimension`, [frame.axes, ...levels, ...curves])}${legend(names)}</div></figure>`;
}

interface LeastPoint {
  at: number;
  least: number;
  structure: string;
  /** What models of one line have in common. */
  held: string;
  name: string;
}

/** Points that a line connects: those that differ in what the figure is by, and in nothing else. */
function linesOf(points: readonly LeastPoint[]): { name: string; points: LeastPoint[] }[] {
  const groups = new Map<string, LeastPoint[]>();
  for (const point of points) {
    const key = JSON.stringify([point.structure, point.held]);
    groups.set(key, [...(groups.get(key) ?? []), point]);
  }
  const differ = (some: readonly LeastPoint[]) => new Set(some.map(({ at }) => at)).size > 1;
  const lines = [...groups.values()].filter(differ);
  const held = new Set(lines.flat().map((point) => point.held));
  return lines.map((own) => {
    const { structure, held: common } = own[0] as LeastPoint;
    const name = structure.toUpperCase();
    return {
      name: held.size > 1 && common ? `${name}, ${common}` : name,
      points: own.sort((a, b) => a.at - b.at),
    };
  });
}

/**
 * d90 by something of the models, where they differ in it: a line for those that are alike in the
 * rest.
 *
 * @param heldOf what else models may differ in, in words.
 */
function leastFigure(
  { models }: IntrinsicFacts,
  heading: string,
  label: string,
  of: (model: IntrinsicModelFacts) => number | null,
  heldOf: (model: IntrinsicModelFacts) => string,
): Html | false {
  const all = models.flatMap((model) => {
    const at = of(model);
    if (at === null || !(at > 0)) return [];
    return model.searches.flatMap(({ structure, least }) =>
      least === null ? [] : [{ at, least, structure, held: heldOf(model), name: nameOf(model.model) }],
    );
  });
  const lines = linesOf(all);
  const points = lines.flatMap((one) => one.points);
  if (points.length === 0) return false;
  const axis = (label: string, values: number[]): Axis => ({ label, log: true, ...around(values, true) });
  const frame = frameOf(
    axis(
      label,
      points.map(({ at }) => at),
    ),
    axis(
      'd90',
      points.map(({ least }) => least),
    ),
  );
  const curves = lines.map(({ points: own }, c) => {
    const places = own.map(({ at, least }): [number, number] => [frame.x(at), frame.y(least)]);
    const dots = own.map(({ at, least, name, structure }, i) => {
      const [px, py] = places[i] as [number, number];
      return dot(px, py, c, `${name} (${count(at)}), ${structure}: ${count(least)}`);
    });
    return html`${line(places, c)}${dots}`;
  });
  return html`<figure><h2>${heading}</h2><div class="scroll">${picture(heading, [frame.axes, ...curves])}${legend(lines.map(({ name }) => name))}</div></figure>`;
}

const weightsOf = ({ weights }: IntrinsicModelFacts) => `${count(weights)} weights`;
const stepsOf = ({ pretrainingSteps: steps }: IntrinsicModelFacts) => (steps === null ? '' : `${count(steps)} steps`);

/** @returns HTML that runs no script and loads nothing. */
export function renderIntrinsic(name: string, facts: IntrinsicFacts): string {
  const { metric, share, models, seconds } = facts;
  const rows = models.flatMap(({ model, weights, pretrainingSteps, full, searches }) =>
    searches.map(
      ({ structure, least, tried }) =>
        html`<tr><td>${nameOf(model)}</td><td>${count(weights)}</td><td>${pretrainingSteps === null ? '–' : count(pretrainingSteps)}</td><td>${spread(full.value)}</td><td>${structure.toUpperCase()}</td><td>${least === null ? `above ${count(Math.max(...tried.map(({ dimension }) => dimension)))}` : count(least)}</td></tr>`,
    ),
  );
  const body = html`<header><h1>${name}</h1><p>intrinsic dimension: the least at which training in a random subspace has ${(100 * share).toFixed(0)} % of full fine-tuning's ${metric} · ${duration(seconds)} of runs</p></header>
<section><h2>Models</h2><div class="scroll"><table class="numbers"><thead><tr><th>model</th><th>weights</th><th>pretraining steps</th><th>full fine-tuning</th><th></th><th>d90</th></tr></thead><tbody>${rows}</tbody></table></div></section>
<div class="charts">${leastFigure(facts, 'd90 by pretraining steps', 'steps of pretraining', ({ pretrainingSteps }) => pretrainingSteps, weightsOf)}${leastFigure(facts, 'd90 by size', 'weights of the model', ({ weights }) => weights, stepsOf)}${models.map((model) => dimensionFigure(metric, model))}</div>
<footer>Made by fused-lora. Nothing in this file is loaded from elsewhere.</footer>`;
  return documentOf(`${name}: intrinsic dimension`, body, { styles: ['page.css', 'study.css'] });
}
