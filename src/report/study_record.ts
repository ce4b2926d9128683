/**
 * What a page about a study is made of: its trials, the best setting of each method, and what the
 * differences mean. src/study/study_report.ts fills it in; study_page.ts shows it.
 */
import type { ReliabilityBin } from '../metrics/calibration';
import type { McNemar, PairedBootstrap } from '../metrics/significance';

type Shown = string | number | boolean | null;

/** Mean and deviation over seeds. */
export interface StudySpread {
  mean: number;
  deviation: number;
  count: number;
}

export interface StudyTrial {
  number: number;
  method: string;
  state: 'running' | 'complete' | 'pruned' | 'failed' | 'waiting';
  value: number | undefined;
  params: Readonly<Record<string, Shown>>;
  /** [evaluation, value] */
  reports: readonly (readonly [number, number])[];
  /** ISO 8601. */
  started: string | undefined;
  ended: string | undefined;
}

export interface StudyMethodFacts {
  method: string;
  trial: number;
  params: Readonly<Record<string, unknown>>;
  trials: { complete: number; stopped: number; failed: number };
  parameters: { total: number; learnable: number } | undefined;
  dev: StudySpread;
  test: StudySpread | undefined;
  trainSizes: readonly { size: number; dev: StudySpread }[];
  /** On dev, of all its runs with other seeds; absent for regression. */
  reliability: { ece: number; bins: readonly ReliabilityBin[] } | undefined;
}

/** Everything that a page about a study shows. */
export interface StudyRecordFacts {
  name: string;
  metric: string;
  maximize: boolean;
  best: string;
  examples: { train: number; dev: number; test: number | undefined };
  methods: readonly StudyMethodFacts[];
  comparisons: readonly {
    first: string;
    second: string;
    bootstrap: PairedBootstrap;
    mcNemar: McNemar | undefined;
  }[];
  trials: readonly StudyTrial[];
}
