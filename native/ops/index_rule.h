// What the values of an index operand must keep to, from its op's signature (ops/signature.h): ops
// trust their indices. Checked by whoever makes the batch: program/run.cc, addon/op_run.cc.
#pragma once

#include <span>

#include "ops/op.h"

namespace fl {

struct IndexRule {
  OperandSpec::Rule rule = OperandSpec::Rule::none;
  /// Where another value is allowed besides.
  bool hasIgnored = false;
  int64_t ignored = 0;

  /// Of an operand of this op's signature.
  static IndexRule of(OpKind op, const OperandSpec& operand, const Attributes& attributes) {
    if (operand.ignored.empty()) return {operand.rule};
    return {operand.rule, true, static_cast<int64_t>(attributeNumber(op, attributes, operand.ignored))};
  }

  /// Where values break the rule first; -1: nowhere. `bound` is the length that the rule names.
  int64_t firstWrong(std::span<const int32_t> values, int64_t bound) const {
    const auto count = static_cast<int64_t>(values.size());
    if (rule == OperandSpec::Rule::rising) {
      if (count == 0 || values.front() != 0) return 0;
      for (size_t i = 1; i < values.size(); i++)
        if (values[i] <= values[i - 1]) return static_cast<int64_t>(i);
      return values.back() == bound ? -1 : count - 1;
    }
    if (rule == OperandSpec::Rule::ascending)
      for (size_t i = 0; i < values.size(); i++)
        if (values[i] < (i == 0 ? 0 : values[i - 1]) || values[i] > bound) return static_cast<int64_t>(i);
    if (rule == OperandSpec::Rule::below)
      for (size_t i = 0; i < values.size(); i++)
        if ((values[i] < 0 || values[i] >= bound) && !(hasIgnored && values[i] == ignored))
          return static_cast<int64_t>(i);
    return -1;
  }
};

}  // namespace fl
