// Optimizer steps that ranks divide: the bits of one process, whatever their number; steps that are
// not taken; ranks that end in the midst. Ranks are threads here (on_ranks.h).
#include <atomic>
#include <chrono>
#include <cmath>
#include <thread>

#include "distributed/slice_gather.h"
#include "ops/backend.h"
#include "test/on_ranks.h"
#include "test/random.h"
#include "test/suite.h"
#include "test/tests.h"

namespace fl::test {
namespace {

using mpi::BucketSizes;
using mpi::GradientSum;
using mpi::SliceGather;
using mpi::Transport;
using Slot = Parameter::Slot;
using Values = std::vector<std::vector<float>>;

constexpr Slot kSlots[] = {Slot::value, Slot::firstMoment, Slot::secondMoment};
/// Small ones, and some of one chunk and of several, whole and not.
const std::vector<int64_t> kCounts = {7, 3 * 65536 + 11, 65536, 900, 6 * 65536 + 1, 65537};

BucketSizes sizes() {
  BucketSizes sizes;
  sizes.most = 4 * 65536;
  sizes.divided = 1;
  return sizes;
}

std::vector<GradientSum::Tensor> newTensors() {
  std::vector<GradientSum::Tensor> tensors;
  for (size_t i = 0; i < kCounts.size(); i++) {
    const std::array<int64_t, 2> dim{kCounts[i], 1};
    tensors.push_back(
        {std::make_shared<Parameter>(hostMemory(), "p" + std::to_string(i), DType::f32, 1, dim), static_cast<int>(i)});
    std::vector<float> first(static_cast<size_t>(kCounts[i]));
    for (size_t k = 0; k < first.size(); k++) first[k] = 0.001f * static_cast<float>((k * 31 + i) % 97);
    tensors[i].parameter->write(Slot::value, first.data());
  }
  return tensors;
}

/// Of a rank in a step.
Values gradientsOf(int rank, int step) {
  Random random(static_cast<uint64_t>(100 * step + rank));
  Values values;
  for (const int64_t count : kCounts) {
    const std::vector<double> normals = random.normals(count, std::pow(10.0, rank));
    values.emplace_back(normals.begin(), normals.end());
  }
  return values;
}

void write(const std::vector<GradientSum::Tensor>& tensors, const Values& gradients) {
  for (size_t i = 0; i < tensors.size(); i++) tensors[i].parameter->write(Slot::gradient, gradients[i].data());
}

std::vector<float> read(const std::vector<GradientSum::Tensor>& tensors, Slot slot) {
  std::vector<float> all;
  for (const auto& [parameter, finishedAt] : tensors) {
    std::vector<float> one(static_cast<size_t>(parameter->count()));
    parameter->read(slot, one.data());
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

OptimizerUpdate updateOf(const std::vector<GradientSum::Tensor>& tensors, int step) {
  OptimizerUpdate update;
  update.settings.groups = {{0.01, 0.9, 0.999, 1e-8, 0.1}, {0.02, 0.8, 0.99, 1e-6, 0}};
  update.settings.step = step + 1;
  update.settings.maxGradNorm = 1;
  for (size_t i = 0; i < tensors.size(); i++) {
    const auto flat = [&](Slot slot) {
      const Tensor whole = tensors[i].parameter->tensor(slot);
      return Tensor::of(whole.data, whole.dtype, {whole.count()});
    };
    update.items.push_back({flat(Slot::gradient), flat(Slot::value), flat(Slot::firstMoment), flat(Slot::secondMoment),
                            static_cast<int>(i % 2)});
  }
  return update;
}

/// What the addon makes of a sum: addon/gradient_sum_handle.cc.
UpdatePart partOf(const GradientSum& sum, SliceGather& values) {
  UpdatePart part;
  for (const auto& [tensor, at, count] : sum.ownRanges()) part.ranges.push_back({tensor, at, count});
  for (size_t i = 0; i < sum.tensors().size(); i++) part.squaredNorms.push_back(sum.squaredNorm(static_cast<int>(i)));
  part.stepped = [&values](int ranges) { values.finished(1 + ranges); };
  return part;
}

/// Sums and steps on one of several ranks.
ApplyResult stepOn(Transport& transport, const std::shared_ptr<GradientSum>& sum,
                   const std::shared_ptr<SliceGather>& values, int step) {
  sum->expect(std::vector<int>(static_cast<size_t>(transport.size()), 1));
  sum->open();
  sum->finishedAll();
  transport.run(sum, 60);
  OptimizerUpdate update = updateOf(sum->tensors(), step);
  const UpdatePart part = partOf(*sum, *values);
  update.part = &part;
  ApplyResult result{};
  values->open();
  std::thread stepping([&] {
    values->following([&](const std::function<void(int)>&) {
      result = cpuBackend().update(update);
      if (!result.applied) values->skip();
    });
  });
  try {
    transport.run(values, 60);
  } catch (...) {
    stepping.join();
    throw;
  }
  stepping.join();
  return result;
}

void stepHasTheBitsOfOneProcess() {
  constexpr int kSteps = 3;
  for (const int size : {1, 2, 3, 5}) {
    // By one process: the same sums, one after the other, and whole steps.
    const auto alone = newTensors();
    std::vector<double> norms;
    for (int step = 0; step < kSteps; step++) {
      Values total = gradientsOf(0, step);
      for (int rank = 1; rank < size; rank++) {
        const Values next = gradientsOf(rank, step);
        for (size_t t = 0; t < total.size(); t++)
          for (size_t i = 0; i < total[t].size(); i++) total[t][i] += next[t][i];
      }
      write(alone, total);
      norms.push_back(cpuBackend().update(updateOf(alone, step)).gradientNorm);
    }
    std::atomic<int64_t> stepped{0};
    onRanks(size, [&](int rank, Transport& transport) {
      const auto tensors = newTensors();
      const auto sum = std::make_shared<GradientSum>(tensors, sizes(), cpuBackend().chunkNorm());
      const auto values = std::make_shared<SliceGather>(sum, Slot::value);
      check(sum->isDivided(), "the step is not divided");
      for (int step = 0; step < kSteps; step++) {
        write(tensors, gradientsOf(rank, step));
        const ApplyResult result = stepOn(transport, sum, values, step);
        check(result.applied && result.gradientNorm == norms[static_cast<size_t>(step)],
              "rank " + std::to_string(rank) + " has another norm");
      }
      const std::string where = "rank " + std::to_string(rank) + " of " + std::to_string(size) + ": ";
      check(read(tensors, Slot::value) == read(alone, Slot::value), where + "other values");
      for (const auto& [tensor, at, count] : sum->ownRanges())
        if (kCounts[static_cast<size_t>(tensor)] >= 65536) stepped += count;
      for (const Slot slot : {Slot::firstMoment, Slot::secondMoment})
        transport.run(std::make_shared<SliceGather>(sum, slot, 0), 60);
      if (rank == 0)
        for (const Slot slot : kSlots) check(read(tensors, slot) == read(alone, slot), where + "other moments");
    });
    int64_t large = 0;
    for (const int64_t count : kCounts)
      if (count >= 65536) large += count;
    check(stepped == large, "values are stepped by several ranks, or by none");
  }
}

/// Of two ranks: the least that a sum and its results on both take, and the norms.
void bytesAreTheLeast() {
  onRanks(2, [&](int rank, Transport& transport) {
    const auto tensors = newTensors();
    const auto sum = std::make_shared<GradientSum>(tensors, sizes(), cpuBackend().chunkNorm());
    const auto values = std::make_shared<SliceGather>(sum, Slot::value);
    write(tensors, gradientsOf(rank, 0));
    stepOn(transport, sum, values, 0);
    int64_t total = 0, chunks = 0;
    for (const int64_t count : kCounts) {
      total += 4 * count;
      chunks += count / 65536 + 1;
    }
    const int64_t sent = sum->report().sentBytes + values->report().sentBytes;
    check(sent >= total && sent <= total + 8 * chunks,
          std::to_string(sent) + " bytes are sent of " + std::to_string(total));
  });
}

void stepThatIsNotFiniteChangesNothing() {
  for (const float wrong : {std::nanf(""), INFINITY})
    onRanks(3, [&](int rank, Transport& transport) {
      const auto tensors = newTensors();
      const auto sum = std::make_shared<GradientSum>(tensors, sizes(), cpuBackend().chunkNorm());
      const auto values = std::make_shared<SliceGather>(sum, Slot::value);
      write(tensors, gradientsOf(rank, 0));
      check(stepOn(transport, sum, values, 0).applied, "a step is not taken");
      std::vector<std::vector<float>> before;
      for (const Slot slot : kSlots) before.push_back(read(tensors, slot));
      Values gradients = gradientsOf(rank, 1);
      if (rank == 1) gradients[4].back() = wrong;
      write(tensors, gradients);
      check(!stepOn(transport, sum, values, 1).applied, "a step is taken that is not finite");
      for (size_t i = 0; i < before.size(); i++) check(read(tensors, kSlots[i]) == before[i], "a value has changed");
      write(tensors, gradientsOf(rank, 1));
      check(stepOn(transport, sum, values, 1).applied, "the next step is not taken");
    });
}

void fewValuesAreNotDivided() {
  const auto norm = cpuBackend().chunkNorm();
  check(!GradientSum(newTensors(), {}, norm).isDivided(), "a step of few values is divided");
  check(!GradientSum(newTensors(), sizes(), nullptr).isDivided(), "a backend without chunks divides");
}

/// An environment that ends in the midst of a sum whose pieces nobody will finish.
void rankThatIsAbandonedEndsTheSum() {
  using Clock = std::chrono::steady_clock;
  const auto began = Clock::now();
  onRanks(2, [&](int rank, Transport& transport) {
    const auto sum = std::make_shared<GradientSum>(newTensors(), sizes(), cpuBackend().chunkNorm());
    sum->expect({1, 1});
    sum->open();
    if (rank == 1) sum->finishedAll();
    std::thread ending([&] {
      if (rank == 1) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      transport.abandon("rank 0: its environment ended");
    });
    try {
      transport.run(sum, 600);
      check(false, "the sum has ended well");
    } catch (const Error& error) {
      check(error.code() == "RANK_FAILED", error.code());
      check(rank == 0 || std::string(error.what()) == "rank 0: its environment ended", error.what());
    }
    ending.join();
  });
  check(Clock::now() - began < std::chrono::seconds(30), "it takes long");
}

}  // namespace

void addDividedStepTests(Suite& suite) {
  suite.add("gradientSum/stepHasTheBitsOfOneProcess", stepHasTheBitsOfOneProcess);
  suite.add("gradientSum/bytesAreTheLeast", bytesAreTheLeast);
  suite.add("gradientSum/stepThatIsNotFiniteChangesNothing", stepThatIsNotFiniteChangesNothing);
  suite.add("gradientSum/fewValuesAreNotDivided", fewValuesAreNotDivided);
  suite.add("gradientSum/rankThatIsAbandonedEndsTheSum", rankThatIsAbandonedEndsTheSum);
}

}  // namespace fl::test
