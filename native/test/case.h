// A call of one op with the values of its operands, independent of device and dtype, and how to run
// it on a backend. Builders for every op are in cases.h.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "ops/backend.h"
#include "ops/optimizer.h"

namespace fl::test {

struct Operand {
  /// floating: f32 or f64 as the run asks; index: i32; alwaysDouble: f64 in every run.
  enum class Kind { floating, index, alwaysDouble };

  std::string name;
  Kind kind = Kind::floating;
  /// -1: absent.
  int rank = -1;
  std::array<int64_t, 2> dim{1, 1};
  std::vector<double> values;
  /// For outputs whose terms may cancel: the size of those terms, the least scale that errors are
  /// measured by.
  double magnitude = 0;

  bool present() const { return rank >= 0; }
};

struct Case {
  OpKind op;
  std::string label;
  Attributes attributes;
  /// Of adamw.
  AdamWSettings optimizer{};
  StepState step;
  std::vector<Operand> inputs, outputs;
  /// Bound of max|y - y*| / max(max|y*|, magnitude) for a backend in f32.
  double tolerance = 1e-5;
  /// Input whose memory output 0 shares; -1: none.
  int inPlaceInput = -1;

  Case(OpKind kind, std::string what) : op(kind), label(std::move(what)) {}

  Case& input(std::string name, std::initializer_list<int64_t> shape, std::vector<double> values);
  Case& index(std::string name, std::vector<double> values);
  Case& absent(std::string name);
  /// An output that is overwritten: it holds NaN before the call.
  Case& output(std::string name, std::initializer_list<int64_t> shape, double magnitude = 0);
  /// An output that is added to (or read and written), with its values before the call.
  Case& accumulated(std::string name, std::initializer_list<int64_t> shape, std::vector<double> values);
  Case& absentOutput(std::string name);

  Operand& in(const std::string& name);
  const Operand& in(const std::string& name) const { return const_cast<Case*>(this)->in(name); }
  Operand& out(const std::string& name);
  const Operand& out(const std::string& name) const { return const_cast<Case*>(this)->out(name); }
  std::string title() const { return std::string(nameOf(op)) + " " + label; }
};

/// The backend of this name; skips the test, with the reason, where it can not be had.
Backend& backendOrSkip(const std::string& name);

/// The outputs of a run, in the order of Case::outputs; absent ones are empty.
using Outcome = std::vector<std::vector<double>>;

const std::vector<double>& outputOf(const Case& c, const Outcome& outcome, const std::string& name);

/// Runs the case and checks besides that inputs and the memory around every operand are left alone.
/// With `weightsAsParameters`, W and tables are values of a Parameter, prepared as for a program.
Outcome run(const Case& c, Backend& backend, DType dtype, bool weightsAsParameters = false);

/// run() on the float64 reference.
Outcome truth(const Case& c);

/// Rounds every floating operand to f32, so that all dtypes start from the same values.
void roundToFloat(Case& c);

/// Checks max|y - y*| <= tolerance * max(max|y*|, magnitude) for every output.
void checkClose(const Case& c, const std::string& who, const Outcome& got, const Outcome& want, double tolerance);

/// Checks that two runs gave the same bits.
void checkIdentical(const Case& c, const std::string& who, const Outcome& got, const Outcome& want);

}  // namespace fl::test
