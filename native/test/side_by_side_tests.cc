// Steps of several programs at once: each has the bits that it has alone, whatever the others are,
// and one that fails ends no other. Products by themselves, in every form of weights, and whole
// programs (small_program.h).
#include <cmath>
#include <deque>
#include <memory>

#include "program/side_by_side.h"
#include "runtime/parameter.h"
#include "test/case.h"
#include "test/small_program.h"
#include "test/tests.h"

namespace fl::test {
namespace {

using Options = SmallProgram::Options;
using Gradients = std::map<std::string, std::vector<double>>;

/// Host memory of the operands of calls.
class Operands {
 public:
  explicit Operands(uint64_t seed) : random_(seed) {}

  Tensor add(std::vector<int64_t> shape, double deviation = 1) {
    int64_t count = 1;
    for (const int64_t n : shape) count *= n;
    std::vector<float>& values = values_.emplace_back();
    for (const double v : random_.normals(count, deviation)) values.push_back(static_cast<float>(v));
    return shape.size() == 1 ? Tensor::of(values.data(), DType::f32, {shape[0]})
                             : Tensor::of(values.data(), DType::f32, {shape[0], shape[1]});
  }
  Tensor indices(int64_t count) {
    std::vector<int32_t>& values = indices_.emplace_back();
    for (int64_t i = 0; i < count; i++) values.push_back(static_cast<int32_t>(3 * i + 1));
    return Tensor::of(values.data(), DType::i32, {count});
  }
  const std::deque<std::vector<float>>& values() const { return values_; }
  void restore(const std::deque<std::vector<float>>& from) {
    for (size_t i = 0; i < from.size(); i++) std::copy(from[i].begin(), from[i].end(), values_[i].begin());
  }

