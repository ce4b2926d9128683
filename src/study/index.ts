/**
 * What other rooms call: a study in one call, its options and results, and spaces from files.
 * The command is src/cli/tune.ts; what a study does step by step is tune.ts.
 */
export type { McNemar, PairedBootstrap } from '../metrics/significance';
export {
  type IntrinsicModel,
  type IntrinsicResults,
  type IntrinsicSearch,
  type IntrinsicSetting,
  intrinsicDimension,
} from './intrinsic/intrinsic';
export { INTRINSIC_DEFAULTS, type IntrinsicOptions } from './intrinsic/options';
export type { TuneOptions } from './options';
export type { ArmResult, Comparison, Spread, StudyResults } from './results';
export type { AshaOptions } from './search/asha';
export type { SamplerName } from './search/sampler';
export type { Value } from './space/distribution';
export { readSpace } from './space/read_space';
export type { ParameterSpec, Space, When } from './space/space';
export { STUDY_METHODS, type StudyMethod } from './trial_options';
export { STUDY_FILES, tune } from './tune';
