// One device's implementation of the op table, and its memory.
#pragma once

#include <cstddef>
#include <string_view>

#include "ops/op.h"

namespace fl {

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;

  /// The op for operands of this floating dtype; null when the backend refuses it (the program then fails to build).
  virtual OpFunction find(OpKind op, DType dtype) const = 0;

  /// Called once for each instruction when a program is built: packs frozen weights. Returns true when, from now on,
  /// the op reads only derived copies of input `i` and its value may be released.
  virtual bool prepare(const OpCall& call, int input) {
    (void)call;
    (void)input;
    return false;
  }

  /// Zeroed memory, 64-byte aligned. Throws OUT_OF_MEMORY.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* memory) = 0;
  virtual void upload(void* device, const void* host, size_t bytes) = 0;
  virtual void download(void* host, const void* device, size_t bytes) = 0;
  virtual void zero(void* device, size_t bytes) = 0;
  /// Waits until all work is done; throws DEVICE_UNAVAILABLE on a device error.
  virtual void synchronize() {}
};

/// 'cpu', 'reference', and 'cuda' where it was built in and can be used; else DEVICE_UNAVAILABLE with the reason.
Backend& backendByName(std::string_view name);
Backend& referenceBackend();
Backend& cpuBackend();

}  // namespace fl
