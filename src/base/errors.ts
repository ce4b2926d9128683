/**
 * Every error this library raises on purpose: `code` says what kind; the message says what was
 * wrong, where (file, row, tensor or module name) and what to do. docs/errors.md explains
 * each code.
 */
import { printable } from './printable';

/** What kind of error: for programs, which should not read messages. */
export type ErrorCode =
  /** An option or argument is missing, of the wrong type, or out of range. */
  | 'INVALID_ARGUMENT'
  /** A tensor, batch or module got a shape or dtype it can not take. */
  | 'INVALID_SHAPE'
  /** A file is missing or can not be read. */
  | 'FILE_NOT_FOUND'
  /** The hub could not be reached, refused, or gave something else than it said. */
  | 'DOWNLOAD_FAILED'
  /** A file or folder can not be written. */
  | 'FILE_NOT_WRITABLE'
  /** A checkpoint file is damaged: truncated, overlapping, out of range, not JSON. */
  | 'INVALID_CHECKPOINT'
  /** config.json or adapter_config.json is missing a field or holds one that can not be used. */
  | 'INVALID_CONFIG'
  /** tokenizer files are missing or unusable. */
  | 'INVALID_TOKENIZER'
  /** A data file has a bad row, an unknown label, or lacks a column. */
  | 'INVALID_DATA'
  /** Names in a state dict do not match the model. */
  | 'STATE_MISMATCH'
  /** A LoRA configuration is impossible or matches nothing. */
  | 'INVALID_LORA'
  /** The loss, the gradient norm or a prediction is NaN or infinite; nothing was changed. */
  | 'NON_FINITE_LOSS'
  /** The source file of a frozen parameter changed since it was read. */
  | 'SOURCE_CHANGED'
  /** An object was used after `dispose()`. */
  | 'DISPOSED'
  /** Another step is running on this object. */
  | 'BUSY'
  /** Work was stopped by an AbortSignal. */
  | 'ABORTED'
  /** The device is not there or can not be used. */
  | 'DEVICE_UNAVAILABLE'
  /** This backend does not implement the op or the dtype. */
  | 'UNSUPPORTED'
  /** Not enough memory. */
  | 'OUT_OF_MEMORY'
  /** The native addon could not be loaded. */
  | 'ADDON_NOT_FOUND'
  /** No MPI library, or one that does not fit what started the processes. */
  | 'MPI_UNAVAILABLE'
  /** Another rank of a distributed run failed, ended, or did not answer. */
  | 'RANK_FAILED'
  /** A bug in this library. */
  | 'INTERNAL';

/**
 * What this library raises on purpose; docs/errors.md explains each code. Its message may be shown
 * as it is: names from files can not steer a terminal or fill it.
 */
export class FusedLoraError extends Error {
  override readonly name = 'FusedLoraError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(printable(message), options);
    this.code = code;
  }
}
