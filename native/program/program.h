// The plan's native form: checked and built once (program/build.cc, from program/spec.h), run once
// a step (program/run.cc).
//
//   forward     the forward pass; outputs stay readable until the next run
//   accumulate  forward and backward; parameter gradients are added to (or start from zero). A
//               device that works asynchronously may still be at it on return
//   apply       global gradient norm, clip, AdamW over every trained parameter; nothing changes if
//               the loss or the norm of what was accumulated is not finite. Gives the sum of the
//               losses: the one wait of a step
//
// One step runs at a time in the process (they share the thread pool). A run stops between two ops
// when `abort` was called.
#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <string_view>

#include "ops/backend.h"
#include "ops/index_rule.h"
#include "program/spec.h"
#include "runtime/arena.h"

namespace fl {

/// One batch input, owned by the caller during the run: `count` elements, i32 for indices, f32 or
/// the program's compute type for floats.
struct BatchInput {
  int value;
  DType dtype;
  const void* data;
  int64_t count;
};

struct OptimizerStep {
  OptimizerSettings settings;
  /// Group of each trained parameter, in the order of Program::trained().
  std::vector<int> groupOf;
};

class SideBySide;

class Program {
 public:
  /// Checks every instruction against its contract and packs frozen weights.
  explicit Program(ProgramSpec spec);
  ~Program();
  Program(const Program&) = delete;

  const ProgramSpec& spec() const { return spec_; }
  /// Indices of the parameters that have a gradient, in the order of their first gradient value.
  const std::vector<int>& trained() const { return trained_; }
  /// Of each of `trained()`, the last instruction that reads or writes its gradient.
  const std::vector<int>& gradientFinishedAt() const { return gradientFinishedAt_; }
  int64_t arenaBytes(const Sizes& sizes) const;

  /// Allocates for batches up to these sizes, what ops need besides their operands included, so
  /// that a lack of memory shows before the first step. Throws OUT_OF_MEMORY with what is needed
  /// and free.
  void reserve(const Sizes& sizes);

  void forward(std::span<const BatchInput> batch, const Sizes& sizes, const StepState& step);
  /// `ran`: called on the thread of the run, with the number of instructions that have run so far;
  /// on a device that works asynchronously they may only have been launched, or recorded.
  void accumulate(std::span<const BatchInput> batch, const Sizes& sizes, const StepState& step, bool zeroGradients,
                  const std::function<void(int)>& ran = nullptr);
  /// `part`: of a step that several processes divide; its items are `trained()`.
  ApplyResult apply(const OptimizerStep& options, const UpdatePart* part = nullptr);
  /// Null: this program's steps are not divided.
  Backend::ChunkNorm chunkNorm() const { return spec_.compute == DType::f32 ? backend_.chunkNorm() : nullptr; }

  /// A value of the last run that is an output (or any, with keepAll), copied to the host: `bytes`
  /// as of `lastShape`.
  Tensor lastShape(int value) const;
  void read(int value, void* host) const;

  /// Seconds spent in each instruction since the last call; after them, in `apply`. On a device
  /// that works asynchronously these are the times of the launches. Not while a run is under way.
  std::vector<double> takeTimings();

  /// How steps were launched, where they are recorded.
  Recorder::Counts recorded() const { return recorder_ ? recorder_->counts() : Recorder::Counts{}; }

  /// Stops the run under way, or the next one, between two ops. Whoever starts a run calls
  /// `clearAbort` before.
  void abort() { aborted_ = true; }
  void clearAbort() { aborted_ = false; }

 private:
  friend class SideBySide;
  struct Instruction {
    OpFunction function;
    OpCall call;
    /// Instructions from this one on that the backend does together; 1: this one alone.
    int together = 1;
  };
  /// A product of a frozen weight: what other programs may multiply by as well.
  struct FrozenProduct {
    const Parameter* weight;
    bool backward;
    Precision precision;
    BaseWeights baseWeights;

    bool operator==(const FrozenProduct&) const = default;
  };
  struct Meeting {
    int instruction;
    FrozenProduct product;
  };
  struct IndexCheck {
    int value;
    IndexRule rule;
    /// The bound is the length of this value along this axis.
    int boundedBy;
    size_t axis;
  };

  void checkValues() const;
  void bindInstructions();
  void findGroups(std::vector<int>& last);
  void prepareParameters();
  std::vector<uint64_t> frozenVersions() const;
  void renewPackedCopies();
  void collectIndexChecks();
  void collectMeetings();
  Tensor shapeOf(int value, const Sizes& sizes) const;
  enum class Entry : uint8_t { forward, accumulate, accumulateFromZero };
  void growOwn(int64_t bytes);
  struct Layout {
    ArenaLayout kept, passing;
  };
  Layout layoutOf(const Sizes& sizes) const;
  void layOut(const Sizes& sizes);
  /// `passing`: memory for what lives within the step.
  void place(const Sizes& sizes, const Layout& layout, void* passing);
  void checkPart(const UpdatePart& part) const;
  void checkBatch(std::span<const BatchInput> batch, const Sizes& sizes) const;
  void run(std::span<const BatchInput> batch, const Sizes& sizes, const StepState& step, Entry entry,
           const std::function<void(int)>& ran = nullptr);
  void upload(std::span<const BatchInput> batch);
  void zeroGradients();
  void noteLoss(const StepState& step, bool first);
  /// Runs instruction i, and those that the backend does with it; gives the next one. Throws
  /// ABORTED.
  int callNext(int i, const StepState& step);
  void callOps(const StepState& step, Entry entry, const std::function<void(int)>& ran = nullptr);
  OpCall& prepareCall(int instruction, const StepState& step);
  RecordingKey keyOf(const Sizes& sizes, Entry entry) const;

  ProgramSpec spec_;
  Backend& backend_;
  std::vector<Instruction> instructions_;
  std::vector<double> seconds_;
  std::vector<IndexCheck> indexChecks_;
  /// In the order of their instructions.
  std::vector<Meeting> meetings_;
  std::vector<int> trained_;
  std::vector<int> gradientFinishedAt_;
  /// Versions of the frozen parameters that their packed copies were made of.
  std::vector<uint64_t> preparedVersions_;
  /// Parameters whose value this program reads or trains.
  std::vector<int> valueRead_;
  /// Arena buffers: value, first and last instruction.
  struct Lifetime {
    int value, first, last;
  };
  std::vector<Lifetime> lifetimes_;
  /// Whether it can be read after the step: its memory is then this program's own.
  bool isKept(const Lifetime& lifetime) const;
  std::vector<ArenaBuffer> buffers(const Sizes& sizes, bool kept) const;
  int lossValue_ = -1;
  /// In the backend's memory; null without a loss.
  LossRecord* lossRecord_ = nullptr;
  std::unique_ptr<Recorder> recorder_;

  /// What is kept; the rest is the backend's shared arena.
  void* own_ = nullptr;
  int64_t ownCapacity_ = 0;
  Sizes lastSizes_{};
  bool haveRun_ = false;
  /// Each value's view for the last laid out sizes.
  std::vector<Tensor> tensors_;
  std::atomic<bool> aborted_{false};
};

}  // namespace fl
