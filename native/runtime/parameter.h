// A named tensor of the model on one device: its value, and where it is trained its gradient and
// AdamW moments. Backends keep derived copies (packed panels, later bf16) in `derived`, which a new
// value invalidates. Memory is had from memory.h.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "runtime/memory.h"
#include "runtime/tensor.h"

namespace fl {

class Parameter {
 public:
  /// shape has rank 1 or 2. dtype f32, or f64 on the reference backend.
  Parameter(Memory& memory, std::string name, DType dtype, int rank, std::array<int64_t, 2> dim);
  ~Parameter();
  Parameter(const Parameter&) = delete;

  const std::string& name() const { return name_; }
  int64_t count() const { return count_; }
  Memory& memory() const { return memory_; }
  DType dtype() const { return dtype_; }
  /// Bytes held on the device at present, derived copies left out.
  int64_t bytes() const;

  enum class Slot { value, gradient, firstMoment, secondMoment };
  bool has(Slot slot) const { return slots_[static_cast<int>(slot)] != nullptr; }
  /// Allocates (zeroed) if needed and returns the view. A view of `value` carries `parameter =
  /// this`.
  Tensor tensor(Slot slot);
  /// The shape without memory, for validation.
  Tensor shape() const;

  /// `changed` false: the value is what it was before it was released, so derived copies stay
  /// valid.
  void write(Slot slot, const float* values, bool changed = true);
  /// Part of a value that is put back as it was: `count` values from the one at `at`, both of them
  /// within it.
  void writePart(const float* values, int64_t at, int64_t count);
  void read(Slot slot, float* values) const;
  void writeDouble(Slot slot, const double* values, bool changed = true);
  void readDouble(Slot slot, double* values) const;
  /// Frees the slot; a value that has readers stays. Releasing the value of a frozen weight keeps
  /// its derived copies: they are all a program reads.
  void release(Slot slot);

  /// Programs that are running a step with this parameter: while there are any, its slots must not
  /// be touched.
  std::atomic<int> users{0};

  /// Programs that read the value itself, not only packed copies: while there are any, it is not
  /// released.
  std::atomic<int> valueReaders{0};

  /// Says that the value was changed in place (by the optimizer).
  void touch() { version_++; }
  uint64_t version() const { return version_; }

  /// The derived copy called `key`, made by `make` when it is missing or older than the value.
  /// Thread-safe.
  std::shared_ptr<const void> derived(int key,
                                      const std::function<std::shared_ptr<const void>(const Tensor& value)>& make);

  /// What puts the value in place when a derived copy has to be made and it is not there; without
  /// one that is an error.
  void fillWith(std::function<void()> fill);

 private:
  struct Derived {
    uint64_t version;
    std::shared_ptr<const void> copy;
  };
  Memory& memory_;
  std::string name_;
  DType dtype_;
  int rank_;
  std::array<int64_t, 2> dim_;
  int64_t count_;
  void* slots_[4] = {};
  uint64_t version_ = 1;
  std::mutex mutex_;
  std::map<int, Derived> derived_;
  std::function<void()> fill_;
};

}  // namespace fl
