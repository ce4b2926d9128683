// Fuzzer target: one call of an op, as from JavaScript (addon/op_run.cc), in memory that ends where
// the operands do. Programs of several ops: run_program.cc.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fuzz/targets.h"
#include "ops/backend.h"
#include "ops/index_rule.h"

namespace fl::fuzz {
namespace {

constexpr int64_t kSizes[] = {1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 24, 31, 32, 33, 64, 65, 100, 0, 257};
constexpr int64_t kOddSizes[] = {0,
                                 -1,
                                 1,
                                 2,
                                 int64_t{1} << 20,
                                 int64_t{1} << 31,
                                 int64_t{1} << 32,
                                 int64_t{1} << 40,
                                 int64_t{1} << 41,
                                 int64_t{1} << 62,
                                 std::numeric_limits<int64_t>::min()};
constexpr double kNumbers[] = {0,    1,     2,      3,    4,  0.1,          0.5, 0.999999, -1,
                               1e-5, 1e300, 2e-310, -100, 12, 4294967296.0, 1.5, -0.0};
const double kOddNumbers[] = {std::nan(""), INFINITY, -INFINITY, -1e300, 2147483648.0, -2147483649.0};
const char* const kActivations[] = {"none", "gelu", "geluTanh", "relu", "tanh"};
const char* const kPrecisions[] = {"fp32", "bf16"};
const char* const kOddWords[] = {"swish", "", "none", "bf16", "NONE"};
/// Operands of more elements together are checked and not run.
constexpr int64_t kMostElements = 1 << 16;

struct Release {
  void operator()(void* memory) const { std::free(memory); }
};
using Block = std::unique_ptr<void, Release>;

/// Not a byte more than the tensor has, so that what reads beyond is found.
Block blockOf(const Tensor& t) {
  void* memory = nullptr;
  if (posix_memalign(&memory, 64, static_cast<size_t>(t.bytes())) != 0) std::abort();
  return Block(memory);
}

void fillFloats(const Tensor& t, Bytes& in) {
  const uint8_t kind = in.next();
  uint32_t state = kind;
  for (int64_t i = 0; i < t.count(); i++) {
    state = state * 1664525u + 1013904223u;
    double value = static_cast<double>(state >> 8) / (1 << 23) - 1;
    if (kind >= 250) value *= 1e38;
    if (kind == 255 && state >> 28 == 0) value = std::nan("");
    if (t.dtype == DType::f64)
      t.as<double>()[i] = value;
    else
      t.as<float>()[i] = static_cast<float>(value);
  }
}

void fillIndices(const Tensor& t, const OperandSpec& spec, int64_t bound, Bytes& in) {
  const bool wrong = in.below(16) == 1;
  const int64_t count = t.count();
  for (int64_t i = 0; i < count; i++) {
    int64_t value = bound > 0 ? in.next() % std::min<int64_t>(bound, 256) : 0;
    if (spec.rule == OperandSpec::Rule::rising) value = i == count - 1 ? bound : std::min<int64_t>(i, bound);
    t.as<int32_t>()[i] = static_cast<int32_t>(value);
  }
  if (wrong && count > 0) t.as<int32_t>()[in.below(static_cast<int>(count))] = in.oneOf({-1, 300, -100, INT32_MAX});
}

struct Call {
  OpCall op;
  Attributes attributes;
  const OpSignature* signature = nullptr;

