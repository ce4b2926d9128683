// hopper_gemm [--cublaslt FILE] [--rounds N] [--tiny]: times lora_gemm_sm90a in turns with
// cuBLASLt's bare product with bias, L2 flushed before each, and writes one line of JSON for every
// shape, adapter and tile. bench:gpu runs it. The product itself: cuda/hopper/lora_gemm_sm90a.h.
// Ours writes fp32, as the ops have it, cuBLASLt bf16.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <vector>

#include "bench/cublaslt.h"
#include "cuda/device/device.h"
#include "cuda/hopper/lora_gemm_sm90a.h"

namespace fl::bench {
namespace {

using namespace fl::cuda;
using namespace fl::cuda::hopper;

struct Shape {
  int rows, cols, depth;
};
/// RoBERTa-base's and -large's layers; 425 rows are SST-2 at batch 32.
constexpr Shape kShapes[] = {{425, 768, 768},    {425, 3072, 768},    {8192, 768, 768},    {8192, 2304, 768},
                             {8192, 3072, 768},  {8192, 768, 3072},   {8192, 1024, 1024},  {8192, 4096, 1024},
                             {8192, 1024, 4096}, {32768, 768, 768},   {32768, 2304, 768},  {32768, 3072, 768},
                             {32768, 768, 3072}, {32768, 1024, 1024}, {32768, 4096, 1024}, {32768, 1024, 4096}};
constexpr Shape kTiny[] = {{40, 72, 136}};
constexpr const char* kNames[] = {"wide", "broad", "square", "small"};
constexpr int kRanks[] = {0, 16, 64};

/// Memory of the device with bf16 values of small size; pairs of them are small fp32 values too.
class Buffer {
 public:
  explicit Buffer(int64_t count) {
    std::vector<uint16_t> values(static_cast<size_t>(count));
    if (cudaMalloc(&memory_, values.size() * 2) != cudaSuccess) throw std::runtime_error("no memory");
    uint32_t state = 12345;
    for (uint16_t& v : values) {
      state = state * 1664525 + 1013904223;
      // Sign, an exponent of 2^-4 .. 2^-1 and a mantissa: products and sums as in a model.
      v = static_cast<uint16_t>((state >> 31 << 15) | ((123 + (state >> 29 & 3)) << 7) | (state >> 16 & 127));
    }
    const cudaStream_t stream = Device::instance().stream();
    cudaMemcpyAsync(memory_, values.data(), values.size() * 2, cudaMemcpyHostToDevice, stream);
    Device::instance().synchronize();
  }
  ~Buffer() { cudaFree(memory_); }
  Buffer(const Buffer&) = delete;
  uint16_t* data() const { return static_cast<uint16_t*>(memory_); }
  float* floats() const { return static_cast<float*>(memory_); }

 private:
  void* memory_ = nullptr;
};

constexpr size_t kFlushBytes = size_t{256} << 20;

class Timer {
 public:
  explicit Timer(bool flush) {
    if (flush && cudaMalloc(&flush_, kFlushBytes) != cudaSuccess)
      throw std::runtime_error("no memory to flush L2 with");
  }
  double operator()(const std::function<void()>& work) const {
    if (flush_) cudaMemsetAsync(flush_, 0, kFlushBytes, Device::instance().stream());
    return Device::instance().time(work);
  }

