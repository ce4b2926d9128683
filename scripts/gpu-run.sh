#!/usr/bin/env bash
# Runs on the GPU machine, from the repository's root, on the pack that scripts/gpu-run.mjs made
# (.gpu-run/): unpacks the Node that travels along and starts scripts/gpu-stages.mjs, which builds
# with CUDA (or takes the programs that came along), tests, measures and checks with
# compute-sanitizer; gpu-run.json, gpu-run.txt and a row for the ledger go to $OUT (default:
# gpu-run-out/), the row also into benchmarks/gpu-ledger.md. Needs a C++20 compiler, CMake and nvcc
# 12 or newer where it compiles; no Node, no network. Exit code 1 when a step failed.
#   --minutes N      the first day: all steps in the order of their value, as many as fit,
#                    benchmarks --quick; called again it goes on with what has not passed
#   --again          with --minutes: from the start
#   --stage NAME     only build, test, bench, sanitize or sm90a (may be given more than once);
#                    results of earlier calls are kept
#   --quick          fewer sizes and rounds in the benchmarks
#   --emulated       without a GPU: the same steps, kernels run on the CPU
#   --dry            only say which steps, and what they run
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
