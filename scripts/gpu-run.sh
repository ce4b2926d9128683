#!/usr/bin/env bash
# Runs on the GPU machine, from the repository's root, on the pack that scripts/gpu-run.mjs made (.gpu-run/): builds the native part with CUDA, runs the
# native tests and the benchmarks, and writes gpu-run.json and gpu-run.txt to $OUT (default: gpu-run-out/). Needs a C++20 compiler, CMake and nvcc 12 or
# newer; no Node, no network. Without a GPU it says so and runs the CPU parts. Exit code 1 when a step failed.
#   --compute-sanitizer   also runs the native tests under compute-sanitizer (memcheck)
set -uo pipefail

root="$(cd "$(dirname "$0")/.." && pwd)"
cd "$root" || exit 1
pack="$root/.gpu-run"
work="$root/build-gpu"
out="${OUT:-$root/gpu-run-out}"
sanitize=no
[ "${1:-}" = "--compute-sanitizer" ] && sanitize=yes

say() { printf '[gpu-run] %s\n' "$*"; }
if [ ! -f "$pack/node.gz" ]; then
  say "no pack in $pack: run 'node scripts/gpu-run.mjs' on the machine that has Node, and bring .gpu-run along"
  exit 1
fi
mkdir -p "$work/logs" "$out"
rm -f "$work"/logs/*
node="$work/node"
gzip -dc "$pack/node.gz" >"$node.new" && chmod +x "$node.new" && mv "$node.new" "$node" || exit 1
"$node" --version >"$work/logs/node.txt" || { say "the packed Node does not run here"; exit 1; }

# step NAME LIMIT_SECONDS COMMAND...: output to a log, exit code and seconds to steps.tsv; shows the log's end where it failed.
step() {
  local name="$1" limit="$2" began ended status
  shift 2
  say "$name"
  began=$(date +%s.%N)
  timeout "$limit" "$@" >"$work/logs/$name.txt" 2>&1
  status=$?
  ended=$(date +%s.%N)
  printf '%s\t%s\t%s\n' "$name" "$status" "$(echo "$began $ended" | awk '{printf "%.1f", $2 - $1}')" >>"$work/logs/steps.tsv"
  if [ "$status" -ne 0 ]; then
    say "$name FAILED with exit code $status; the end of its output:"
    tail -n 40 "$work/logs/$name.txt"
  fi
  return "$status"
}

# A GPU counts only with its driver working.
device=cpu
if nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader >"$work/logs/gpu.txt" 2>&1; then
  device=cuda
  say "GPU: $(head -n 1 "$work/logs/gpu.txt")"
else
  rm -f "$work/logs/gpu.txt"
  say "NO GPU on this machine (nvidia-smi failed): only the CPU parts run"
fi

nvcc_path="$(command -v nvcc || ls "${CUDA_HOME:-/nowhere}/bin/nvcc" /usr/local/cuda/bin/nvcc "$root/.cache/cuda/bin/nvcc" 2>/dev/null | head -n 1)"
cuda=off
if [ -n "$nvcc_path" ]; then
  cuda=on
  "$nvcc_path" --version | tail -n 2 >"$work/logs/nvcc.txt"
else
  say "nvcc not found: the CUDA kernels are not built"
fi
c++ --version 2>/dev/null | head -n 1 >"$work/logs/compiler.txt"
python3 -c 'import torch; print(torch.__version__)' >"$work/logs/torch.txt" 2>/dev/null || rm -f "$work/logs/torch.txt"

rm -rf "$work/js" && cp -r "$pack/js" "$work/js"
generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
failed=no
step configure 120 cmake -S "$pack/source" -B "$work/native" "${generator[@]}" -DFUSED_LORA_CUDA=$cuda \
  ${nvcc_path:+-DFUSED_LORA_NVCC="$nvcc_path"} "-DFUSED_LORA_CUDA_ARCHS=80;90a" \
  "-DFUSED_LORA_NODE_HEADERS=$pack/headers" "-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=$work/js/build/Release" &&
  step build 900 cmake --build "$work/native" --parallel "$(nproc)" || failed=yes

if [ "$failed" = no ]; then
  test="$work/native/fused_lora_test"
  if [ -x "$test" ]; then
    step native-tests 600 "$test" || failed=yes
    if [ "$sanitize" = yes ] && [ "$device" = cuda ]; then
      step compute-sanitizer 600 compute-sanitizer --error-exitcode 9 "$test" || failed=yes
    fi
  fi
  size=()
  [ "$device" = cpu ] && size=(--quick)
  for bench in linear; do
    if [ -f "$work/js/benchmarks/$bench.js" ]; then
      step "bench-$bench" 600 "$node" "$work/js/benchmarks/$bench.js" \
        --device "$device" --json "$work/logs/bench-$bench.json" "${size[@]}" || failed=yes
    fi
  done
fi

"$node" "$pack/gpu-report.mjs" "$pack/facts.json" "$work/logs" "$device" "$out" || failed=yes
[ "$failed" = no ]
