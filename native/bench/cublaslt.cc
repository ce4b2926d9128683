// cuBLASLt by dlopen: a handle, descriptors, and the algorithms that its heuristic proposes for a
// shape. What it is timed against, and how: hopper_gemm.cc.
#include "bench/cublaslt.h"

#include <dlfcn.h>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <vector>

namespace fl::bench {
namespace {

constexpr int kBf16 = 14, kFloat = 0, kComputeFloat = 68;
constexpr int kTransA = 3, kEpilogue = 7, kBiasPointer = 8, kTransposed = 1, kWithBias = 4, kMaxWorkspace = 1;
constexpr size_t kWorkspaceBytes = size_t{64} << 20;
constexpr int kMostAlgorithms = 32;

/// cublasLtMatmulHeuristicResult_t
struct Algorithm {
  uint64_t algo[8];
  size_t workspaceBytes;
  int state;
  float waves;
  int reserved[4];
};

void require(int status, const char* what) {
  if (status != 0) throw std::runtime_error(std::string(what) + ": cuBLASLt status " + std::to_string(status));
}

}  // namespace

template <class Function>
Function* CublasLt::find(const char* name) const {
  void* const found = dlsym(library_, name);
  if (!found) throw std::runtime_error(std::string("cuBLASLt has no ") + name);
  return reinterpret_cast<Function*>(found);
}

CublasLt::CublasLt(const std::string& file) : library_(dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (!library_) throw std::runtime_error(dlerror());
  require(find<int(void**)>("cublasLtCreate")(&handle_), "cublasLtCreate");
  if (cudaMalloc(&workspace_, kWorkspaceBytes) != cudaSuccess) throw std::runtime_error("no memory for a workspace");
}

std::function<void()> CublasLt::product(const BareProduct& p, cudaStream_t stream,
                                        const std::function<double(const std::function<void()>&)>& seconds) {
  const auto set = find<int(void*, int, const void*, size_t)>("cublasLtMatmulDescSetAttribute");
  const auto makeLayout = find<int(void**, int, uint64_t, uint64_t, int64_t)>("cublasLtMatrixLayoutCreate");
  void *desc = nullptr, *preference = nullptr;
  require(find<int(void**, int, int)>("cublasLtMatmulDescCreate")(&desc, kComputeFloat, kFloat), "desc");
  // Row-major out [rows, cols] is column-major [cols, rows] = w times x, both column-major.
  if (p.depthContiguous) require(set(desc, kTransA, &kTransposed, sizeof kTransposed), "transposed");
  if (p.bias) {
    require(set(desc, kEpilogue, &kWithBias, sizeof kWithBias), "epilogue");
    require(set(desc, kBiasPointer, &p.bias, sizeof p.bias), "bias");
  }
  const auto layout = [&](int rows, int cols) {
    void* made = nullptr;
    require(makeLayout(&made, kBf16, static_cast<uint64_t>(rows), static_cast<uint64_t>(cols), rows), "layout");
    return made;
  };
  void* const a = p.depthContiguous ? layout(p.depth, p.cols) : layout(p.cols, p.depth);
  void* const b = layout(p.depth, p.rows);
  void* const d = layout(p.cols, p.rows);
  require(find<int(void**)>("cublasLtMatmulPreferenceCreate")(&preference), "preference");
  require(find<int(void*, int, const void*, size_t)>("cublasLtMatmulPreferenceSetAttribute")(
              preference, kMaxWorkspace, &kWorkspaceBytes, sizeof kWorkspaceBytes),
          "preference");
  std::vector<Algorithm> found(kMostAlgorithms);
  int count = 0;
  require(find<int(void*, void*, void*, void*, void*, void*, void*, int, Algorithm*, int*)>(
              "cublasLtMatmulAlgoGetHeuristic")(handle_, desc, a, b, d, d, preference, kMostAlgorithms, found.data(),
                                                &count),
          "heuristic");
  const auto matmul =
      find<int(void*, void*, const void*, const void*, void*, const void*, void*, const void*, const void*, void*,
               void*, void*, const void*, void*, size_t, cudaStream_t)>("cublasLtMatmul");
  const auto launch = [=, this](const Algorithm& algorithm) {
    const float one = 1, zero = 0;
    require(matmul(handle_, desc, &one, p.w, a, p.x, b, &zero, p.out, d, p.out, d, algorithm.algo, workspace_,
                   kWorkspaceBytes, stream),
            "cublasLtMatmul");
  };
  const Algorithm* best = nullptr;
  double fastest = std::numeric_limits<double>::infinity();
  for (int i = 0; i < count; i++) {
    if (found[static_cast<size_t>(i)].state != 0) continue;
    const Algorithm& one = found[static_cast<size_t>(i)];
    double least = std::numeric_limits<double>::infinity();
    for (int round = 0; round < 5; round++) least = std::min(least, seconds([&] { launch(one); }));
    if (least < fastest) {
      fastest = least;
      best = &one;
    }
  }
  if (!best) throw std::runtime_error("cuBLASLt proposes no algorithm");
  return [launch, chosen = *best] { launch(chosen); };
}

}  // namespace fl::bench