 private:
  Random random_;
  std::deque<std::vector<float>> values_;
  std::deque<std::vector<int32_t>> indices_;
};

/// One run of those that multiply by a weight: rank 0 has no adapter.
struct Side {
  int64_t rows, rank;
  double dropout = 0;
  bool rich = false;
};

std::vector<std::vector<Side>> sides() {
  return {
      {{5, 4}, {3, 0}},
      {{1, 8}, {1, 3, 0.5}, {1, 0, 0, true}},
      {{37, 8, 0.1, true}, {22, 40}, {300, 4, 0, true}, {14, 0, 0, true}, {29, 8}},
      {{25, 8}, {25, 8}, {25, 8}, {25, 8}, {25, 8}, {25, 8}, {25, 8}, {25, 8}, {25, 8}},
  };
}

std::deque<Attributes> attributesOf(const std::vector<Side>& group, const std::string& precision,
                                    const std::string& weights) {
  std::deque<Attributes> all;
  const char* const activations[] = {"gelu", "relu", "tanh"};
  for (size_t i = 0; i < group.size(); i++) {
    Attributes& a = all.emplace_back();
    a.set("precision", precision).set("baseWeights", weights);
    if (group[i].rich) a.set("activation", std::string(activations[i % 3]));
    if (group[i].rank > 0)
      a.set("scaling", 0.5 + static_cast<double>(i))
          .set("dropout", group[i].dropout)
          .set("site", static_cast<double>(i));
  }
  return all;
}

OpCall callOf(OpKind op, const Attributes& attributes, std::initializer_list<Tensor> inputs,
              std::initializer_list<Tensor> outputs, size_t number) {
  OpCall call;
  call.op = op;
  call.attributes = &attributes;
  call.step = {100 + number, static_cast<uint32_t>(7 * number), 0.5};
  for (const Tensor& t : inputs) call.inputs[static_cast<size_t>(call.numInputs++)] = t;
  for (const Tensor& t : outputs) call.outputs[static_cast<size_t>(call.numOutputs++)] = t;
  return call;
}

std::vector<OpCall> forwardCalls(const std::vector<Side>& group, const std::deque<Attributes>& attributes,
                                 const Tensor& W, Operands& o) {
  const int64_t N = W.rows(), K = W.cols();
  std::vector<OpCall> calls;
  for (size_t i = 0; i < group.size(); i++) {
    const auto& [rows, rank, dropout, rich] = group[i];
    const Tensor x = o.add({rows, K}), y = o.add({rows, N}), b = rich ? o.add({N}) : Tensor{};
    const Tensor residual = rich ? o.add({rows, N}) : Tensor{}, z = rich ? o.add({rows, N}) : Tensor{};
    if (rank == 0) {
      calls.push_back(callOf(OpKind::linear, attributes[i], {x, W, b, residual}, {y, z}, i));
      continue;
    }
    const Tensor tokens = dropout > 0 ? o.indices(rows) : Tensor{};
    calls.push_back(callOf(OpKind::loraLinear, attributes[i],
                           {x, W, b, o.add({rank, K}, 0.2), o.add({N, rank}), residual, tokens},
                           {y, o.add({rows, rank}), z}, i));
  }
  return calls;
}

std::vector<OpCall> backwardCalls(const std::vector<Side>& group, const std::deque<Attributes>& attributes,
                                  const Tensor& W, Operands& o) {
  const int64_t N = W.rows(), K = W.cols();
  std::vector<OpCall> calls;
  for (size_t i = 0; i < group.size(); i++) {
    const auto& [rows, rank, dropout, rich] = group[i];
    const Tensor dy = o.add({rows, N}), dx = o.add({rows, K});
    const Tensor residual = rich ? o.add({rows, K}) : Tensor{}, z = rich ? o.add({rows, K}) : Tensor{};
    if (rank == 0) {
      calls.push_back(callOf(OpKind::linearBackwardInput, attributes[i], {dy, W, z, residual}, {dx}, i));
      continue;
    }
    const Tensor tokens = dropout > 0 ? o.indices(rows) : Tensor{};
    calls.push_back(callOf(
        OpKind::loraLinearBackward, attributes[i],
        {dy, o.add({rows, K}), o.add({rows, rank}), W, o.add({rank, K}, 0.2), o.add({N, rank}), tokens, z, residual},
        {dx, o.add({rank, K}), o.add({N, rank})}, i));
  }
  return calls;
}

/// Every operand is compared: what calls leave alone must stay as it was.
void sameAsAlone(const std::vector<OpCall>& calls, Operands& operands, const std::string& title) {
  Backend& cpu = cpuBackend();
  const std::deque<std::vector<float>> before = operands.values();
  for (const OpCall& call : calls) cpu.require(call.op, DType::f32, *call.attributes)(call);
  const std::deque<std::vector<float>> want = operands.values();
  operands.restore(before);
  check(cpu.runSideBySide(calls), title + ": nothing was done");
  check(operands.values() == want, title + ": the bits differ from those alone");
  check(before != want, title + ": nothing was computed");
}

void products() {
  for (const char* precision : {"fp32", "bf16"})
    for (const char* weights : {"fp32", "int8", "nf4"})
      for (const std::vector<Side>& group : sides()) {
        // NF4 and int8 have rules for shapes; two blocks of k.
        const int64_t N = 96, K = group.size() == 2 ? 3136 : 128;
        const std::deque<Attributes> attributes = attributesOf(group, precision, weights);
        const std::string title = std::string(precision) + ", weights " + weights + ", " +
                                  std::to_string(group.size()) + " programs, first with rows " +
                                  std::to_string(group[0].rows);
        Random random(N + K);
        Parameter weight(hostMemory(), "W", DType::f32, 2, {N, K});
        const std::vector<double> values = random.normals(N * K, 1 / std::sqrt(static_cast<double>(K)));
        weight.writeDouble(Parameter::Slot::value, values.data());
        const Tensor W = weight.tensor(Parameter::Slot::value);
        Operands forward(1), backward(2);
        sameAsAlone(forwardCalls(group, attributes, W, forward), forward, "forward, " + title);
        sameAsAlone(backwardCalls(group, attributes, W, backward), backward, "backward, " + title);
      }
}

std::vector<Options> optionsOf(const std::string& backend) {
  const bool attention = backendOrSkip(backend).find(OpKind::attention, DType::f32) != nullptr;
  std::vector<Options> all = {{backend, DType::f32, 0.1, false, attention}};
  if (backend == "reference") all.push_back({backend, DType::f64, 0.1, false});
  return all;
}

/// Programs over one base, batches and states of step of their own, and what each has alone.
struct Runs {
  std::vector<std::unique_ptr<SmallProgram>> together, alone;
  std::vector<SmallProgram::Batch> batches;
  std::vector<StepState> states;

