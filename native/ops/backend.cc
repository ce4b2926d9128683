#include "ops/backend.h"

#include <string>

namespace fl {

OpFunction Backend::require(OpKind op, DType dtype, const Attributes& attributes, const std::string& where) const {
  const Precision precision = bindPrecision(op, attributes);
  if (const OpFunction function = find(op, dtype, precision)) return function;
  const std::string what = "backend '" + std::string(name()) + "' does not implement " + std::string(nameOf(op));
  if (precision == Precision::bf16 && find(op, dtype))
    fail("UNSUPPORTED", what + " with bf16 products; take precision fp32" + where);
  fail("UNSUPPORTED", what + " in " + nameOf(dtype) + where);
}

}  // namespace fl