 private:
  void* flush_ = nullptr;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Side {
  const char* tile;
  const char* u;
  int rank;
  double modelled;
  std::function<void()> launch;
  std::vector<double> seconds;
};

void measure(const Shape& s, bool depthContiguous, CublasLt* cublas, const Timer& timer, int rounds) {
  const int64_t rows = s.rows, cols = s.cols, depth = s.depth;
  const Buffer x(rows * depth), w(cols * depth), bias(2 * cols), out(2 * rows * cols), u(2 * rows * 64), a(64 * depth),
      b(64 * cols);
  std::vector<Side> sides;
  if (cublas) {
    const BareProduct bare{s.rows, s.cols, s.depth, depthContiguous, x.data(), w.data(), bias.data(), out.data()};
    sides.push_back({"cuBLASLt", "none", 0, 0, cublas->product(bare, Device::instance().stream(), timer), {}});
  }
  for (const TileName tile : kTileNames)
    for (const int rank : kRanks)
      for (const bool made : {false, true}) {
        LoraGemm g;
        g.rows = s.rows;
        g.cols = s.cols;
        g.depth = s.depth;
        g.depthContiguous = depthContiguous;
        g.x = x.data();
        g.w = w.data();
        g.bias = bias.floats();
        g.out = out.floats();
        g.rank = rank;
        if (rank > 0) {
          g.u = u.data();
          g.b = b.data();
        }
        if (made) {
          g.a = a.data();
          g.madeU = u.floats();
        }
        if ((made && rank == 0) || faultOf(g, tile) != nullptr) continue;
        sides.push_back({kNames[static_cast<int>(tile)],
                         rank == 0 ? "none"
                         : made    ? "columns"
                                   : "memory",
                         rank,
                         modelledSeconds(tileOf(tile), s.rows, s.cols, s.depth),
                         [g, tile] { run("bench", g, tile); },
                         {}});
      }
  constexpr int kWarmup = 2;
  for (int round = -kWarmup; round < rounds; round++)
    for (Side& side : sides) {
      const double seconds = timer(side.launch);
      if (round >= 0) side.seconds.push_back(seconds);
    }
  for (const Side& side : sides) {
    std::vector<double> ratios;
    for (size_t i = 0; cublas && i < side.seconds.size(); i++) ratios.push_back(sides[0].seconds[i] / side.seconds[i]);
    std::printf(
        "{\"rows\":%d,\"cols\":%d,\"depth\":%d,\"layout\":\"%s\",\"tile\":\"%s\",\"u\":\"%s\",\"rank\":%d,"
        "\"seconds\":%.4g,\"modelled\":%.4g,\"ofCublasLt\":%.4f}\n",
        s.rows, s.cols, s.depth, depthContiguous ? "forward" : "backward", side.tile, side.u, side.rank,
        median(side.seconds), side.modelled, ratios.empty() ? 0.0 : median(ratios));
  }
  std::fflush(stdout);
}

int main(int argc, char** argv) {
  int rounds = 15;
  bool tiny = false;
  const char* library = nullptr;
  for (int i = 1; i < argc; i++) {
    if (std::strcmp(argv[i], "--tiny") == 0) {
      tiny = true;
    } else if (std::strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
      rounds = std::max(1, std::atoi(argv[++i]));
    } else if (std::strcmp(argv[i], "--cublaslt") == 0 && i + 1 < argc) {
      library = argv[++i];
    } else {
      std::fprintf(stderr, "usage: hopper_gemm [--cublaslt FILE] [--rounds N] [--tiny]\n");
      return 2;
    }
  }
  if (Device::instance().computeCapability() != 90) {
    std::fprintf(stderr, "needs a GPU of compute capability 9.0, this is %s\n", Device::instance().name().c_str());
    return 1;
  }
  std::unique_ptr<CublasLt> cublas;
  try {
    if (library) cublas = std::make_unique<CublasLt>(library);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "without cuBLASLt: %s\n", error.what());
  }
  const Timer timer(!tiny);
  for (const bool depthContiguous : {true, false}) {
    if (tiny)
      for (const Shape& shape : kTiny) measure(shape, depthContiguous, cublas.get(), timer, 1);
    else
      for (const Shape& shape : kShapes) measure(shape, depthContiguous, cublas.get(), timer, rounds);
  }
  return 0;
}

}  // namespace
}  // namespace fl::bench

int main(int argc, char** argv) {
  try {
    return fl::bench::main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
