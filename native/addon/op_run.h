// One op on typed arrays or device tensors: what runOp and timeOps of addon/functions.cc run. A
// model's ops run in a program (addon/program_handle.h).
#pragma once

#include <vector>

#include "addon/addon.h"
#include "addon/arguments.h"
#include "ops/backend.h"

namespace fl::addon {

/// One operand: a device tensor, or a copy of a typed array in the backend's memory.
struct Operand {
  std::shared_ptr<Parameter> parameter;
  TypedData host;
  void* device = nullptr;
  Tensor view;
};

/// A call with its operands; marks parameters as in use while it lives.
struct OpRun {
  Backend* backend = nullptr;
  OpFunction function = nullptr;
  OpCall call;
  Attributes attributes;
  std::vector<Operand> operands;
  std::vector<Napi::ObjectReference> arrays;
  double seconds = 0;

  OpRun() = default;
  OpRun(const OpRun&) = delete;
  ~OpRun();

  /// Copies typed arrays to the device.
  void upload();
  void run() { function(call); }
  /// Copies outputs that are typed arrays back, into `operands`.
  void download();
};

/// Checks the operands against the op's contract. Throws INVALID_ARGUMENT, INVALID_SHAPE,
/// UNSUPPORTED.
std::shared_ptr<OpRun> opRunOf(Backend& backend, const Napi::Value& op, const Napi::Value& inputs,
                               const Napi::Value& outputs, const Napi::Value& attributes, const Napi::Value& step);

}  // namespace fl::addon
