// Fuzzer target: the small program of the native tests with some of its values, operands,
// attributes and sizes changed, built, run and applied. Single ops: call_op.cc.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "fuzz/targets.h"
#include "test/small_program.h"

namespace fl::fuzz {
namespace {

constexpr int64_t kSizes[] = {
    1, 2, 3, 5, 7, 12, 13, 23, 24, 64, 0, -1, int64_t{1} << 20, int64_t{1} << 32, int64_t{1} << 40, int64_t{1} << 62};
const double kNumbers[] = {0, 1, 2, 3, 0.5, 1.5, -1, 12, 1e300, 4294967296.0, -100, std::nan(""), INFINITY};
constexpr int64_t kMostBytes = 64 << 20;

Dim dimOf(Bytes& in) {
  if (in.below(3) == 0) return {Dim::Symbol::none, in.oneOf(kSizes)};
  return {in.oneOf({Dim::Symbol::T, Dim::Symbol::S, Dim::Symbol::SPlus1, Dim::Symbol::M}), 0};
}

void changeValue(ValueSpec& value, const ProgramSpec& spec, Bytes& in) {
  switch (in.below(7)) {
    case 0:
      value.shape = {dimOf(in)};
      break;
    case 1:
      value.shape = {dimOf(in), dimOf(in)};
      break;
    case 2:
      value.shape.resize(static_cast<size_t>(in.below(4)), Dim{Dim::Symbol::none, 3});
      break;
    case 3:
      value.kind = in.oneOf(
          {ValueSpec::Kind::input, ValueSpec::Kind::parameter, ValueSpec::Kind::gradient, ValueSpec::Kind::computed});
      break;
    case 4:
      value.dtype = in.oneOf({DType::f32, DType::f64, DType::i32});
      break;
    case 5:
      value.parameter = in.below(static_cast<int>(spec.parameters.size()) + 2) - 1;
      break;
    default:
      value.output = !value.output;
  }
}

void changeInstruction(InstructionSpec& instruction, int numValues, Bytes& in) {
  std::vector<int>& side = in.below(3) == 1 ? instruction.outputs : instruction.inputs;
  switch (in.below(6)) {
    case 0:
      if (!side.empty()) side[static_cast<size_t>(in.below(static_cast<int>(side.size())))] = in.below(numValues);
      break;
    case 1:
      if (!side.empty())
        side[static_cast<size_t>(in.below(static_cast<int>(side.size())))] = in.oneOf({-1, -2, numValues, INT32_MAX});
      break;
    case 2:
      side.resize(static_cast<size_t>(in.below(13)), in.below(numValues + 1) - 1);
      break;
    case 3:
      instruction.op = static_cast<OpKind>(in.below(kOpCount));
      break;
    case 4: {
      const char* const names[] = {"numHeads", "scaling", "dropout", "site", "eps", "factor", "ignoreIndex", "other"};
      instruction.attributes.set(in.oneOf(names), in.oneOf(kNumbers));
      break;
    }
    default:
      instruction.attributes.set(in.below(2) ? "activation" : "precision", std::string(in.below(2) ? "gelu" : "bf16"));
  }
}

void change(ProgramSpec& spec, Bytes& in) {
  const int numValues = static_cast<int>(spec.values.size());
  const int changes = in.below(5);
  for (int i = 0; i < changes; i++) {
    const int what = in.below(8);
    if (what < 3) {
      changeValue(spec.values[static_cast<size_t>(in.below(numValues))], spec, in);
    } else if (what < 6 && !spec.instructions.empty()) {
      const int at = in.below(static_cast<int>(spec.instructions.size()));
      changeInstruction(spec.instructions[static_cast<size_t>(at)], numValues, in);
    } else if (what == 6 && spec.instructions.size() > 1) {
      const auto a = static_cast<size_t>(in.below(static_cast<int>(spec.instructions.size())));
      const auto b = static_cast<size_t>(in.below(static_cast<int>(spec.instructions.size())));
      if (in.below(2) == 1)
        spec.instructions.erase(spec.instructions.begin() + static_cast<std::ptrdiff_t>(a));
      else
        std::swap(spec.instructions[a], spec.instructions[b]);
    } else {
      spec.forwardCount = in.below(24) - 1;
      spec.keepAll = in.below(2) == 1;
    }
  }
}

/// Inputs of what the program calls them, of the lengths that it expects or nearly.
struct Batch {
  std::vector<std::vector<int32_t>> indices;
  std::vector<std::vector<float>> floats;
  std::vector<BatchInput> inputs;
};

Batch batchOf(const ProgramSpec& spec, const Sizes& sizes, Bytes& in) {
  Batch batch;
  for (size_t v = 0; v < spec.values.size(); v++) {
    const ValueSpec& value = spec.values[v];
    if (value.kind != ValueSpec::Kind::input || in.below(32) == 1) continue;
    int64_t count = 1;
    for (const Dim& dim : value.shape) {
      const int64_t size = dim.resolve(sizes);
      count = size >= 0 && size < 4096 ? count * size : 0;
    }
    count = std::min<int64_t>(std::max<int64_t>(count + (in.below(16) == 1 ? 1 : 0), 0), 1 << 16);
    const bool offsets = value.name == "cuSeqlens";
    if (value.dtype == DType::i32) {
      std::vector<int32_t>& values = batch.indices.emplace_back(static_cast<size_t>(count));
      for (size_t i = 0; i < values.size(); i++) values[i] = in.below(in.below(8) == 1 ? 256 : 3);
      if (offsets)
        for (size_t i = 0; i < values.size(); i++)
          values[i] = static_cast<int32_t>(i + 1 == values.size() ? static_cast<size_t>(sizes.T) : i);
      batch.inputs.push_back({static_cast<int>(v), DType::i32, values.data(), count});
    } else {
      std::vector<float>& values = batch.floats.emplace_back(static_cast<size_t>(count), 0.5f);
      batch.inputs.push_back({static_cast<int>(v), DType::f32, values.data(), count});
    }
  }
  return batch;
}

void run(Bytes& in) {
  static test::SmallProgram& model = *new test::SmallProgram({"cpu", DType::f32, 0.1, false});
  ProgramSpec spec = model.spec();
  spec.packed = nullptr;
  change(spec, in);
  Program program(spec);
  const int64_t sequences = 1 + in.below(4);
  const Sizes sizes{in.below(16) == 1 ? in.oneOf(kSizes) : sequences + in.below(12), sequences, in.below(5)};
  if (program.arenaBytes(sizes) > kMostBytes) return;
  const StepState step{in.next(), in.next(), 0.5};
  const Batch batch = batchOf(program.spec(), sizes, in);
  if (in.below(4) == 1)
    program.forward(batch.inputs, sizes, step);
  else
    program.accumulate(batch.inputs, sizes, step, in.below(2) == 1);
  OptimizerStep options;
  options.settings.groups = {{1e-3, 0.9, 0.999, 1e-8, 0.01}};
  options.settings.step = 1;
  options.settings.maxGradNorm = 1;
  options.groupOf.assign(program.trained().size(), in.below(16) == 1 ? 1 : 0);
  program.apply(options);
  for (int v = 0; v < static_cast<int>(spec.values.size()); v++) {
    if (!spec.values[static_cast<size_t>(v)].output && !spec.keepAll) continue;
    try {
      std::vector<char> host(static_cast<size_t>(program.lastShape(v).bytes()));
      program.read(v, host.data());
    } catch (const Error& error) {
      if (error.code() == "INTERNAL") throw;
    }
  }
}

}  // namespace

void runProgram(const uint8_t* data, size_t size) {
  Bytes in(data, size);
  try {
    run(in);
  } catch (const Error& error) {
    if (error.code() != "INTERNAL") return;
    std::fprintf(stderr, "INTERNAL: %s\n", error.what());
    std::abort();
  }
}

}  // namespace fl::fuzz
