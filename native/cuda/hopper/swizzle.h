// How slabs of operands lie in shared memory: as the copy engine writes them with its 128-byte
// swizzle and as wgmma reads them. PTX manual, "Asynchronous warpgroup level matrix shared memory
// layout" and "Tensor swizzling modes". wgmma.cuh reads and bulk_copy.cuh writes what lies so.
//
// A line is 64 bf16 (128 bytes); eight lines are an atom of 1024 bytes, in which the 16-byte chunk
// c of line l lies at c xor l. Atoms begin at multiples of 1024, so that the exchange is one of
// address bits alone.
#pragma once

#include <cstdint>

namespace fl::cuda::hopper {

/// Steps of the depth a slab has, and those of one wgmma.
constexpr int kSlab = 64, kStep = 16;
constexpr int kLineBytes = 128, kAtomBytes = 8 * kLineBytes;
/// 64 lines.
constexpr int kBoxBytes = 64 * kLineBytes;

constexpr uint32_t swizzled(uint32_t address) { return address ^ (address >> 3 & 0x70); }

/// Columns of an fp32 result box: a line.
constexpr int kResultCols = kLineBytes / 4;
/// Where two neighbouring results go: line of a box, eight columns `j` of it, lane q of four.
constexpr uint32_t resultAddress(int line, int j, int q) {
  return static_cast<uint32_t>(line * kLineBytes + 32 * j + 8 * q);
}
/// With which eight columns a lane of that line begins: the four lines that store at one time then
/// meet every bank once.
constexpr int storedFirst(int line) { return (line & 3) ^ (line >> 1 & 1); }

/// The descriptor of a matrix in shared memory for wgmma, 128-byte swizzle. `address`: in shared
/// memory, below 256 KiB.
constexpr uint64_t descriptor(uint32_t address, uint32_t leadingBytes, uint32_t strideBytes) {
  constexpr uint64_t kSwizzle128 = 1;
  return uint64_t{(address & 0x3FFFF) >> 4} | uint64_t{leadingBytes >> 4} << 16 | uint64_t{strideBytes >> 4} << 32 |
         kSwizzle128 << 62;
}

/// Step `step` of a slab whose lines are along the depth ([rows, 64]): atoms of 8 rows follow each
/// other.
constexpr uint64_t alongDepth(uint32_t address, int step) {
  return descriptor(address + static_cast<uint32_t>(step * kStep * 2), 16, kAtomBytes);
}

/// The same of a slab whose lines are across it ([64, columns], in boxes of 64 columns): atoms of 8
/// steps follow each other, and the next 64 columns are a box further.
constexpr uint64_t acrossDepth(uint32_t address, int step) {
  return descriptor(address + static_cast<uint32_t>(step * kStep * kLineBytes), kBoxBytes, kAtomBytes);
}

/// Where wgmma finds element (index, k) of an operand by its descriptor; what the emulator reads
/// and tests check. `across`: lines are across the depth.
constexpr uint32_t elementAddress(uint64_t descriptor, bool across, int index, int k) {
  const auto field = [&](int shift) { return static_cast<uint32_t>(descriptor >> shift & 0x3FFF) << 4; };
  const uint32_t start = field(0), leading = field(16), stride = field(32);
  const auto i = static_cast<uint32_t>(index), step = static_cast<uint32_t>(k);
  const uint32_t place = across ? start + i / 64 * leading + step / 8 * stride + step % 8 * kLineBytes + i % 64 * 2
                                : start + i / 8 * stride + i % 8 * kLineBytes + step * 2;
  return swizzled(place);
}

}  // namespace fl::cuda::hopper
