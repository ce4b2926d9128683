// Building a program: checks by the ops' signatures, frozen weights packed, lifetimes of values.
// What happens at each step: program/run.cc.
#include <algorithm>

#include "platform/memory.h"
#include "program/program.h"

namespace fl {
namespace {

/// Distinct sizes, so that a shape rule that mixes up two symbols is found.
constexpr Sizes kProbe{7, 3, 2};

std::string where(const InstructionSpec& instruction) {
  return instruction.path.empty() ? "" : " (in " + instruction.path + ")";
}

/// Which input is the W of a product that programs may run side by side; -1: none.
int frozenWeightOf(const OpCall& call) {
  switch (call.op) {
    case OpKind::linear:
    case OpKind::loraLinear:
    case OpKind::linearBackwardInput:
      return 1;
    case OpKind::loraLinearBackward:
      // Without dx it is none.
      return call.outputs[0].present() ? 3 : -1;
    default:
      return -1;
  }
}

/// Lets a parameter ask for its values while this lives.
class Filling {
 public:
  Filling(Parameter& parameter, std::function<void()> fill) : parameter_(parameter) {
    parameter_.fillWith(std::move(fill));
  }
  ~Filling() { parameter_.fillWith(nullptr); }
  Filling(const Filling&) = delete;

 private:
  Parameter& parameter_;
};

}  // namespace

Program::Program(ProgramSpec spec) : spec_(std::move(spec)), backend_(backendByName(spec_.backend)) {
  checkValues();
  bindInstructions();
  prepareParameters();
  collectIndexChecks();
  collectMeetings();
  if (lossValue_ >= 0) {
    lossRecord_ = static_cast<LossRecord*>(backend_.memory().allocate(sizeof(LossRecord)));
    const LossRecord none{0, 1, 0};
    backend_.memory().upload(lossRecord_, &none, sizeof none);
  }
  if (spec_.record) recorder_ = backend_.recorder();
}

Program::~Program() {
  for (const int p : valueRead_) spec_.parameters[p]->valueReaders--;
  recorder_.reset();
  if (lossRecord_) backend_.memory().release(lossRecord_);
  if (own_) backend_.memory().release(own_);
  backend_.sharedArena().leave(backend_.memory(), this);
}

void Program::checkValues() const {
  const int numParameters = static_cast<int>(spec_.parameters.size());
  for (const ValueSpec& v : spec_.values) {
    const bool owned = v.kind == ValueSpec::Kind::parameter || v.kind == ValueSpec::Kind::gradient;
    if (owned && (v.parameter < 0 || v.parameter >= numParameters))
      fail("INVALID_ARGUMENT", v.name + ": parameter " + std::to_string(v.parameter) + " is not in the program");
    if (v.shape.empty() || v.shape.size() > 2)
      fail("INVALID_SHAPE", v.name + ": values have 1 or 2 dimensions, not " + std::to_string(v.shape.size()));
    if (!owned) continue;
    const Tensor held = spec_.parameters[v.parameter]->shape(),
                 used = shapeOf(static_cast<int>(&v - spec_.values.data()), kProbe);
    if (held.dtype != used.dtype || held.rank != used.rank || held.dim != used.dim)
      fail("INVALID_SHAPE",
           v.name + ": the parameter is " + held.describe() + ", the program takes " + used.describe());
    if (&spec_.parameters[v.parameter]->memory() != &backend_.memory())
      fail("INVALID_ARGUMENT", v.name + ": the parameter is not on backend '" + spec_.backend + "'");
  }
  const int numInstructions = static_cast<int>(spec_.instructions.size());
  if (spec_.forwardCount < 0 || spec_.forwardCount > numInstructions)
    fail("INVALID_ARGUMENT",
         "forwardCount " + std::to_string(spec_.forwardCount) + " is not in 0.." + std::to_string(numInstructions));
}

void Program::bindInstructions() {
  const int numValues = static_cast<int>(spec_.values.size());
  std::vector<int> first(numValues, -1), last(numValues, -1);
  instructions_.reserve(spec_.instructions.size());
  for (int i = 0; i < static_cast<int>(spec_.instructions.size()); i++) {
    const InstructionSpec& in = spec_.instructions[i];
    Instruction bound{backend_.require(in.op, spec_.compute, in.attributes, where(in)), {}, 1};
    OpCall& call = bound.call;
    call.op = in.op;
    call.attributes = &in.attributes;
    call.numInputs = static_cast<int>(in.inputs.size());
    call.numOutputs = static_cast<int>(in.outputs.size());
    if (call.numInputs > kMaxInputs || call.numOutputs > kMaxOutputs)
      fail("INVALID_ARGUMENT", std::string(nameOf(in.op)) + where(in) + ": too many operands");
    const auto check = [&](int value) {
      if (value < -1 || value >= numValues)
        fail("INVALID_ARGUMENT",
             std::string(nameOf(in.op)) + where(in) + ": there is no value " + std::to_string(value));
    };
    for (int k = 0; k < call.numInputs; k++) {
      const int value = in.inputs[k];
      check(value);
      if (value < 0) continue;
      call.inputs[k] = shapeOf(value, kProbe);
      const bool computed = spec_.values[value].kind == ValueSpec::Kind::computed;
      if (computed && first[value] < 0)
        fail("INVALID_ARGUMENT", std::string(nameOf(in.op)) + where(in) + ": reads " + spec_.values[value].name +
                                     " before any instruction wrote it");
      last[value] = i;
    }
    for (int k = 0; k < call.numOutputs; k++) {
      const int value = in.outputs[k];
      check(value);
      if (value < 0) continue;
      if (spec_.values[value].kind == ValueSpec::Kind::input || spec_.values[value].kind == ValueSpec::Kind::parameter)
        fail("INVALID_ARGUMENT",
             std::string(nameOf(in.op)) + where(in) + ": may not write " + spec_.values[value].name);
      call.outputs[k] = shapeOf(value, kProbe);
      if (first[value] < 0) first[value] = i;
      last[value] = std::max(last[value], i);
    }
    try {
      validate(call);
    } catch (const Error& error) {
      throw Error(error.code(), error.what() + where(in));
    }
    instructions_.push_back(bound);
  }
  seconds_.assign(instructions_.size() + 1, 0.0);
  findGroups(last);

  const int end = static_cast<int>(instructions_.size());
  std::vector<char> hasGradient(spec_.parameters.size(), 0);
  for (int v = 0; v < numValues; v++) {
    const ValueSpec& value = spec_.values[v];
    if (value.kind == ValueSpec::Kind::gradient && !hasGradient[value.parameter]) {
      hasGradient[value.parameter] = 1;
      trained_.push_back(value.parameter);
      gradientFinishedAt_.push_back(0);
    }
    if (value.kind == ValueSpec::Kind::gradient) {
      const auto at = std::find(trained_.begin(), trained_.end(), value.parameter) - trained_.begin();
      int& finished = gradientFinishedAt_[static_cast<size_t>(at)];
      finished = std::max(finished, last[v]);
    }
    const bool written = value.kind == ValueSpec::Kind::computed && first[v] >= 0;
    if (value.name == "loss" && value.output && written) lossValue_ = v;
    if (value.kind == ValueSpec::Kind::input && last[v] >= 0)
      lifetimes_.push_back({v, -1, spec_.keepAll ? end : last[v]});
    if (written) lifetimes_.push_back({v, first[v], value.output || spec_.keepAll ? end : last[v]});
  }
}

/// Asks the backend what it does together, within the forward pass or the backward pass; operands
/// of a group live to its end (`last`).
void Program::findGroups(std::vector<int>& last) {
  std::vector<int> readers(spec_.values.size(), 0);
  std::vector<Neighbour> all;
  for (const InstructionSpec& in : spec_.instructions) {
    all.push_back({in.op, &in.attributes, in.inputs, in.outputs});
    for (const int value : in.inputs)
      if (value >= 0) readers[value]++;
  }
  for (size_t v = 0; v < readers.size(); v++)
    if (spec_.values[v].output || spec_.keepAll) readers[v]++;
  const int count = static_cast<int>(all.size());
  for (int i = 0; i < count;) {
    const int end = i < spec_.forwardCount ? spec_.forwardCount : count;
    const int together = backend_.together(std::span(all).subspan(i, end - i), readers);
    const int next = i + std::max(together, 1);
    instructions_[i].together = next - i;
    for (int k = i; k < next; k++)
      for (const std::span<const int> operands : {all[k].inputs, all[k].outputs})
        for (const int value : operands)
          if (value >= 0) last[value] = std::max(last[value], next - 1);
    i = next;
  }
}

void Program::prepareParameters() {
  struct Use {
    size_t instruction;
    int input;
  };
  const int numValues = static_cast<int>(spec_.values.size());
  std::vector<char> trainedSet(spec_.parameters.size(), 0);
  std::vector<std::vector<Use>> uses(spec_.parameters.size());
  for (const int p : trained_) trainedSet[p] = 1;
  for (const int p : trained_)
    for (const auto slot : {Parameter::Slot::gradient, Parameter::Slot::firstMoment, Parameter::Slot::secondMoment})
      spec_.parameters[p]->tensor(slot);
  for (size_t i = 0; i < instructions_.size(); i++)
    for (int k = 0; k < instructions_[i].call.numInputs; k++) {
      const int value = spec_.instructions[i].inputs[k];
      if (value >= 0 && value < numValues && spec_.values[value].kind == ValueSpec::Kind::parameter)
        uses[spec_.values[value].parameter].push_back({i, k});
    }
  bool anyPacked = false;
  for (size_t p = 0; p < spec_.parameters.size(); p++) {
    if (uses[p].empty() && !trainedSet[p]) continue;
    Parameter& parameter = *spec_.parameters[p];
    const auto fill = [&] {
      if (spec_.fill) spec_.fill(static_cast<int>(p));
    };
    const Filling filling(parameter, fill);
    bool packed = !trainedSet[p];
    for (const Use& use : uses[p]) {
      OpCall call = instructions_[use.instruction].call;
      call.inputs[use.input].parameter = &parameter;
      packed = packed && backend_.prepare(call, use.input);
    }
    if (packed) {
      anyPacked = true;
      if (spec_.packed) spec_.packed(static_cast<int>(p));
      continue;
    }
    if (!parameter.has(Parameter::Slot::value)) fill();
    if (!parameter.has(Parameter::Slot::value))
      fail("INTERNAL", parameter.name() + ": its values are not on the device");
    valueRead_.push_back(static_cast<int>(p));
  }
  // The values that were packed are freed by now.
  if (anyPacked) platform::returnFreedPages();
  for (const int p : valueRead_) spec_.parameters[p]->valueReaders++;
  preparedVersions_ = frozenVersions();
  spec_.fill = spec_.packed = nullptr;
}

std::vector<uint64_t> Program::frozenVersions() const {
  std::vector<char> trained(spec_.parameters.size(), 0);
  for (const int p : trained_) trained[p] = 1;
  std::vector<uint64_t> versions;
  for (size_t p = 0; p < spec_.parameters.size(); p++)
    if (!trained[p]) versions.push_back(spec_.parameters[p]->version());
  return versions;
}

/// Packed copies of values that were replaced since: no op may ask for memory in a step.
void Program::renewPackedCopies() {
  std::vector<uint64_t> versions = frozenVersions();
  if (versions == preparedVersions_) return;
  std::vector<char> trained(spec_.parameters.size(), 0);
  for (const int p : trained_) trained[p] = 1;
  for (size_t i = 0; i < instructions_.size(); i++) {
    OpCall call = instructions_[i].call;
    for (int k = 0; k < call.numInputs; k++) {
      const int value = spec_.instructions[i].inputs[k];
      if (value < 0 || spec_.values[value].kind != ValueSpec::Kind::parameter) continue;
      const int p = spec_.values[value].parameter;
      if (trained[p]) continue;
      call.inputs[k] = shapeOf(value, kProbe);
      call.inputs[k].parameter = spec_.parameters[p].get();
      backend_.prepare(call, k);
    }
  }
  preparedVersions_ = std::move(versions);
}

void Program::collectIndexChecks() {
  const auto same = [&](const IndexCheck& a, const IndexCheck& b) {
    const Dim x = spec_.values[a.boundedBy].shape[a.axis], y = spec_.values[b.boundedBy].shape[b.axis];
    return a.value == b.value && a.rule.rule == b.rule.rule && x.symbol == y.symbol && x.number == y.number &&
           a.rule.hasIgnored == b.rule.hasIgnored && a.rule.ignored == b.rule.ignored;
  };
  for (const InstructionSpec& in : spec_.instructions) {
    const OpSignature& signature = signatureOf(in.op);
    for (size_t k = 0; k < in.inputs.size(); k++) {
      const int value = in.inputs[k];
      const OperandSpec& operand = signature.operands[k];
      if (operand.rule == OperandSpec::Rule::none || value < 0 || spec_.values[value].kind != ValueSpec::Kind::input)
        continue;
      const auto at = static_cast<size_t>(operand.boundOperand);
      const auto numInputs = static_cast<size_t>(signature.numInputs);
      const std::vector<int>& side = at < numInputs ? in.inputs : in.outputs;
      const size_t place = at < numInputs ? at : at - numInputs;
      const int boundedBy = place < side.size() ? side[place] : -1;
      if (boundedBy < 0)
        fail("INVALID_ARGUMENT",
             std::string(nameOf(in.op)) + where(in) + ": nothing bounds operand " + std::string(operand.name));
      const IndexCheck check{value, IndexRule::of(in.op, operand, in.attributes), boundedBy,
                             static_cast<size_t>(operand.boundAxis)};
      const auto known = std::find_if(indexChecks_.begin(), indexChecks_.end(),
                                      [&](const IndexCheck& other) { return same(check, other); });
      // A backward op reads the indices of its forward op, within the same bound.
      if (known == indexChecks_.end()) indexChecks_.push_back(check);
    }
  }
  // Offsets first: all else is counted by them.
  std::stable_partition(indexChecks_.begin(), indexChecks_.end(),
                        [](const IndexCheck& check) { return check.rule.rule == OperandSpec::Rule::rising; });
}

void Program::collectMeetings() {
  std::vector<char> trained(spec_.parameters.size(), 0);
  for (const int p : trained_) trained[p] = 1;
  for (size_t i = 0; i < instructions_.size(); i++) {
    const OpCall& call = instructions_[i].call;
    const int at = frozenWeightOf(call);
    const int value = at < 0 ? -1 : spec_.instructions[i].inputs[at];
    if (value < 0 || spec_.values[value].kind != ValueSpec::Kind::parameter) continue;
    const int p = spec_.values[value].parameter;
    if (trained[p] || instructions_[i].together != 1) continue;
    const bool backward = call.op == OpKind::linearBackwardInput || call.op == OpKind::loraLinearBackward;
    meetings_.push_back({static_cast<int>(i),
                         {spec_.parameters[p].get(), backward, bindPrecision(call.op, *call.attributes),
                          bindBaseWeights(call.op, *call.attributes)}});
  }
}

Tensor Program::shapeOf(int value, const Sizes& sizes) const {
  const ValueSpec& spec = spec_.values[value];
  Tensor t;
  t.dtype = spec.dtype;
  t.rank = static_cast<int>(spec.shape.size());
  for (int i = 0; i < t.rank; i++) t.dim[i] = spec.shape[i].resolve(sizes);
  t.requireCountable(spec.name);
  return t;
}

bool Program::isKept(const Lifetime& lifetime) const {
  // A recording has addresses in it: no block that another program may move.
  return recorder_ || lifetime.last == static_cast<int>(instructions_.size());
}

std::vector<ArenaBuffer> Program::buffers(const Sizes& sizes, bool kept) const {
  std::vector<ArenaBuffer> buffers;
  buffers.reserve(lifetimes_.size());
  for (const Lifetime& l : lifetimes_)
    if (isKept(l) == kept) buffers.push_back({shapeOf(l.value, sizes).bytes(), l.first, l.last});
  return buffers;
}

int64_t Program::arenaBytes(const Sizes& sizes) const {
  return layOutArena(buffers(sizes, true)).totalBytes + layOutArena(buffers(sizes, false)).totalBytes;
}

}  // namespace fl
