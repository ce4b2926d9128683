// Rows of a table quantised: the scales lie first, their codes behind them.
// Reading them is Int8Table's (int8_table.h), the looking up cpu/ops/embedding.cc's.
#include "cpu/rows/int8_table.h"

#include <new>
#include <string>

#include "cpu/rows/rows.h"
#include "runtime/int8.h"
#include "runtime/parameter.h"

namespace fl::cpu {
namespace {

/// Of Parameter::derived; cpu/gemm has those of panels and NF4.
constexpr int kTableKey = 30'000'000;

std::shared_ptr<const void> make(const Tensor& table) {
  const int64_t rows = table.rows(), cols = table.cols();
  constexpr std::align_val_t alignment{64};
  const auto bytes = static_cast<size_t>(rows * int64_t{sizeof(float)} + table.count());
  void* memory = ::operator new(bytes, alignment, std::nothrow);
  if (memory == nullptr) fail("OUT_OF_MEMORY", "no memory for int8 embeddings (" + std::to_string(bytes) + " bytes)");
  std::shared_ptr<void> owner(memory, [](void* p) { ::operator delete (p, std::align_val_t{64}); });
  auto* const scales = static_cast<float*>(memory);
  auto* const codes = reinterpret_cast<int8_t*>(scales + rows);
  forRows(rows, cols, [&](int64_t row) {
    const float* const from = rowOf(table, row);
    const Int8Scale scale = int8ScaleOf(largestOf(from, cols));
    scales[row] = scale.scale;
    for (int64_t c = 0; c < cols; c++) codes[row * cols + c] = int8CodeOf(from[c], scale);
  });
  return owner;
}

}  // namespace

Int8Table int8Table(const Tensor& table) {
  std::shared_ptr<const void> owner =
      table.parameter == nullptr ? make(table)
                                 : table.parameter->derived(kTableKey, [](const Tensor& v) { return make(v); });
  const auto* const scales = static_cast<const float*>(owner.get());
  return {reinterpret_cast<const int8_t*>(scales + table.rows()), scales, table.cols(), std::move(owner)};
}

}  // namespace fl::cpu
