#!/usr/bin/env bash
# Runs on the GPU machine, from the repository's root, on the pack that scripts/gpu-run.mjs made
# (.gpu-run/): unpacks the Node that travels along and starts scripts/gpu-stages.mjs, which builds
# with CUDA, tests, checks with compute-sanitizer and measures; gpu-run.json and gpu-run.txt go to
# $OUT (default: gpu-run-out/). Needs a C++20 compiler, CMake and nvcc 12 or newer; no Node, no
# network. Exit code 1 when a step failed.
#   --stage build|test|sanitize|bench   only this stage (may be given more than once);
#                                       results of earlier calls are kept
#   --quick                             fewer sizes and rounds in the benchmarks
#   --emulated                          without a GPU: the same steps, kernels run on the CPU
set -uo pipefail

root="$(cd "$(dirname "$0")/.." && pwd)"
pack="$root/.gpu-run"
work="$root/build-gpu"
if [ ! -f "$pack/node.gz" ]; then
  echo "[gpu-run] no pack in $pack: run 'node scripts/gpu-run.mjs' on the machine that has Node, and bring .gpu-run along"
  exit 1
fi
mkdir -p "$work"
node="$work/node"
if [ ! -x "$node" ] || [ "$pack/node.gz" -nt "$node" ]; then
  gzip -dc "$pack/node.gz" >"$node.new" && chmod +x "$node.new" && mv "$node.new" "$node" || exit 1
fi
"$node" --version >/dev/null || {
  echo "[gpu-run] the packed Node does not run here"
  exit 1
}
exec "$node" "$pack/scripts/gpu-stages.mjs" "$root" "$@"
