// fastfood and fastfoodBackward by their definition in ops/fastfood.h: every entry of H by the
// parity of its indices, in n^2 steps a block.
#include "ops/fastfood.h"

#include <bit>
#include <vector>

#include "reference/math.h"
#include "reference/ops.h"

namespace fl::reference {
namespace {

using Values = std::vector<double>;

Values hadamard(const Values& x) {
  Values y(x.size());
  for (size_t i = 0; i < x.size(); i++)
    for (size_t j = 0; j < x.size(); j++) y[i] += std::popcount(i & j) % 2 == 0 ? x[j] : -x[j];
  return y;
}

/// What B, Pi and G of a block are.
struct Drawn {
  Values sign, normal;
  std::vector<size_t> source;

  Drawn(const FastfoodMap& map, int64_t block) {
    const FastfoodBlock b = map.block(block);
    for (int64_t i = 0; i < map.size; i++) {
      double quad[4];
      b.normals(i / 4, quad);
      sign.push_back(b.negative(i) ? -1 : 1);
      normal.push_back(quad[i % 4]);
      source.push_back(static_cast<size_t>(b.source(i)));
    }
  }
};

template <class T>
double gainOf(const FastfoodMap& map, const Tensor& gains) {
  return gains.present() ? static_cast<double>(gains.as<T>()[map.gain]) : 1.0;
}

}  // namespace

template <class T>
void fastfood(const OpCall& call) {
  const auto op = FastfoodOp::bind(call);
  const auto n = static_cast<size_t>(op.map.size);
  const double factor = op.map.scale * gainOf<T>(op.map, op.gains);
  for (int64_t block = 0; block < op.map.blocks; block++) {
    const Drawn drawn(op.map, block);
    Values x(n), permuted(n);
    for (size_t i = 0; i < static_cast<size_t>(op.map.dimension); i++) x[i] = drawn.sign[i] * op.z.as<T>()[i];
    x = hadamard(x);
    for (size_t i = 0; i < n; i++) permuted[i] = drawn.normal[i] * x[drawn.source[i]];
    x = hadamard(permuted);
    for (size_t i = 0; i < n; i++) {
      const int64_t row = block * op.map.size + static_cast<int64_t>(i);
      if (row < op.y.count()) op.y.as<T>()[row] = static_cast<T>(op.base.as<T>()[row] + factor * x[i]);
    }
  }
}

template <class T>
void fastfoodBackward(const OpCall& call) {
  const auto op = FastfoodBackwardOp::bind(call);
  const auto n = static_cast<size_t>(op.map.size), dimension = static_cast<size_t>(op.map.dimension);
  Values t(dimension);
  for (int64_t block = 0; block < op.map.blocks; block++) {
    const Drawn drawn(op.map, block);
    Values w(n), x(n);
    for (size_t i = 0; i < n; i++) {
      const int64_t row = block * op.map.size + static_cast<int64_t>(i);
      if (row < op.dy.count()) w[i] = op.dy.as<T>()[row];
    }
    w = hadamard(w);
    for (size_t i = 0; i < n; i++) x[drawn.source[i]] = drawn.normal[i] * w[i];
    x = hadamard(x);
    for (size_t i = 0; i < dimension; i++) t[i] += op.map.scale * drawn.sign[i] * x[i];
  }
  if (op.dgains.present())
    for (size_t i = 0; i < dimension; i++) op.dgains.as<T>()[op.map.gain] += static_cast<T>(t[i] * op.z.as<T>()[i]);
  if (!op.dz.present()) return;
  const double gain = gainOf<T>(op.map, op.gains);
  for (size_t i = 0; i < dimension; i++) op.dz.as<T>()[i] += static_cast<T>(gain * t[i]);
}

FL_REFERENCE_OP(fastfood)
FL_REFERENCE_OP(fastfoodBackward)

}  // namespace fl::reference
