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

/** d90 by something of the models, where they differ in it. */
function leastFigure(
  { models }: IntrinsicFacts,
  heading: string,
  label: string,
  of: (model: IntrinsicModelFacts) => number | null,
): Html | false {
  const structures = [...new Set(models.flatMap(({ searches }) => searches.map(({ structure }) => structure)))];
  const points = models.flatMap((model) => {
    const at = of(model);
    if (at === null || !(at > 0)) return [];
    return model.searches.flatMap(({ structure, least }) =>
      least === null ? [] : [{ at, least, structure, name: nameOf(model.model) }],
    );
  });
  if (new Set(points.map(({ at }) => at)).size < 2) return false;
  const frame = frameOf(
    {
      label,
      log: true,
      ...around(
        points.map(({ at }) => at),
        true,
      ),
    },
    {
      label: 'd90',
      log: true,
      ...around(
        points.map(({ least }) => least),
        true,
      ),
    },
  );
  const curves = structures.map((structure, c) => {
    const own = points.filter((point) => point.structure === structure).sort((a, b) => a.at - b.at);
    const places = own.map(({ at, least }): [number, number] => [frame.x(at), frame.y(least)]);
    const dots = own.map(({ at, least, name }, i) => {
      const [px, py] = places[i] as [number, number];
      return dot(px, py, c, `${name} (${count(at)}), ${structure}: ${count(least)}`);
    });
    return html`${places.length > 1 && line(places, c)}${dots}`;
  });
  return html`<figure><h2>${heading}</h2><div class="scroll">${picture(heading, [frame.axes, ...curves])}${legend(structures.map((one) => one.toUpperCase()))}</div></figure>`;
}

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
<div class="charts">${leastFigure(facts, 'd90 by pretraining steps', 'steps of pretraining', ({ pretrainingSteps }) => pretrainingSteps)}${leastFigure(facts, 'd90 by size', 'weights of the model', ({ weights }) => weights)}${models.map((model) => dimensionFigure(metric, model))}</div>
<footer>Made by fused-lora. Nothing in this file is loaded from elsewhere.</footer>`;
  return documentOf(`${name}: intrinsic dimension`, body, { styles: ['page.css', 'study.css'] });
}
