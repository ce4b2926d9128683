// The attribute baseWeights, read and checked for every product that has it.
// What its values mean: ops/base_weights.h.
#include "ops/base_weights.h"

namespace fl {

namespace {

constexpr int64_t kLongestInt8Sum = 131'072;

}  // namespace

std::string_view nameOf(BaseWeights weights) {
  return weights == BaseWeights::int8 ? "int8" : weights == BaseWeights::nf4 ? "nf4" : "fp32";
}

BaseWeights bindBaseWeights(OpKind op, const Attributes& attributes) {
  const std::string_view name = attributes.text("baseWeights", "fp32");
  for (const BaseWeights weights : {BaseWeights::fp32, BaseWeights::int8, BaseWeights::nf4})
    if (name == nameOf(weights)) return weights;
  fail("INVALID_ARGUMENT",
       std::string(nameOf(op)) + ": there are no baseWeights '" + std::string(name) + "'; use fp32, int8 or nf4");
}

BaseWeights bindBaseWeights(const Contract& contract, int64_t length) {
  const BaseWeights weights = bindBaseWeights(contract.call().op, *contract.call().attributes);
  if (weights == BaseWeights::int8 && length > kLongestInt8Sum)
    contract.reject("baseWeights int8 takes sums of at most " + std::to_string(kLongestInt8Sum) + " products, not " +
                    std::to_string(length));
  return weights;
}

}  // namespace fl