  Tensor& operand(int i) {
    return i < op.numInputs ? op.inputs[static_cast<size_t>(i)] : op.outputs[static_cast<size_t>(i - op.numInputs)];
  }
  const OperandSpec& spec(int i) const {
    return i < op.numInputs ? signature->input(i) : signature->output(i - op.numInputs);
  }
  int count() const { return op.numInputs + op.numOutputs; }
};

void chooseAttributes(Call& call, Bytes& in) {
  for (const AttributeSpec& spec : call.signature->attributes) {
    if (spec.name.empty()) continue;
    const std::string name(spec.name);
    const int how = in.below(16);
    if (how == 1) continue;
    if (how == 2)
      call.attributes.set(name, std::string(in.oneOf(kOddWords)));
    else if (spec.isWord() && how != 3)
      call.attributes.set(name, std::string(name == "precision" ? in.oneOf(kPrecisions) : in.oneOf(kActivations)));
    else
      call.attributes.set(name, how == 4 ? in.oneOf(kOddNumbers) : in.oneOf(kNumbers));
  }
  if (in.below(32) == 1) call.attributes.set("unknown", 1);
}

void chooseOperands(Call& call, bool wide, Bytes& in) {
  std::array<int64_t, std::tuple_size_v<decltype(OpSignature::dims)>> sizes{};
  for (int64_t& size : sizes) size = in.oneOf(kSizes);
  const int odd = in.below(4) == 1 ? in.below(call.count()) : -1;
  for (int i = 0; i < call.count(); i++) {
    const OperandSpec& spec = call.spec(i);
    if (spec.optional && in.below(2) == 1) continue;
    Tensor& t = call.operand(i);
    t.rank = spec.rank;
    const DType floating = wide ? DType::f64 : DType::f32;
    t.dtype = spec.kind == OperandSpec::Kind::index ? DType::i32
              : spec.kind == OperandSpec::Kind::f64 ? DType::f64
                                                    : floating;
    for (size_t axis = 0; axis < static_cast<size_t>(spec.rank); axis++) {
      const DimSpec dim = spec.dim[axis];
      t.dim[axis] = dim.name >= 0 ? sizes[static_cast<size_t>(dim.name)] : dim.fixed;
      if (dim.name < 0) continue;
      // The name of an attribute stands for its value.
      const std::string_view name = call.signature->dims[static_cast<size_t>(dim.name)];
      const double value = call.attributes.has(name) ? call.attributes.number(name, -1) : -1;
      if (value >= 0 && value < 1e6) t.dim[axis] = static_cast<int64_t>(value);
    }
    if (i != odd) continue;
    t.rank = 1 + in.below(2);
    for (int axis = 0; axis < t.rank; axis++) t.dim[static_cast<size_t>(axis)] = in.oneOf(kOddSizes);
    if (in.below(4) == 1) t.dtype = in.oneOf({DType::f32, DType::f64, DType::i32});
  }
}

void run(Call& call, Bytes& in) {
  Backend& backend = in.below(4) == 1 ? referenceBackend() : cpuBackend();
  const bool wide = in.below(8) == 1;
  chooseAttributes(call, in);
  chooseOperands(call, wide, in);
  call.op.attributes = &call.attributes;
  call.op.step = {in.next(), in.next(), 1.0 / (1 + in.next())};
  validate(call.op);
  int64_t elements = 0;
  for (int i = 0; i < call.count(); i++) elements += call.operand(i).count();
  if (elements > kMostElements) return;
  std::vector<Block> blocks;
  for (int i = 0; i < call.count(); i++) {
    Tensor& t = call.operand(i);
    if (!t.present()) continue;
    blocks.push_back(blockOf(t));
    t.data = blocks.back().get();
    const OperandSpec& spec = call.spec(i);
    if (spec.kind != OperandSpec::Kind::index) {
      fillFloats(t, in);
      continue;
    }
    int64_t bound = 256;
    if (spec.rule != OperandSpec::Rule::none) {
      const int at = spec.boundOperand < call.signature->numInputs
                         ? spec.boundOperand
                         : spec.boundOperand - call.signature->numInputs + call.op.numInputs;
      bound = call.operand(at).dim[static_cast<size_t>(spec.boundAxis)];
    }
    fillIndices(t, spec, bound, in);
    if (spec.rule == OperandSpec::Rule::none) continue;
    const std::span values(t.as<int32_t>(), static_cast<size_t>(t.count()));
    if (IndexRule::of(call.op.op, spec, call.attributes).firstWrong(values, bound) >= 0) return;
  }
  const OpFunction function = backend.require(call.op.op, wide ? DType::f64 : DType::f32, call.attributes);
  function(call.op);
}

}  // namespace

void callOp(const uint8_t* data, size_t size) {
  Bytes in(data, size);
  Call call;
  call.op.op = static_cast<OpKind>(in.below(kOpCount));
  call.signature = &signatureOf(call.op.op);
  // adamw has settings in place of attributes: no call from JavaScript reaches it.
  if (call.op.op == OpKind::adamw) return;
  const int inputs = call.signature->numInputs, outputs = call.signature->numOutputs;
  call.op.numInputs = in.below(8) == 1 ? in.below(inputs + 1) : inputs;
  call.op.numOutputs = in.below(8) == 1 ? in.below(outputs + 1) : outputs;
  try {
    run(call, in);
  } catch (const Error& error) {
    if (error.code() != "INTERNAL") return;
    std::fprintf(stderr, "%s: %s\n", std::string(nameOf(call.op.op)).c_str(), error.what());
    std::abort();
  }
}

}  // namespace fl::fuzz
