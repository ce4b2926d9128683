// Running a program: batch checks, the instruction loop, the optimizer step.
// What is done once, when it is built: program/build.cc.
#include "program/program.h"

#include <algorithm>

#include "program/step_guard.h"

namespace fl {

void Program::growOwn(int64_t bytes) {
  if (bytes <= ownCapacity_) return;
  Memory& memory = backend_.memory();
  if (own_) memory.release(own_);
  own_ = nullptr;
  ownCapacity_ = 0;
  haveRun_ = false;
  ownCapacity_ = allocateForSteps(memory, bytes, own_);
}

void Program::reserve(const Sizes& sizes) {
  const std::lock_guard lock(stepMutex());
  layOut(sizes);
  haveRun_ = false;
  if (recorder_) recorder_->reserve([&] { callOps({}, trained_.empty() ? Entry::forward : Entry::accumulate); });
}

Program::Layout Program::layoutOf(const Sizes& sizes) const {
  return {layOutArena(buffers(sizes, true)), layOutArena(buffers(sizes, false))};
}

void Program::layOut(const Sizes& sizes) {
  const Layout layout = layoutOf(sizes);
  const int64_t bytes = layout.passing.totalBytes;
  place(sizes, layout, bytes > 0 ? backend_.sharedArena().take(backend_.memory(), this, bytes) : nullptr);
}

void Program::place(const Sizes& sizes, const Layout& layout, void* passing) {
  growOwn(layout.kept.totalBytes);
  tensors_.assign(spec_.values.size(), Tensor{});
  for (size_t v = 0; v < spec_.values.size(); v++) {
    const ValueSpec& value = spec_.values[v];
    if (value.kind == ValueSpec::Kind::parameter) {
      Parameter& parameter = *spec_.parameters[value.parameter];
      if (parameter.has(Parameter::Slot::value)) {
        tensors_[v] = parameter.tensor(Parameter::Slot::value);
      } else {
        tensors_[v] = parameter.shape();
        tensors_[v].parameter = &parameter;
      }
    } else if (value.kind == ValueSpec::Kind::gradient) {
      tensors_[v] = spec_.parameters[value.parameter]->tensor(Parameter::Slot::gradient);
    }
  }
  size_t numKept = 0, numPassing = 0;
  for (const Lifetime& lifetime : lifetimes_) {
    Tensor& t = tensors_[lifetime.value];
    t = shapeOf(lifetime.value, sizes);
    t.data = isKept(lifetime) ? static_cast<char*>(own_) + layout.kept.offsets[numKept++]
                              : static_cast<char*>(passing) + layout.passing.offsets[numPassing++];
  }
  lastSizes_ = sizes;
}

void Program::checkBatch(std::span<const BatchInput> batch, const Sizes& sizes) const {
  if (sizes.T < 1 || sizes.S < 1 || sizes.M < 0 || sizes.T > (int64_t{1} << 30))
    fail("INVALID_ARGUMENT", "a batch of " + std::to_string(sizes.T) + " tokens, " + std::to_string(sizes.S) +
                                 " sequences and " + std::to_string(sizes.M) + " rows can not be run");
  std::vector<const BatchInput*> byValue(spec_.values.size(), nullptr);
  for (const BatchInput& input : batch) byValue[input.value] = &input;
  for (const Lifetime& l : lifetimes_) {
    const ValueSpec& value = spec_.values[l.value];
    if (value.kind != ValueSpec::Kind::input) continue;
    const Tensor expected = shapeOf(l.value, sizes);
    if (!byValue[l.value]) fail("INVALID_ARGUMENT", "the batch has no '" + value.name + "', which the program reads");
    if (byValue[l.value]->count != expected.count())
      fail("INVALID_SHAPE", "batch input '" + value.name + "' has " + std::to_string(byValue[l.value]->count) +
                                " elements, expected " + expected.describe());
    const DType given = byValue[l.value]->dtype;
    if (given != value.dtype && !(value.dtype == DType::f64 && given == DType::f32))
      fail("INVALID_SHAPE",
           "batch input '" + value.name + "' is " + nameOf(given) + ", expected " + nameOf(value.dtype));
  }
  for (const IndexCheck& check : indexChecks_) {
    const BatchInput* input = byValue[check.value];
    const std::span values(static_cast<const int32_t*>(input->data), static_cast<size_t>(input->count));
    const int64_t bound = shapeOf(check.boundedBy, sizes).dim[check.axis];
    const int64_t i = check.rule.firstWrong(values, bound);
    if (i < 0) continue;
    const std::string& name = spec_.values[check.value].name;
    if (check.rule.rule == OperandSpec::Rule::rising)
      fail("INVALID_ARGUMENT", name + " must start at 0, rise strictly and end at the " + std::to_string(bound) +
                                   " tokens of the batch: no sequence may be empty");
    if (check.rule.rule == OperandSpec::Rule::ascending)
      fail("INVALID_ARGUMENT", "batch input '" + name + "' must never fall and lie between 0 and the " +
                                   std::to_string(bound) + " rows of " + spec_.values[check.boundedBy].name);
    fail("INVALID_ARGUMENT", "batch input '" + name + "'[" + std::to_string(i) + "] is " +
                                 std::to_string(values[static_cast<size_t>(i)]) + ", expected 0.." +
                                 std::to_string(bound - 1) + " (" + spec_.values[check.boundedBy].name + " has " +
                                 std::to_string(bound) + ")");
  }
}

void Program::upload(std::span<const BatchInput> batch) {
  std::vector<HostCopy> copies;
  std::vector<std::vector<double>> widened;
  copies.reserve(batch.size());
  for (const BatchInput& input : batch) {
    const Tensor& t = tensors_[input.value];
    if (!t.data) continue;
    const void* host = input.data;
    if (t.dtype == DType::f64 && input.dtype == DType::f32) {
      const auto* narrow = static_cast<const float*>(input.data);
      host = widened.emplace_back(narrow, narrow + input.count).data();
    }
    copies.push_back({t.data, host, static_cast<size_t>(t.bytes())});
  }
  backend_.upload(copies);
}

OpCall& Program::prepareCall(int instruction, const StepState& step) {
  const InstructionSpec& in = spec_.instructions[instruction];
  OpCall& call = instructions_[instruction].call;
  for (int k = 0; k < call.numInputs; k++) call.inputs[k] = in.inputs[k] < 0 ? Tensor{} : tensors_[in.inputs[k]];
  for (int k = 0; k < call.numOutputs; k++) call.outputs[k] = in.outputs[k] < 0 ? Tensor{} : tensors_[in.outputs[k]];
  call.step = step;
  return call;
}

void Program::zeroGradients() {
  std::vector<Tensor> gradients;
  for (const int p : trained_) gradients.push_back(spec_.parameters[p]->tensor(Parameter::Slot::gradient));
  backend_.zero(gradients);
}

void Program::noteLoss(const StepState& step, bool first) {
  if (lossRecord_) backend_.noteLoss(tensors_[lossValue_], step, first, lossRecord_);
}

int Program::callNext(int i, const StepState& step) {
  if (aborted_) fail("ABORTED", "the step was stopped");
  const int next = i + instructions_[i].together;
  const Stopwatch watch(seconds_[static_cast<size_t>(i)]);
  if (next == i + 1) {
    instructions_[i].function(prepareCall(i, step));
  } else {
    std::vector<OpCall> calls;
    for (int k = i; k < next; k++) calls.push_back(prepareCall(k, step));
    backend_.runTogether(calls);
  }
  return next;
}

void Program::callOps(const StepState& step, Entry entry, const std::function<void(int)>& ran) {
  if (entry == Entry::accumulateFromZero) zeroGradients();
  const int count = entry == Entry::forward ? spec_.forwardCount : static_cast<int>(instructions_.size());
  for (int i = 0; i < count;) {
    i = callNext(i, step);
    if (ran) ran(i);
  }
  if (entry != Entry::forward) noteLoss(step, entry == Entry::accumulateFromZero);
}

RecordingKey Program::keyOf(const Sizes& sizes, Entry entry) const {
  RecordingKey key;
  key.entry = static_cast<int>(entry);
  key.sizes = {sizes.T, sizes.S, sizes.M};
  key.memory.push_back(reinterpret_cast<uintptr_t>(own_));
  for (size_t v = 0; v < spec_.values.size(); v++) {
    const ValueSpec::Kind kind = spec_.values[v].kind;
    if (kind == ValueSpec::Kind::parameter || kind == ValueSpec::Kind::gradient)
      key.memory.push_back(reinterpret_cast<uintptr_t>(tensors_[v].data));
  }
  // Packed copies of frozen weights lie elsewhere for every new value; those of trained ones are
  // refreshed in place.
  key.memory.insert(key.memory.end(), preparedVersions_.begin(), preparedVersions_.end());
  return key;
}

void Program::run(std::span<const BatchInput> batch, const Sizes& sizes, const StepState& step, Entry entry,
                  const std::function<void(int)>& ran) {
  checkBatch(batch, sizes);
  renewPackedCopies();
  layOut(sizes);
  haveRun_ = false;
  if (aborted_) fail("ABORTED", "the step was stopped");
  upload(batch);
  if (recorder_)
    recorder_->run(keyOf(sizes, entry), step, [&] { callOps(step, entry, ran); });
  else
    callOps(step, entry, ran);
  haveRun_ = true;
}

void Program::forward(std::span<const BatchInput> batch, const Sizes& sizes, const StepState& step) {
  const std::lock_guard lock(stepMutex());
  const InUse use(spec_.parameters);
  run(batch, sizes, step, Entry::forward);
  // Whoever reads the outputs then waits no more.
  backend_.synchronize();
}

void Program::accumulate(std::span<const BatchInput> batch, const Sizes& sizes, const StepState& step,
                         bool zeroGradients, const std::function<void(int)>& ran) {
  const std::lock_guard lock(stepMutex());
  const InUse use(spec_.parameters);
  run(batch, sizes, step, zeroGradients ? Entry::accumulateFromZero : Entry::accumulate, ran);
}

void Program::checkPart(const UpdatePart& part) const {
  if (!chunkNorm()) fail("UNSUPPORTED", "backend '" + spec_.backend + "' does not divide optimizer steps");
  const auto isIn = [&](const UpdatePart::Range& range) {
    if (range.item < 0 || range.item >= static_cast<int>(trained_.size())) return false;
    const int64_t count = spec_.parameters[trained_[static_cast<size_t>(range.item)]]->count();
    return range.at >= 0 && range.count >= 0 && range.at <= count - range.count;
  };
  if (part.squaredNorms.size() != trained_.size() || !std::all_of(part.ranges.begin(), part.ranges.end(), isIn))
    fail("INVALID_ARGUMENT", "the part of an optimizer step is of another program");
}

ApplyResult Program::apply(const OptimizerStep& options, const UpdatePart* part) {
  const std::lock_guard lock(stepMutex());
  const InUse use(spec_.parameters);
  const Stopwatch watch(seconds_.back());
  if (options.groupOf.size() != trained_.size())
    fail("INVALID_ARGUMENT", "the optimizer step names " + std::to_string(options.groupOf.size()) + " groups for " +
                                 std::to_string(trained_.size()) + " trained parameters");
  for (const int group : options.groupOf)
    if (group < 0 || group >= static_cast<int>(options.settings.groups.size()))
      fail("INVALID_ARGUMENT", "there is no parameter group " + std::to_string(group));

  if (part) checkPart(*part);
  OptimizerUpdate update;
  update.settings = options.settings;
  update.loss = lossRecord_;
  update.compute = spec_.compute;
  update.part = part;
  for (size_t i = 0; i < trained_.size(); i++) {
    Parameter& parameter = *spec_.parameters[trained_[i]];
    const auto flat = [&](Parameter::Slot slot) {
      const Tensor t = parameter.tensor(slot);
      return Tensor::of(t.data, t.dtype, {t.count()});
    };
    update.items.push_back({flat(Parameter::Slot::gradient), flat(Parameter::Slot::value),
                            flat(Parameter::Slot::firstMoment), flat(Parameter::Slot::secondMoment),
                            options.groupOf[i]});
  }
  const ApplyResult result = backend_.update(update);
  if (result.applied)
    for (const int p : trained_) spec_.parameters[p]->touch();
  return result;
}

std::vector<double> Program::takeTimings() {
  const std::lock_guard lock(stepMutex());
  std::vector<double> taken(seconds_.size(), 0.0);
  taken.swap(seconds_);
  return taken;
}

Tensor Program::lastShape(int value) const {
  if (value < 0 || value >= static_cast<int>(spec_.values.size()))
    fail("INVALID_ARGUMENT", "there is no value " + std::to_string(value));
  const ValueSpec& spec = spec_.values[value];
  // A parameter of which only packed copies are there has no data.
  const bool kept = (spec.output || spec_.keepAll) && !tensors_.empty() && tensors_[value].data;
  if (!haveRun_ || !kept)
    fail("INVALID_ARGUMENT",
         spec.name + ": " + (haveRun_ ? "it is not an output of the program" : "the program has not run"));
  return tensors_[value];
}

void Program::read(int value, void* host) const {
  const Tensor t = lastShape(value);
  backend_.memory().download(host, t.data, static_cast<size_t>(t.bytes()));
}

}  // namespace fl