  explicit Runs(const Options& options) {
    const std::vector<std::vector<int64_t>> lengths{{3, 1, 5}, {40, 22, 13, 1}, {2}};
    for (size_t i = 0; i < lengths.size(); i++) {
      Options own = options;
      own.seed = 600 + i;
      own.dropout = i == 1 ? 0 : options.dropout;
      alone.push_back(std::make_unique<SmallProgram>(withBase(own, alone)));
      together.push_back(std::make_unique<SmallProgram>(withBase(own, together)));
      batches.push_back(SmallProgram::batchOf(lengths[i], i + 1));
      states.push_back({10 + i, static_cast<uint32_t>(5 * i), 1.0 / static_cast<double>(i + 1)});
    }
  }

  static Options withBase(Options own, const std::vector<std::unique_ptr<SmallProgram>>& others) {
    own.base = others.empty() ? nullptr : others.front().get();
    return own;
  }

  std::vector<std::optional<Error>> step(bool zeroGradients) {
    std::vector<std::vector<BatchInput>> inputs;
    std::vector<SideStep> steps;
    for (size_t i = 0; i < together.size(); i++) inputs.push_back(together[i]->inputs(batches[i]));
    for (size_t i = 0; i < together.size(); i++)
      steps.push_back({&together[i]->program(), inputs[i], batches[i].sizes, states[i], zeroGradients});
    return accumulateSideBySide(steps);
  }

  void stepAlone(size_t i, bool zeroGradients) { alone[i]->accumulate(batches[i], zeroGradients, states[i]); }

  void expectSame(size_t i, const std::string& title) {
    check(together[i]->loss() == alone[i]->loss() && together[i]->gradients() == alone[i]->gradients(),
          title + ": program " + std::to_string(i) + " has other bits than alone");
  }
};

void programs(const std::string& backend) {
  for (const Options& options : optionsOf(backend)) {
    Runs runs(options);
    // Twice with other batches and states: gradients are added, and memory is used again.
    for (const bool first : {true, false}) {
      for (const std::optional<Error>& error : runs.step(first)) check(!error, backend + ": a step failed");
      for (size_t i = 0; i < runs.alone.size(); i++) {
        runs.stepAlone(i, first);
        runs.expectSame(i, backend);
        runs.batches[i] = SmallProgram::batchOf({4 + static_cast<int64_t>(i), 9}, i + 20);
        runs.states[i].forwardNumber++;
      }
    }
    check(runs.together[0]->gradients() != runs.together[1]->gradients(), "the programs are the same");
  }
}

/// A bad batch and a stop are each one program's own.
void failures(const std::string& backend) {
  for (const Options& options : optionsOf(backend)) {
    Runs runs(options);
    runs.batches[1].ids[0] = -1;
    runs.together[2]->program().abort();
    const auto errors = runs.step(true);
    check(!errors[0], backend + ": a good program failed with the others");
    check(errors[1] && errors[1]->code() == "INVALID_ARGUMENT", backend + ": a bad batch was run");
    check(errors[2] && errors[2]->code() == "ABORTED", backend + ": a stopped program ran");
    runs.stepAlone(0, true);
    runs.expectSame(0, backend);
    runs.batches[1].ids[0] = 1;
    runs.together[2]->program().clearAbort();
    for (const std::optional<Error>& error : runs.step(true)) check(!error, backend + ": no step after a failure");
    for (size_t i = 0; i < runs.alone.size(); i++) {
      runs.stepAlone(i, true);
      runs.expectSame(i, backend + ", after a failure");
    }
  }
}

/// Programs that train the same parameters add to them in turns.
void sameParameters() {
  const auto batch = SmallProgram::batchOf({3, 1, 5}, 1);
  SmallProgram twice({"cpu", DType::f32, 0.1, false}), once({"cpu", DType::f32, 0.1, false});
  const std::vector<BatchInput> inputs = twice.inputs(batch);
  const SideStep step{&twice.program(), inputs, batch.sizes, {}, true};
  SideStep more = step;
  more.zeroGradients = false;
  const std::vector<SideStep> steps{step, more};
  for (const std::optional<Error>& error : accumulateSideBySide(steps)) check(!error, "a step failed");
  once.accumulate(batch, true);
  once.accumulate(batch, false);
  check(once.gradients() == twice.gradients(), "a program that comes twice has other gradients than in turns");
}

}  // namespace

void addSideBySideTests(Suite& suite) {
  suite.add("sideBySide/products", products);
  for (const std::string& backend : suite.options().backends) {
    suite.add("sideBySide/programs/" + backend, [backend] { programs(backend); });
    suite.add("sideBySide/failures/" + backend, [backend] { failures(backend); });
  }
  suite.add("sideBySide/sameParameters", sameParameters);
}

}  // namespace fl::test
