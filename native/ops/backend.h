// One device's implementation of the op table (ops/ops.def), and its memory, copies and clock.
// The three: reference/backend.cc, cpu/backend.cc, cuda/backend.cc.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "ops/base_weights.h"
#include "ops/op.h"
#include "ops/optimizer_update.h"
#include "runtime/memory.h"
#include "runtime/shared_arena.h"

namespace fl {

/// One input of a step on its way to the device.
struct HostCopy {
  void* device;
  const void* host;
  size_t bytes;
};

/// What the accumulations of a step leave for the optimizer, in the backend's memory.
struct LossRecord {
  /// Sum of loss * lossScale.
  double sum;
  /// 1 while every loss was finite.
  int32_t finite;
  int32_t padding;
};

/// All that the launches of a step depend on but for StepState: equal keys, equal launches.
struct RecordingKey {
  /// Which of the program's instruction lists.
  int entry = 0;
  /// T first. With the memory they give the place of every value.
  std::array<int64_t, 3> sizes{};
  /// Where parameters and arena lie, and which values packed copies are of: once it has changed,
  /// what was there before does not come back.
  std::vector<uint64_t> memory;
};

/// An instruction of a program as a backend looks at it when it seeks some to do together.
struct Neighbour {
  OpKind op;
  const Attributes* attributes;
  /// Values by number; -1: absent.
  std::span<const int> inputs, outputs;

  int input(size_t i) const { return i < inputs.size() ? inputs[i] : -1; }
  int output(size_t i) const { return i < outputs.size() ? outputs[i] : -1; }
};

/// A program's steps on a device that can keep what was launched and launch it again.
class Recorder {
 public:
  virtual ~Recorder() = default;
  /// Does what `body` does: calls of this backend's ops, noteLoss and zero, nothing else, with
  /// `step` in every call. It may have the effect of an earlier body of the same key instead.
  virtual void run(const RecordingKey& key, const StepState& step, const std::function<void()>& body) = 0;
  /// Allocates what `body` needs besides its operands, and runs nothing. Throws OUT_OF_MEMORY.
  virtual void reserve(const std::function<void()>& body) = 0;

  struct Counts {
    /// Steps launched as they were recorded; recorded and taken over by an older recording;
    /// recorded anew.
    int64_t replayed = 0, updated = 0, made = 0;
  };
  virtual Counts counts() const = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual Memory& memory() = 0;
  /// For what lives within a step of a program.
  SharedArena& sharedArena() { return sharedArena_; }
  virtual std::string_view name() const = 0;
  /// What computes, for people: the GPU's name.
  virtual std::string_view device() const { return name(); }

  /// The op for operands of this floating dtype, its products of this precision; null when the
  /// backend refuses it (the program then fails to build).
  virtual OpFunction find(OpKind op, DType dtype, Precision precision) const = 0;
  OpFunction find(OpKind op, DType dtype) const { return find(op, dtype, Precision::fp32); }

  /// find() with the precision and the weights that the attributes name; throws UNSUPPORTED saying
  /// what is refused, `where` at the end.
  OpFunction require(OpKind op, DType dtype, const Attributes& attributes, const std::string& where = "") const;

  /// Whether its device multiplies bf16 by instructions of its own: what precision 'auto' takes it
  /// for.
  virtual bool hasBf16Instructions() const { return false; }

  /// Whether products take frozen weights in this form.
  virtual bool holds(BaseWeights weights) const { return weights == BaseWeights::fp32; }

  /// How many of these instructions, from the first on, runTogether does better at once; 0: none.
  /// `readers`: of each value, being kept for the caller counts as one. What only the group itself
  /// reads need not be there afterwards.
  virtual int together(std::span<const Neighbour> next, std::span<const int> readers) const {
    (void)next, (void)readers;
    return 0;
  }
  /// Does what the calls do one after the other. All of their operands stay in place to the end.
  virtual void runTogether(std::span<const OpCall> calls) { (void)calls; }

  /// Does what the calls of several programs do one after the other, with the same bits: products
  /// of one frozen weight in one direction (linear and loraLinear, or linearBackwardInput and
  /// loraLinearBackward with dx), of one precision and form of weights; rows, epilogue, adapter and
  /// step are each call's own. False: nothing was done, for it would be no better.
  virtual bool runSideBySide(std::span<const OpCall> calls) {
    (void)calls;
    return false;
  }

  /// Called once for each instruction when a program is built: packs frozen weights. Returns true
  /// when, from now on, the op reads only derived copies of input `i` and its value may be
  /// released.
  virtual bool prepare(const OpCall& call, int input) {
    (void)call;
    (void)input;
    return false;
  }

  /// Copies the inputs of a step; the sources are free on return.
  virtual void upload(std::span<const HostCopy> copies) {
    for (const HostCopy& copy : copies) memory().upload(copy.device, copy.host, copy.bytes);
  }

  /// Sets every element of the tensors to zero: the gradients, before a step.
  virtual void zero(std::span<const Tensor> tensors) {
    for (const Tensor& t : tensors) memory().zero(t.data, static_cast<size_t>(t.bytes()));
  }

  /// Adds a loss [1] to the record; with `first` the record starts anew.
  virtual void noteLoss(const Tensor& loss, const StepState& step, bool first, LossRecord* record);

  /// For one program; null: its ops run as they are called.
  virtual std::unique_ptr<Recorder> recorder() { return nullptr; }

  /// Seconds that the device takes for what `work` gives it, by its own clock where it has one.
  virtual double time(const std::function<void()>& work);

  /// Sum of the squares of SquaredNormOp::kChunk floats at most, on the calling thread, to the bits
  /// of op squaredNorm; null: steps are not divided (UpdatePart).
  using ChunkNorm = double (*)(const float* values, int64_t count);
  virtual ChunkNorm chunkNorm() const { return nullptr; }

  /// The optimizer step. A device that waits long for each answer does it in few launches.
  virtual ApplyResult update(const OptimizerUpdate& update) { return updateByOps(*this, update); }

  /// Waits until all work is done; throws DEVICE_UNAVAILABLE on a device error.
  virtual void synchronize() {}

 private:
  SharedArena sharedArena_;
};

/// 'cpu', 'reference', and 'cuda' where it was built in and can be used; else DEVICE_UNAVAILABLE
/// with the reason.
Backend& backendByName(std::string_view name);
Backend& referenceBackend();
Backend& cpuBackend();

}  // namespace fl
