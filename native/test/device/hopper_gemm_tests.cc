// lora_gemm_sm90a against sums in float64 of the same bf16 operands, on a GPU of compute capability
// 9.0 or in the emulator (FUSED_LORA_EMULATOR_FAULT=capability=90). Results are held to what fp32
// sums allow, not to a tolerance that fits: for each of the depth's steps half a unit of what was
// summed. How the kernels cut up their work is tested in hopper_selection_tests.cc, the ops that
// use them by all tests of bf16 with FUSED_LORA_CUDA_PATH=sm90a.
#include <cuda_runtime.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "cuda/device/device.h"
#include "cuda/gemm/tile_bf16.h"
#include "cuda/hopper/lora_gemm_sm90a.h"
#include "runtime/bf16.h"
#include "runtime/error.h"
#include "test/random.h"
#include "test/tests.h"

namespace fl::test {
namespace {

using namespace fl::cuda;
using namespace fl::cuda::hopper;

uint16_t toBf16(double value) {
  return static_cast<uint16_t>(std::bit_cast<uint32_t>(roundToBf16(static_cast<float>(value))) >> 16);
}
double fromBf16(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

/// A matrix on the device and its values: bf16 with padded rows, or fp32.
template <class Element>
class Matrix {
 public:
  static constexpr bool kHalf = sizeof(Element) == 2;
  Matrix() = default;
  Matrix(Random& random, int64_t rows, int64_t cols) : Matrix(rows, cols, Element{}) {
    const std::vector<double> values = random.normals(rows * cols, 1);
    for (int64_t r = 0; r < rows; r++)
      for (int64_t c = 0; c < cols; c++) {
        const double value = values[static_cast<size_t>(r * cols + c)];
        if constexpr (kHalf)
          elements_[index(r, c)] = toBf16(value);
        else
          elements_[index(r, c)] = static_cast<float>(value);
      }
    upload();
  }
  Matrix(int64_t rows, int64_t cols, Element value)
      : rows_(rows),
        stride_(kHalf ? paddedColsBf16(static_cast<int>(cols)) : cols),
        elements_(static_cast<size_t>(rows * stride_), value) {
    upload();
  }
  Matrix(Matrix&& other) noexcept { *this = std::move(other); }
  Matrix& operator=(Matrix&& other) noexcept {
    std::swap(rows_, other.rows_);
    std::swap(stride_, other.stride_);
    std::swap(elements_, other.elements_);
    std::swap(memory_, other.memory_);
    return *this;
  }
  ~Matrix() {
    if (memory_) cudaFree(memory_);
  }

  Element* data() const { return static_cast<Element*>(memory_); }
  double at(int64_t row, int64_t col) const {
    if constexpr (kHalf)
      return fromBf16(elements_[index(row, col)]);
    else
      return elements_[index(row, col)];
  }
  const std::vector<Element>& elements() const { return elements_; }
  bool there() const { return memory_ != nullptr; }
  void upload() {
    if (!memory_ && cudaMalloc(&memory_, elements_.size() * sizeof(Element)) != cudaSuccess)
      skip("no memory on the device");
    copy(memory_, elements_.data(), cudaMemcpyHostToDevice);
  }
  void download() { copy(elements_.data(), memory_, cudaMemcpyDeviceToHost); }

 private:
  size_t index(int64_t row, int64_t col) const { return static_cast<size_t>(row * stride_ + col); }
  void copy(void* to, const void* from, cudaMemcpyKind kind) {
    const cudaStream_t stream = Device::instance().stream();
    check(cudaMemcpyAsync(to, from, elements_.size() * sizeof(Element), kind, stream) == cudaSuccess, "a copy failed");
    Device::instance().synchronize();
  }
  int64_t rows_ = 0, stride_ = 0;
  std::vector<Element> elements_;
  void* memory_ = nullptr;
};
using Halves = Matrix<uint16_t>;
using Floats = Matrix<float>;

struct Case {
  TileName tile;
  bool depthContiguous;
  int rows, cols, depth, rank = 0;
  /// u is made in the kernel.
  bool extraColumns = false;
  bool bias = false, residual = false, slope = false, preActivation = false;
  Activation activation = Activation::none;

  std::string name() const {
    const char* const tiles[] = {"wide", "broad", "square", "small"};
    return std::string(tiles[static_cast<int>(tile)]) + (depthContiguous ? " x W^T " : " dy W ") +
           std::to_string(rows) + "x" + std::to_string(cols) + "x" + std::to_string(depth) + " r" +
           std::to_string(rank) + (extraColumns ? " u made" : "");
  }
};

double activated(Activation kind, double z) {
  if (kind == Activation::gelu) return 0.5 * z * (1 + std::erf(z / std::sqrt(2.0)));
  return kind == Activation::relu ? std::fmax(z, 0.0) : z;
}
double slopeOf(Activation kind, double z) {
  if (kind == Activation::gelu)
    return 0.5 * (1 + std::erf(z / std::sqrt(2.0))) + z * std::exp(-z * z / 2) / std::sqrt(2 * M_PI);
  return kind == Activation::relu ? (z <= 0 ? 0 : 1) : 1;
}

double weight(const Halves& w, bool depthContiguous, int64_t k, int64_t n) {
  return depthContiguous ? w.at(n, k) : w.at(k, n);
}

constexpr double kFloat = 0x1p-23;

void runCase(const Case& c) {
  Random random(static_cast<uint64_t>(c.rows * 7 + c.cols * 3 + c.depth + c.rank));
  const auto like = [&](int64_t depth, int64_t cols) {
    return c.depthContiguous ? Halves(random, cols, depth) : Halves(random, depth, cols);
  };
  constexpr float kNothing = std::numeric_limits<float>::quiet_NaN();
  const Halves x(random, c.rows, c.depth), w = like(c.depth, c.cols);
  Halves a, b, u;
  Floats madeU, bias, residual, slopeAt, preActivation, out(c.rows, c.cols, kNothing);
  if (c.rank > 0) b = like(c.rank, c.cols);
  if (c.rank > 0 && !c.extraColumns) u = Halves(random, c.rows, c.rank);
  if (c.extraColumns) {
    a = like(c.depth, c.rank);
    madeU = Floats(c.rows, c.rank, kNothing);
  }
  if (c.bias) bias = Floats(random, 1, c.cols);
  if (c.residual) residual = Floats(random, c.rows, c.cols);
  if (c.slope) slopeAt = Floats(random, c.rows, c.cols);
  if (c.preActivation) preActivation = Floats(c.rows, c.cols, kNothing);

  LoraGemm g;
  g.rows = c.rows;
  g.cols = c.cols;
  g.depth = c.depth;
  g.depthContiguous = c.depthContiguous;
  g.x = x.data();
  g.w = w.data();
  g.rank = c.rank;
  g.b = b.data();
  g.u = u.data();
  g.a = a.data();
  g.madeU = madeU.data();
  g.scaling = 0.75f;
  g.bias = bias.data();
  g.residual = residual.data();
  g.slopeAt = slopeAt.data();
  g.activation = c.activation;
  g.preActivation = preActivation.data();
  g.out = out.data();
  run("test", g, c.tile);
  out.download();
  const std::vector<float> before = out.elements();
  if (madeU.there()) madeU.download();
  if (preActivation.there()) preActivation.download();

  const auto hold = [&](double got, double expected, double allowed, const char* what, int64_t m, int64_t n) {
    check(std::fabs(got - expected) <= allowed, c.name() + ": " + what + "[" + std::to_string(m) + ", " +
                                                    std::to_string(n) + "] is " + text(got) + ", expected " +
                                                    text(expected) + " within " + text(allowed));
  };
  if (c.extraColumns)
    for (int64_t m = 0; m < c.rows; m++)
      for (int64_t i = 0; i < c.rank; i++) {
        double sum = 0, size = 0;
        for (int64_t k = 0; k < c.depth; k++) {
          const double term = x.at(m, k) * weight(a, c.depthContiguous, k, i);
          sum += term;
          size += std::fabs(term);
        }
        hold(madeU.at(m, i), 0.75 * sum, (c.depth / 8 + 1) * kFloat * size + 1e-30, "u", m, i);
      }
  for (int64_t m = 0; m < c.rows; m++)
    for (int64_t n = 0; n < c.cols; n++) {
      double z = 0, size = 0;
      const auto add = [&](double term) {
        z += term;
        size += std::fabs(term);
      };
      for (int64_t k = 0; k < c.depth; k++) add(x.at(m, k) * weight(w, c.depthContiguous, k, n));
      // u as the kernel rounded it: its own bits.
      for (int64_t i = 0; i < c.rank; i++)
        add((c.extraColumns ? fromBf16(toBf16(madeU.at(m, i))) : u.at(m, i)) * weight(b, c.depthContiguous, i, n));
      if (c.bias) add(bias.at(0, n));
      const double sums = ((c.depth + c.rank) / 8 + 2) * kFloat * size;
      if (c.preActivation) hold(preActivation.at(m, n), z, sums + 1e-30, "preActivation", m, n);
      // Slopes of these activations lie within 1.13.
      double y = c.slope ? z * slopeOf(c.activation, slopeAt.at(m, n)) : activated(c.activation, z);
      const double allowed = 1.13 * sums + 8 * kFloat * std::fabs(z);
      if (c.residual) y += residual.at(m, n);
      hold(out.at(m, n), y, allowed + kFloat * std::fabs(y) + 1e-30, "out", m, n);
    }
  // The same bits again.
  run("test", g, c.tile);
  out.download();
  size_t different = 0;
  for (size_t e = 0; e < before.size(); e++)
    different += std::bit_cast<uint32_t>(out.elements()[e]) != std::bit_cast<uint32_t>(before[e]);
  check(different == 0, c.name() + ": " + std::to_string(different) + " elements differ the second time");
}

void needHopper() {
  try {
    if (Device::instance().computeCapability() != 90)
      skip("needs a GPU of compute capability 9.0, this is " + Device::instance().name());
  } catch (const Error& error) {
    skip(error.what());
  }
}

const TileName kTiles[] = {TileName::wide, TileName::broad, TileName::square, TileName::small};

/// Every tile and layout: tails of rows, columns and depth; adapters of one slab and of two.
void products(bool small) {
  needHopper();
  for (const TileName tile : kTiles)
    for (const bool depthContiguous : {true, false}) {
      const TileSm90a shape = tileOf(tile);
      runCase({tile, depthContiguous, 1, 8, 8});
      runCase({tile, depthContiguous, shape.rows() + 3, shape.cols + 8, 72, 16});
      if (small) continue;
      runCase({tile, depthContiguous, 3 * shape.rows() - 1, 2 * shape.cols, 200, 48});
      runCase({tile, depthContiguous, 40, 64, 64 * 9, 80});
      runCase({tile, depthContiguous, 9, 20, 67, 3});
    }
}

void extraColumns(bool small) {
  needHopper();
  runCase({TileName::broad, true, 131, 200, 136, 16, true});
  runCase({TileName::small, true, 65, 136, 72, 16, true});
  if (small) return;
  for (const int rank : {1, 13, 17, 32, 40, 64}) runCase({TileName::broad, true, 131, 200, 136, rank, true});
  runCase({TileName::square, true, 131, 136, 136, 16, true});
}

void epilogues(bool) {
  needHopper();
  for (const TileName tile : {TileName::broad, TileName::square}) {
    Case forward{tile, true, 70, 136, 72, 16};
    forward.bias = forward.residual = forward.preActivation = true;
    forward.activation = Activation::gelu;
    runCase(forward);
    forward.activation = Activation::relu;
    forward.residual = false;
    runCase(forward);
    Case backward{tile, false, 70, 136, 72, 16};
    backward.slope = backward.residual = true;
    backward.activation = Activation::gelu;
    runCase(backward);
  }
}

void refused(bool) {
  needHopper();
  LoraGemm g;
  g.rows = g.cols = g.depth = 64;
  check(faultOf(g, TileName::small) == nullptr, "a plain product is refused");
  LoraGemm odd = g;
  odd.cols = 62;
  check(faultOf(odd, TileName::small) != nullptr, "results whose rows begin off 16 bytes are taken");
  LoraGemm made = g;
  made.rank = 16;
  made.a = made.b = made.x = reinterpret_cast<const uint16_t*>(16);
  check(faultOf(made, TileName::small) != nullptr, "u is made without a place for it");
  made.madeU = reinterpret_cast<float*>(16);
  check(faultOf(made, TileName::small) == nullptr, "extra columns of rank 16 are refused");
  check(faultOf(made, TileName::wide) != nullptr, "extra columns are taken by a tile that has none");
  made.depthContiguous = false;
  check(faultOf(made, TileName::small) != nullptr, "extra columns are taken in a backward pass");
}

void addHopperGemmTests(Suite& suite) {
  const bool small = suite.options().small;
  suite.add("hopperGemm/products", [small] { products(small); });
  suite.add("hopperGemm/extraColumns", [small] { extraColumns(small); });
  suite.add("hopperGemm/epilogues", [small] { epilogues(small); });
  suite.add("hopperGemm/refused", [small] { refused(small); });
}

const bool registered = (deviceTests().push_back(addHopperGemmTests), true);

}  // namespace
}  // namespace fl::test
