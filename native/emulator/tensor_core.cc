// mma.sync, ldmatrix and cp.async on the CPU, for the kernels of compute capability 8.0.
// The rounding is in tensor_core_model.h; wgmma and bulk copies are in hopper.cc.
#include <cuda_runtime.h>

#include <cstring>
#include <vector>

#include "tensor_core_model.h"

namespace fl::emulator {
namespace {

float low(uint32_t packed) {
  const uint32_t bits = packed << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

float high(uint32_t packed) { return low(packed >> 16); }

uint32_t toBf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  if (x != x) return 0x7FFF;
  return (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;
}

struct Copy {
  void* to;
  const void* from;
  int size, valid;
};

/// Of every thread of the block: its groups, the last one still open.
std::vector<std::vector<std::vector<Copy>>>& groupsOfThreads() {
  static auto& groups = *new std::vector<std::vector<std::vector<Copy>>>(1024, {{}});
  return groups;
}

std::vector<std::vector<Copy>>& groupsOfThread() { return groupsOfThreads()[threadIdx.x]; }

}  // namespace

uint32_t packBf16(float lowValue, float highValue) { return toBf16(lowValue) | toBf16(highValue) << 16; }

void multiplyAdd(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  const ShownFragments shown = showFragments({a[0], a[1], a[2], a[3], b0, b1});
  const int g = lane() / 4, t = lane() % 4;
  for (int half = 0; half < 2; half++)
    for (int i = 0; i < 4; i++) {
      // Row g or g + 8, column 2t or 2t + 1; k in 8 half .. 8 half + 7.
      const int row = i / 2, column = 2 * t + i % 2;
      float left[8], right[8];
      for (int k = 0; k < 4; k++) {
        const uint32_t fromA = shown.words[4 * g + k][2 * half + row];
        const uint32_t fromB = shown.words[4 * column + k][4 + half];
        left[2 * k] = low(fromA);
        left[2 * k + 1] = high(fromA);
        right[2 * k] = low(fromB);
        right[2 * k + 1] = high(fromB);
      }
      c[i] = addEight(c[i], left, right);
    }
}

void multiplyAddCodes(int (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  const ShownFragments shown = showFragments({a[0], a[1], a[2], a[3], b0, b1});
  const int g = lane() / 4, t = lane() % 4;
  for (int i = 0; i < 4; i++) {
    const int row = i / 2, column = 2 * t + i % 2;
    auto sum = static_cast<uint32_t>(c[i]);
    for (int half = 0; half < 2; half++)
      for (int k = 0; k < 4; k++) {
        const uint32_t left = shown.words[4 * g + k][2 * half + row], right = shown.words[4 * column + k][4 + half];
        for (int byte = 0; byte < 32; byte += 8)
          sum += static_cast<uint32_t>(static_cast<int8_t>(left >> byte) * static_cast<int8_t>(right >> byte));
      }
    c[i] = static_cast<int>(sum);
  }
}

void loadMatrices(uint32_t (&value)[4], const void* row, bool transposed) {
  const Shown shown = show(reinterpret_cast<uint64_t>(row));
  const int g = lane() / 4, t = lane() % 4;
  for (int i = 0; i < 4; i++) {
    uint16_t pair[2];
    for (int e = 0; e < 2; e++) {
      const int r = transposed ? 2 * t + e : g, column = transposed ? g : 2 * t + e;
      const auto* const from = reinterpret_cast<const uint16_t*>(shown.words[8 * i + r]);
      if (reinterpret_cast<uint64_t>(from) % 16 != 0) __builtin_trap();
      pair[e] = from[column];
    }
    value[i] = pair[0] | static_cast<uint32_t>(pair[1]) << 16;
  }
}

void beginCopy(void* shared, const void* from, int size, int valid) {
  const auto aligned = [&](const void* p) { return reinterpret_cast<uint64_t>(p) % static_cast<uint64_t>(size) == 0; };
  if (!aligned(shared) || (valid > 0 && !aligned(from)) || valid < 0 || valid > size) __builtin_trap();
  std::memset(shared, 0xFF, static_cast<size_t>(size));  // reads as NaN until it is waited for
  groupsOfThread().back().push_back({shared, from, size, valid});
}

void endCopyGroup() { groupsOfThread().emplace_back(); }

void waitForCopies(int left) {
  auto& groups = groupsOfThread();
  const size_t open = groups.size() - 1, done = open > static_cast<size_t>(left) ? open - static_cast<size_t>(left) : 0;
  for (size_t i = 0; i < done; i++)
    for (const Copy& copy : groups[i]) {
      std::memset(copy.to, 0, static_cast<size_t>(copy.size));
      if (copy.valid > 0) std::memcpy(copy.to, copy.from, static_cast<size_t>(copy.valid));
    }
  groups.erase(groups.begin(), groups.begin() + static_cast<int64_t>(done));
}

bool copiesAreDone(unsigned thread) {
  auto& groups = groupsOfThreads()[thread];
  bool done = true;
  for (const auto& group : groups) done = done && group.empty();
  groups.assign(1, {});
  return done;
}

}  // namespace fl::emulator
