// What a program is built from: the plan's instructions over values with symbolic row counts.
// The addon reads it from JavaScript (addon/program_handle.cc); program/build.cc makes the program.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ops/op.h"
#include "runtime/parameter.h"

namespace fl {

/// Row counts of one batch: T tokens, S sequences, M gathered rows.
struct Sizes {
  int64_t T = 0;
  int64_t S = 0;
  int64_t M = 0;
};

/// A number, or a row count known when the batch comes.
struct Dim {
  enum class Symbol : uint8_t { none, T, S, SPlus1, M };
  Symbol symbol = Symbol::none;
  int64_t number = 0;

  int64_t resolve(const Sizes& sizes) const {
    switch (symbol) {
      case Symbol::T:
        return sizes.T;
      case Symbol::S:
        return sizes.S;
      case Symbol::SPlus1:
        return sizes.S + 1;
      case Symbol::M:
        return sizes.M;
      default:
        return number;
    }
  }
};

struct ValueSpec {
  enum class Kind : uint8_t { input, parameter, gradient, computed };
  std::string name;
  Kind kind = Kind::computed;
  DType dtype = DType::f32;
  std::vector<Dim> shape;
  /// Index into ProgramSpec::parameters, for parameter and gradient.
  int parameter = -1;
  /// Kept after the run for the caller.
  bool output = false;
};

struct InstructionSpec {
  OpKind op;
  /// Value indices; -1 where an optional operand is absent.
  std::vector<int> inputs, outputs;
  Attributes attributes;
  /// Path of the module that made it, for errors.
  std::string path;
};

struct ProgramSpec {
  std::string backend = "cpu";
  /// Type of the floating values: f32, or f64 on the reference backend.
  DType compute = DType::f32;
  std::vector<std::shared_ptr<Parameter>> parameters;
  std::vector<ValueSpec> values;
  std::vector<InstructionSpec> instructions;
  /// Instructions before this one are the forward pass.
  int forwardCount = 0;
  /// Keep every value to the end of the run, to be looked at.
  bool keepAll = false;
  /// Steps may be recorded and replayed where the backend can (Recorder); false is for comparison.
  bool record = true;

  /// While the program is built: puts the values of a parameter in place, when they are first
  /// needed. Parameter by parameter, so that with `packed` no more than one weight is there twice.
  /// Absent: they are in place.
  std::function<void(int parameter)> fill;
  /// While the program is built: from now on the instructions read only packed copies of a frozen
  /// parameter, so that its values may be released.
  std::function<void(int parameter)> packed;
};

}  // namespace fl
