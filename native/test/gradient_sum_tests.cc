// Sums of gradients over ranks: buckets, bits, and that buckets leave while a program computes.
// Ranks are threads here (memory_mpi.h); on MPI they are those of scripts/test-mpi.mjs.
#include "distributed/gradient_sum.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>

#include "distributed/ordered_sum.h"
#include "test/case.h"
#include "test/on_ranks.h"
#include "test/small_program.h"
#include "test/tests.h"

namespace fl::test {
namespace {

using mpi::Bucket;
using mpi::BucketSizes;
using mpi::GradientSum;
using mpi::Transport;
using Values = std::vector<std::vector<float>>;
using Slot = Parameter::Slot;

void slicesHoldEachValueOnce() {
  const std::vector<mpi::GradientExtent> tensors = {{100, 9}, {3, 5}, {24, 7}, {25, 2}, {1, 9}, {7, 2}, {53, 7}};
  const std::vector<Bucket> buckets = mpi::layOutBuckets(tensors, {12, 6, 4});
  for (const int ranks : {1, 2, 3, 5, 8})
    for (const int64_t chunk : {0, 4}) {
      const auto slices = mpi::sliceBuckets(buckets, ranks, chunk);
      std::vector<int64_t> each(static_cast<size_t>(ranks), 0);
      check(slices.size() == buckets.size(), "a bucket has no slices");
      for (size_t b = 0; b < buckets.size(); b++) {
        int64_t at = 0;
        check(slices[b].size() == each.size(), "a rank has no slice");
        for (size_t rank = 0; rank < each.size(); rank++) {
          const mpi::Slice& slice = slices[b][rank];
          check(slice.begin == at && slice.count >= 0, "slices do not follow each other");
          const bool inChunks = chunk > 0 && !buckets[b].isSmall;
          check(!inChunks || slice.begin % chunk == 0 || slice.count == 0, "a chunk is divided");
          at = slice.end();
          if (inChunks) each[rank] += (slice.count + chunk - 1) / chunk;
        }
        check(at == buckets[b].count, "slices are not the whole bucket");
      }
      const auto [least, most] = std::minmax_element(each.begin(), each.end());
      check(*most - *least <= 1, "a rank has more than others");
    }
}

void bucketsHoldEachValueOnce() {
  const std::vector<mpi::GradientExtent> tensors = {{100, 9}, {3, 5}, {4, 7}, {25, 2}, {1, 9}, {7, 2}, {2, 7}};
  const BucketSizes sizes{10, 6};
  const std::vector<Bucket> buckets = mpi::layOutBuckets(tensors, sizes);
  std::vector<int64_t> covered(tensors.size(), 0);
  int64_t offset = 0;
  int finishedAt = 0;
  for (const Bucket& bucket : buckets) {
    check(bucket.offset == offset && bucket.finishedAt >= finishedAt, "buckets are not in the order of their ends");
    finishedAt = bucket.finishedAt;
    int64_t count = 0;
    for (const Bucket::Piece& piece : bucket.pieces) {
      const auto tensor = static_cast<size_t>(piece.tensor);
      check(piece.at == covered[tensor], "a value is in no bucket, or in two");
      check(tensors[tensor].finishedAt <= bucket.finishedAt, "a bucket leaves before its gradients are finished");
      check(bucket.pieces.size() == 1 || tensors[tensor].count < sizes.small, "a large tensor shares a bucket");
      covered[tensor] += piece.count;
      count += piece.count;
    }
    check(count == bucket.count && count > 0, "a bucket's count");
    check(bucket.pieces.size() > 1 || count <= sizes.most, "a bucket is too large");
    offset += count;
  }
  for (size_t i = 0; i < tensors.size(); i++) check(covered[i] == tensors[i].count, "a tensor is not whole");
}

/// Of any size and sign, so that their sums depend on the order.
float valueOf(int share, size_t tensor, size_t i) {
  const auto mixed = static_cast<uint32_t>(i * 2654435761u + tensor * 40503u + static_cast<uint32_t>(share) * 97u);
  const auto power = static_cast<int>(mixed % 13) - 6;
  return std::ldexp(static_cast<float>(static_cast<int32_t>(mixed * 747796405u)), power - 20);
}

void sumIsInOrder() {
  for (const int64_t count : {0, 1, 31, 32, 33, 100})
    for (const size_t terms : {0, 1, 2, 5}) {
      Values values(terms, std::vector<float>(static_cast<size_t>(count)));
      std::vector<float> expected(static_cast<size_t>(count), 0.0f);
      std::vector<const float*> pointers;
      for (size_t t = 0; t < terms; t++)
        for (size_t i = 0; i < expected.size(); i++) {
          values[t][i] = valueOf(static_cast<int>(t), 0, i);
          expected[i] = t == 0 ? values[t][i] : expected[i] + values[t][i];
        }
      for (const auto& one : values) pointers.push_back(one.data());
      std::vector<float> apart(expected.size(), 1.0f);
      mpi::sumInOrder(apart.data(), pointers, count);
      check(apart == expected, std::to_string(terms) + " terms of " + std::to_string(count));
      if (terms == 0) continue;
      mpi::sumInOrder(values.back().data(), pointers, count);
      check(values.back() == expected, "in place of the last of " + std::to_string(terms) + " terms");
    }
}

std::vector<GradientSum::Tensor> tensorsOf(const std::vector<int64_t>& counts) {
  std::vector<GradientSum::Tensor> tensors;
  for (size_t i = 0; i < counts.size(); i++)
    tensors.push_back({std::make_shared<Parameter>(hostMemory(), "p" + std::to_string(i), DType::f32, 1,
                                                   std::array<int64_t, 2>{counts[i], 1}),
                       static_cast<int>(counts.size() - i)});
  return tensors;
}

Values gradientsOf(int share, const std::vector<int64_t>& counts) {
  Values values;
  for (size_t t = 0; t < counts.size(); t++) {
    values.emplace_back(static_cast<size_t>(counts[t]));
    for (size_t i = 0; i < values[t].size(); i++) values[t][i] = valueOf(share, t, i);
  }
  return values;
}

/// Two steps with the shares that each rank has; the slow way is a loop over shares.
void ranksSum(const std::vector<int>& shares, const BucketSizes& sizes) {
  const std::vector<int64_t> counts = {5, 1, 17, 40, 3};
  const int size = static_cast<int>(shares.size());
  Values expected;
  int share = 0;
  for (const int count : shares)
    for (int k = 0; k < count; k++, share++) {
      const Values next = gradientsOf(share, counts);
      if (share == 0) expected = next;
      for (size_t t = 0; share > 0 && t < counts.size(); t++)
        for (size_t i = 0; i < next[t].size(); i++) expected[t][i] += next[t][i];
    }
  std::vector<int> summands = shares;
  int first = 0;
  while (shares[static_cast<size_t>(first)] == 0) first++;
  summands[static_cast<size_t>(first)] = 1;
  std::atomic<int64_t> sent{0};
  onRanks(size, [&](int rank, Transport& transport) {
    const auto tensors = tensorsOf(counts);
    const auto sum = std::make_shared<GradientSum>(tensors, sizes);
    const auto here = static_cast<size_t>(rank);
    const int begin = std::accumulate(shares.begin(), shares.begin() + rank, 0);
    for (int step = 0; step < 2; step++) {
      for (int k = 0; k < shares[here]; k++) {
        const Values values = gradientsOf(begin + k, counts);
        for (size_t t = 0; t < counts.size(); t++) tensors[t].parameter->write(Slot::gradient, values[t].data());
        if (k + 1 < shares[here]) sum->hold(rank == first);
      }
      // What a rank without shares has there is not in the sum.
      for (size_t t = 0; shares[here] == 0 && t < counts.size(); t++)
        tensors[t].parameter->write(Slot::gradient, std::vector<float>(static_cast<size_t>(counts[t]), 7.0f).data());
      sum->open();
      sum->finishedAll();
      sum->expect(summands);
      const GradientSum::Report report = transport.run(sum, 60);
      if (step == 0) sent += report.sentBytes;
      for (size_t t = 0; t < counts.size(); t++) {
        std::vector<float> got(static_cast<size_t>(counts[t]));
        tensors[t].parameter->read(Slot::gradient, got.data());
        check(got == expected[t], "rank " + std::to_string(rank) + " of " + std::to_string(size) + " has another sum");
      }
    }
  });
  const int64_t values = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  if (share == size) check(sent == 2 * (size - 1) * values * 4, "more bytes than a sum needs");
}

void ranksSumInOrder() {
  for (const std::vector<int>& shares :
       std::vector<std::vector<int>>{{1}, {3}, {1, 1}, {1, 1, 1, 1}, {2, 3}, {0, 2, 2}, {3, 0, 1}, {0, 0, 1}})
    for (const BucketSizes& sizes : {BucketSizes{}, BucketSizes{8, 4}, BucketSizes{1, 1}}) ranksSum(shares, sizes);
}

/// Of a program on two ranks, one after the other and with buckets that leave meanwhile.
void bucketsLeaveMeanwhile(const std::string& backend) {
  const SmallProgram::Options options{backend, DType::f32, 0.1, false,
                                      backendOrSkip(backend).find(OpKind::attention, DType::f32) != nullptr};
  const auto train = [&](bool meanwhile) {
    std::vector<std::map<std::string, std::vector<double>>> gradients(2);
    std::vector<int> early(2, 0);
    onRanks(2, [&](int rank, Transport& transport) {
      SmallProgram model(options);
      const Program& program = model.program();
      std::vector<GradientSum::Tensor> tensors;
      for (size_t i = 0; i < program.trained().size(); i++)
        tensors.push_back(
            {model.spec().parameters[static_cast<size_t>(program.trained()[i])], program.gradientFinishedAt()[i]});
      const auto sum = std::make_shared<GradientSum>(tensors, BucketSizes{16, 8});
      sum->expect({1, 1});
      const auto here = static_cast<size_t>(rank);
      for (uint64_t step = 0; step < 3; step++) {
        const auto batch = SmallProgram::batchOf({3, 1, 5 + rank}, 2 * step + here);
        sum->open();
        const auto run = [&] {
          sum->following([&](const std::function<void(int)>& ran) {
            const auto followed = [&](int instructions) {
              ran(instructions);
              // Time for what may leave: the program is too small to take any.
              if (meanwhile) std::this_thread::sleep_for(std::chrono::milliseconds(2));
            };
            model.program().accumulate(model.inputs(batch), batch.sizes, {}, true, followed);
          });
        };
        if (meanwhile) {
          std::thread computing(run);
          early[here] += transport.run(sum, 60).early;
          computing.join();
        } else {
          run();
          early[here] += transport.run(sum, 60).early;
        }
      }
      gradients[here] = model.gradients();
    });
    check(gradients[0] == gradients[1], "ranks have other bits");
    if (backend != "cuda")
      for (const int count : early) check((count > 0) == meanwhile, std::to_string(count) + " buckets left early");
    return gradients[0];
  };
  check(train(true) == train(false), "what leaves early has other bits");
}

void gradientsFinishInOrder() {
  SmallProgram model({"cpu", DType::f32, 0, false});
  const std::vector<int>& finished = model.program().gradientFinishedAt();
  check(finished.size() == model.trainedNames().size(), "a trained parameter has no last instruction");
  const auto& instructions = model.spec().instructions;
  for (size_t i = 0; i < finished.size(); i++) {
    const int gradient = model.value("d" + model.trainedNames()[i]);
    int last = -1;
    for (size_t k = 0; k < instructions.size(); k++)
      for (const int value : instructions[k].outputs)
        if (value == gradient) last = static_cast<int>(k);
    check(last >= model.spec().forwardCount && finished[i] >= last, model.trainedNames()[i] + " is written later");
  }
}

/// A program that fails ends the sum, here and on the other rank.
void failuresEndTheSum() {
  onRanks(2, [&](int rank, Transport& transport) {
    const auto sum = std::make_shared<GradientSum>(tensorsOf({30, 20}), BucketSizes{8, 4});
    sum->expect({1, 1});
    sum->open();
    if (rank == 1) sum->finishedAll();
    std::thread failing([&] {
      if (rank == 1) return;
      try {
        sum->following([](const std::function<void(int)>& ran) {
          ran(2);
          fail("OUT_OF_MEMORY", "no memory");
        });
      } catch (const Error&) {
      }
    });
    try {
      transport.run(sum, 60);
      check(false, "the sum has ended well");
    } catch (const Error& error) {
      const std::string expected = rank == 0 ? "OUT_OF_MEMORY" : "RANK_FAILED";
      check(error.code() == expected, "rank " + std::to_string(rank) + ": " + error.code() + ", " + error.what());
    }
    failing.join();
    if (rank == 0) transport.tellFailure("rank 0: no memory");
  });
}

}  // namespace

void addGradientSumTests(Suite& suite) {
  suite.add("gradientSum/bucketsHoldEachValueOnce", bucketsHoldEachValueOnce);
  suite.add("gradientSum/slicesHoldEachValueOnce", slicesHoldEachValueOnce);
  suite.add("gradientSum/sumIsInOrder", sumIsInOrder);
  suite.add("gradientSum/ranksSumInOrder", ranksSumInOrder);
  suite.add("gradientSum/gradientsFinishInOrder", gradientsFinishInOrder);
  for (const std::string& backend : suite.options().backends)
    suite.add("gradientSum/bucketsLeaveMeanwhile/" + backend, [backend] { bucketsLeaveMeanwhile(backend); });
  suite.add("gradientSum/failuresEndTheSum", failuresEndTheSum);
}

}  // namespace fl::test
