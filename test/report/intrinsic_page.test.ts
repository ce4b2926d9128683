/**
 * The two figures of the page about intrinsic dimensions: which models a line connects. The search
 * that finds the numbers is tested by test/study/intrinsic.test.ts.
 */
import { type IntrinsicModelFacts, renderIntrinsic } from '../../src/report';

function modelOf(model: string, weights: number, pretrainingSteps: number | null, least: number): IntrinsicModelFacts {
  const value = { mean: 0.9, deviation: 0, count: 1 };
  const tried = [{ dimension: least, enough: true, learningRate: 1e-2, value }];
  const full = { learningRate: 1e-3, value };
  return { model, weights, pretrainingSteps, full, enough: 0.81, searches: [{ structure: 'did', least, tried }] };
}

/** The figure with a heading. */
function figureOf(models: IntrinsicModelFacts[], heading: string): string | undefined {
  const page = renderIntrinsic('d', { metric: 'accuracy', share: 0.9, models, seconds: 1 });
  return page.split('<figure>').find((figure) => figure.startsWith(`<h2>${heading}</h2>`));
}

const few = modelOf('a/few', 1000, 10, 400);
const many = modelOf('a/many', 1000, 20, 300);
const large = modelOf('a/large', 2000, 20, 200);

test('a line connects models that are alike in the rest', () => {
  const steps = figureOf([few, many, large], 'd90 by pretraining steps');
  expect(steps).toContain('few (10), did: 400');
  expect(steps).toContain('many (20), did: 300');
  expect(steps).not.toContain('large');
  const size = figureOf([few, many, large], 'd90 by size');
  expect(size).toContain('many (1,000), did: 300');
  expect(size).toContain('large (2,000), did: 200');
  expect(size).not.toContain('few');
});

test('several lines say what their models have in common', () => {
  const other = modelOf('a/other', 2000, 10, 500);
  const steps = figureOf([few, many, large, other], 'd90 by pretraining steps');
  expect(steps).toContain('DID, 1,000 weights');
  expect(steps).toContain('DID, 2,000 weights');
});

test('a figure is there where models differ in what it is by', () => {
  const unknown = [modelOf('a/one', 1000, null, 5), modelOf('a/two', 2000, null, 6)];
  expect(figureOf(unknown, 'd90 by pretraining steps')).toBeUndefined();
  expect(figureOf(unknown, 'd90 by size')).toContain('two (2,000), did: 6');
  expect(figureOf([few, large], 'd90 by size')).toBeUndefined();
});
