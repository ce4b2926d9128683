// What fuzzers do with bytes: calls of ops, and programs that are built and run. libfuzzer.cc gives
// them bytes of a fuzzer, native/test/fuzz_tests.cc the stored ones of native/fuzz/corpus.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fl::fuzz {

/// One op with shapes, types, indices and attributes by the bytes, checked as the addon does it,
/// then run. Ends the process where an error is INTERNAL or none of fl::Error.
void callOp(const uint8_t* data, size_t size);

/// A small program changed by the bytes, built, run, applied and read.
void runProgram(const uint8_t* data, size_t size);

/// Choices by the bytes; 0 when they are used up.
class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), left_(size) {}

  bool more() const { return left_ > 0; }
  uint8_t next() {
    if (left_ == 0) return 0;
    left_--;
    return *data_++;
  }
  /// In [0, n).
  int below(int n) { return n <= 0 ? 0 : next() % n; }
  template <class T, size_t N>
  T oneOf(const T (&values)[N]) {
    return values[next() % N];
  }

 private:
  const uint8_t* data_;
  size_t left_;
};

}  // namespace fl::fuzz
