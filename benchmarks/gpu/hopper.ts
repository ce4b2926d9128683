/**
 * bench:gpu, the kernels for compute capability 9.0: lora_gemm_sm90a by shape, adapter and tile.
 * It takes turns with cuBLASLt's bare product in one native process (native/bench/hopper_gemm.cc).
 * Shown as shares of the bare product, of the roofline and of what the tile model says.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { native } from '../../src/native';
import { repository } from '../lib/folders';
import { geometricMean } from '../lib/measure';
import { type Figure, isMissing, type Missing, type Section } from '../lib/result';
import { peersPython } from '../lib/torch_blas';

/** One line of the native benchmark. */
export interface HopperRow {
  rows: number;
  cols: number;
  depth: number;
  layout: 'forward' | 'backward';
  tile: string;
  /** Where u comes from: memory, or columns of the same kernel. */
  u: 'none' | 'memory' | 'columns';
  /** 0: the product alone. */
  rank: number;
  seconds: number;
  modelled: number;
  /** The bare product's time over this one's, median of rounds. */
  ofCublasLt: number;
}

/** Of one H200: bf16 FLOP/s and bytes/s. */
const PEAK = { flops: 790e12, bytes: 4.3e12 };

const roofline = ({ rows, cols, depth }: HopperRow) =>
  Math.max((2 * rows * cols * depth) / PEAK.flops, (2 * (rows * depth + cols * depth + rows * cols)) / PEAK.bytes);

/** The fastest tile for each shape, layout, rank and source of u. */
export function fastest(rows: readonly HopperRow[]): HopperRow[] {
  const best = new Map<string, HopperRow>();
  for (const row of rows) {
    if (row.tile === 'cuBLASLt') continue;
    const key = [row.rows, row.cols, row.depth, row.layout, row.rank, row.u].join();
    const found = best.get(key);
    if (!found || row.seconds < found.seconds) best.set(key, row);
  }
  return [...best.values()];
}

/** @param rows all tiles; figures take the fastest of each. */
export function hopperFigures(rows: readonly HopperRow[]): Record<string, Figure> {
  const best = fastest(rows);
  const mean = (wanted: (row: HopperRow) => boolean): Figure => {
    const ratios = best.filter(wanted).map(({ ofCublasLt }) => ofCublasLt);
    return ratios.length > 0 && ratios.every((ratio) => ratio > 0)
      ? geometricMean(ratios)
      : { missing: 'cuBLASLt was not there' };
  };
  const forward = (row: HopperRow, rank: number) => row.layout === 'forward' && row.rank === rank && row.rows >= 8192;
  const square = ({ cols, depth }: HopperRow) => cols === depth;
  return {
    'gpu.hopper.productOfCublasLt': mean(({ rank, rows: M }) => rank === 0 && M >= 8192),
    // One launch: u made in the kernel.
    'gpu.hopper.forwardSquareOfCublasLt': mean((row) => forward(row, 16) && row.u === 'columns' && square(row)),
    // u is there, as a LayerNorm kernel or a shrink kernel leaves it.
    'gpu.hopper.forwardWideOfCublasLt': mean((row) => forward(row, 16) && row.u === 'memory' && !square(row)),
    'gpu.hopper.forwardRank64OfCublasLt': mean((row) => forward(row, 64) && row.u === 'memory'),
  };
}

export function hopperSection(rows: readonly HopperRow[]): Section {
  const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
  return {
    title: 'lora_gemm_sm90a, bf16, the fastest tile of each',
    note: 'shares of speed: of cuBLASLt’s bare product with bias in turns with it (L2 flushed), of the roofline, of the tile model',
    header: ['rows × depth → cols', 'rank, u', 'tile', 'of cuBLASLt', 'of roofline', 'of model', 'µs'],
    rows: fastest(rows).map((row) => [
      `${row.rows} × ${row.depth} → ${row.cols} ${row.layout}`,
      row.rank === 0 ? 'product alone' : `${row.rank}, ${row.u}`,
      row.tile,
      row.ofCublasLt > 0 ? percent(row.ofCublasLt) : '-',
      percent(roofline(row) / row.seconds),
      percent(row.modelled / row.seconds),
      (row.seconds * 1e6).toFixed(1),
    ]),
  };
}

/** The library that PyTorch brings along, or the system's. */
function cublasLt(): string {
  const python = peersPython();
  if (!isMissing(python)) {
    const find =
      'import glob, sys; print(*[f for p in sys.path for f in glob.glob(p + "/nvidia/*/lib/libcublasLt.so.*")])';
    const [first] = execFileSync(python, ['-c', find], { encoding: 'utf8' }).trim().split(' ');
    if (first) return first;
  }
  return 'libcublasLt.so.13';
}

/** FUSED_LORA_NATIVE_BUILD: the build folder that has the executable. Default build. */
function executable(emulated: boolean): string | Missing {
  const name = emulated ? 'fused_lora_emulated_hopper_gemm' : 'fused_lora_hopper_gemm';
  const file = path.join(process.env['FUSED_LORA_NATIVE_BUILD'] ?? path.join(repository, 'build'), name);
  return fs.existsSync(file) ? file : { missing: `${file} is not built (cmake --build build --target ${name})` };
}

export async function benchHopper({ quick, emulated }: { quick: boolean; emulated: boolean }) {
  const program = executable(emulated);
  const { computeCapability } = native().info().cuda;
  const why = isMissing(program)
    ? program.missing
    : !emulated && computeCapability !== 9
      ? 'needs a GPU of compute capability 9.0'
      : undefined;
  if (why !== undefined || isMissing(program)) {
    return { peers: {}, rows: [], sections: [], figures: {}, missing: { lora_gemm_sm90a: why ?? '' } };
  }
  const args = emulated ? ['--tiny'] : ['--cublaslt', cublasLt(), '--rounds', quick ? '7' : '15'];
  const env = emulated ? { ...process.env, FUSED_LORA_EMULATOR_FAULT: 'capability=90' } : process.env;
  const lines = execFileSync(program, args, { encoding: 'utf8', env }).trim().split('\n');
  const rows = lines.map((line) => JSON.parse(line) as HopperRow);
  return { peers: {}, rows, sections: [hopperSection(rows)], figures: hopperFigures(rows) };
}
