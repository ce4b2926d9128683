// One device's implementation of the op table, and its memory.
#pragma once

#include <string_view>

#include "ops/op.h"
#include "ops/optimizer_update.h"
#include "runtime/memory.h"

namespace fl {

class Backend {
 public:
  virtual ~Backend() = default;
  virtual Memory& memory() = 0;
  virtual std::string_view name() const = 0;
  /// What computes, for people: the GPU's name.
  virtual std::string_view device() const { return name(); }

  /// The op for operands of this floating dtype, its products of this precision; null when the backend refuses it (the
  /// program then fails to build).
  virtual OpFunction find(OpKind op, DType dtype, Precision precision) const = 0;
  OpFunction find(OpKind op, DType dtype) const { return find(op, dtype, Precision::fp32); }

  /// find() with the precision that the attributes name; throws UNSUPPORTED saying what is refused, `where` at the end.
  OpFunction require(OpKind op, DType dtype, const Attributes& attributes, const std::string& where = "") const;

  /// Whether its device multiplies bf16 by instructions of its own: what precision 'auto' takes it for.
  virtual bool hasBf16Instructions() const { return false; }

  /// Called once for each instruction when a program is built: packs frozen weights. Returns true when, from now on,
  /// the op reads only derived copies of input `i` and its value may be released.
  virtual bool prepare(const OpCall& call, int input) {
    (void)call;
    (void)input;
    return false;
  }

  /// The optimizer step. A device that waits long for each answer does it in few launches.
  virtual ApplyResult update(const OptimizerUpdate& update) { return updateByOps(*this, update); }

  /// Waits until all work is done; throws DEVICE_UNAVAILABLE on a device error.
  virtual void synchronize() {}
};

/// 'cpu', 'reference', and 'cuda' where it was built in and can be used; else DEVICE_UNAVAILABLE with the reason.
Backend& backendByName(std::string_view name);
Backend& referenceBackend();
Backend& cpuBackend();

}  // namespace fl
