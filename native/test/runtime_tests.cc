// Parameters with their packed copies, the arena layout and the basics of the thread pool.
// The pool under load: thread_pool_tests.cc.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "runtime/arena.h"
#include "runtime/parameter.h"
#include "runtime/thread_pool.h"
#include "test/cases.h"
#include "test/tests.h"

namespace fl::test {
namespace {

using Slot = Parameter::Slot;

template <class Body>
void expectError(const char* what, const char* code, const char* named, Body body) {
  try {
    body();
    check(false, std::string(what) + " was accepted");
  } catch (const Error& e) {
    check(e.code() == code && std::string(e.what()).find(named) != std::string::npos,
          std::string(what) + " gives " + e.code() + ": " + e.what());
  }
}

void parameterValues() {
  const std::vector<float> narrow = {1.5f, -2.25f, 3, 4, 5, 6};
  const std::vector<double> wide(narrow.begin(), narrow.end());
  for (const DType dtype : {DType::f32, DType::f64}) {
    Parameter p(hostMemory(), "weight", dtype, 2, {2, 3});
    check(p.bytes() == 0, "a new parameter holds no memory");
    const uint64_t before = p.version();
    p.write(Slot::value, narrow.data());
    check(p.version() > before, "a new value is a new version");
    check(p.bytes() == 6 * sizeOf(dtype), "bytes of one slot");
    std::vector<double> asDouble(6);
    p.readDouble(Slot::value, asDouble.data());
    check(asDouble == wide, "written as float, read as double");
    p.writeDouble(Slot::firstMoment, wide.data());
    std::vector<float> asFloat(6);
    p.read(Slot::firstMoment, asFloat.data());
    check(asFloat == narrow, "written as double, read as float");
    const Tensor gradient = p.tensor(Slot::gradient);
    check(gradient.rows() == 2 && gradient.cols() == 3 && gradient.parameter == nullptr, "view of the gradient");
    check(p.tensor(Slot::value).parameter == &p, "a view of the value knows its parameter");
    p.readDouble(Slot::gradient, asDouble.data());
    check(asDouble == std::vector<double>(6, 0.0), "a new slot is zero");
    check(!p.has(Slot::secondMoment), "an unused slot has no memory");
    expectError("reading an empty slot", "INVALID_ARGUMENT", "weight",
                [&] { p.readDouble(Slot::secondMoment, asDouble.data()); });
  }
  for (const int64_t bad : {int64_t{0}, int64_t{-1}, int64_t{1} << 62})
    expectError("a bad dimension", "INVALID_SHAPE", "weight", [&] {
      Parameter(hostMemory(), "weight", DType::f32, 2, {2, bad});
    });
}

void parameterDerivedCopies() {
  Parameter p(hostMemory(), "weight", DType::f32, 1, {2, 1});
  const std::vector<float> first = {1, 2}, second = {3, 4};
  p.write(Slot::value, first.data());
  int made = 0;
  const auto copy = [&](int key) {
    return *static_cast<const float*>(p.derived(key, [&](const Tensor& value) {
                                         made++;
                                         return std::make_shared<const float>(value.as<float>()[0]);
                                       }).get());
  };
  check(copy(1) == 1 && copy(1) == 1 && made == 1, "a derived copy is made once");
  check(copy(2) == 1 && made == 2, "each key has its copy");
  p.write(Slot::value, second.data());
  check(copy(1) == 3 && made == 3, "a new value makes a new copy");
  p.touch();
  copy(1);
  check(made == 4, "so does a value changed in place");
  p.release(Slot::value);
  check(!p.has(Slot::value) && copy(1) == 3 && made == 4, "released values keep their copies");
  expectError("another layout after the release", "INTERNAL", "weight", [&] { copy(7); });
  p.write(Slot::value, second.data());
  p.valueReaders++;
  p.release(Slot::value);
  check(p.has(Slot::value), "a value with readers stays");
}

/// A backend that packs must not answer from an old copy.
void packedWeightsFollowTheValue() {
  Random random(401);
  Case c = linearCase(random, 5, 19, 17, {});
  roundToFloat(c);
  for (const char* name : {"reference", "cpu"}) {
    Backend& backend = backendByName(name);
    Parameter weight(backend.memory(), "W", DType::f32, 2, {17, 19});
    std::vector<float> x(c.in("x").values.begin(), c.in("x").values.end()), y(5 * 17), again(5 * 17);
    std::vector<float> values(c.in("W").values.begin(), c.in("W").values.end());
    weight.write(Slot::value, values.data());
    const auto multiply = [&](std::vector<float>& out) {
      OpCall call;
      call.op = OpKind::linear;
      const Attributes none;
      call.attributes = &none;
      call.numInputs = 2;
      call.inputs[0] = Tensor::of(x.data(), DType::f32, {5, 19});
      call.inputs[1] = weight.tensor(Slot::value);
      call.numOutputs = 1;
      call.outputs[0] = Tensor::of(out.data(), DType::f32, {5, 17});
      backend.find(OpKind::linear, DType::f32)(call);
    };
    multiply(y);
    for (float& v : values) v *= 2;
    weight.write(Slot::value, values.data());
    multiply(again);
    for (size_t i = 0; i < y.size(); i++)
      check(again[i] == 2 * y[i], std::string(name) + ": twice the weight, twice the output");
  }
}

/// Two buffers that live at the same time never share a byte, for random lifetimes.
void arenaKeepsLiveBuffersApart() {
  Random random(402);
  for (int round = 0; round < 200; round++) {
    std::vector<ArenaBuffer> buffers;
    const auto count = static_cast<int>(1 + random.below(60));
    for (int i = 0; i < count; i++) {
      const auto first = static_cast<int>(random.below(40)) - 1;
      buffers.push_back({random.below(5) == 0 ? 0 : random.below(100000), first,
                         first + static_cast<int>(random.below(round % 2 == 0 ? 4 : 40))});
    }
    const ArenaLayout layout = layOutArena(buffers);
    int64_t sum = 0;
    for (size_t i = 0; i < buffers.size(); i++) {
      sum += (buffers[i].bytes + 127) / 64 * 64;
      check(layout.offsets[i] % 64 == 0, "an offset is not a multiple of 64");
      check(layout.offsets[i] >= 0 && layout.offsets[i] + buffers[i].bytes <= layout.totalBytes,
            "outside of the arena");
      for (size_t j = 0; j < i; j++) {
        if (buffers[i].last < buffers[j].first || buffers[j].last < buffers[i].first) continue;
        check(layout.offsets[i] + buffers[i].bytes <= layout.offsets[j] ||
                  layout.offsets[j] + buffers[j].bytes <= layout.offsets[i],
              "two live buffers overlap");
      }
    }
    check(layout.totalBytes <= sum, "the arena is larger than all buffers together");
  }
  // A chain needs two buffers at a time, however long it is.
  std::vector<ArenaBuffer> chain;
  for (int i = 0; i < 100; i++) chain.push_back({640, i, i + 1});
  check(layOutArena(chain).totalBytes == 2 * 640, "a chain does not reuse memory");
}

void poolRunsEveryChunkOnce() {
  ThreadPool& pool = ThreadPool::instance();
  const int before = pool.threads();
  for (const int threads : {1, 2, 3, 8}) {
    pool.setThreads(threads);
    for (const int64_t chunks : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(chunks));
      std::vector<int64_t> latest(static_cast<size_t>(threads), -1);
      std::atomic<bool> ordered{true}, inRange{true};
      pool.parallelFor(chunks, [&](int64_t chunk, int thread) {
        runs[static_cast<size_t>(chunk)]++;
        if (thread < 0 || thread >= threads) {
          inRange = false;
          return;
        }
        int64_t& last = latest[static_cast<size_t>(thread)];
        if (chunk <= last) ordered = false;
        last = chunk;
      });
      for (const std::atomic<int>& n : runs) check(n == 1, "a chunk ran " + std::to_string(n) + " times");
      check(ordered, "chunks of one thread are out of order");
      check(inRange, "a thread index is out of range");
    }
  }
  pool.setThreads(before);
  for (const int bad : {0, -1, 257})
    expectError("a bad thread count", "INVALID_ARGUMENT", "threads", [&] { pool.setThreads(bad); });
}

/// Callers on several threads take turns.
void poolServesSeveralCallers() {
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; c++)
    callers.emplace_back([&] {
      for (int round = 0; round < 200; round++)
        ThreadPool::instance().parallelFor(17, [&](int64_t chunk, int) { sum += chunk + 1; });
    });
  for (std::thread& t : callers) t.join();
  check(sum == 4 * 200 * 17 * 18 / 2, "regions of several callers lost chunks");
}

}  // namespace

void addRuntimeTests(Suite& suite) {
  suite.add("runtime/parameter/values", parameterValues);
  suite.add("runtime/parameter/derivedCopies", parameterDerivedCopies);
  suite.add("runtime/parameter/packedWeightsFollowTheValue", packedWeightsFollowTheValue);
  suite.add("runtime/arena", arenaKeepsLiveBuffersApart);
  suite.add("runtime/threadPool/everyChunkOnce", poolRunsEveryChunkOnce);
  suite.add("runtime/threadPool/severalCallers", poolServesSeveralCallers);
}

}  // namespace fl::test
