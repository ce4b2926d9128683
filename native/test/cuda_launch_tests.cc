// What the host does around launches: sizes that no grid can have, and other threads that use the
// device while one records a step. Grids are bounded in cuda/device/launch.h.
#include <thread>

#include "test/cases.h"
#include "test/tests.h"

namespace fl::test {
namespace {

/// Ranks lie along a dimension of the grid that has at most 65535 blocks.
void ranksBeyondAGrid(const std::string& name) {
  Backend& backend = backendOrSkip(name);
  Random random(91);
  for (const bool bf16 : {false, true}) {
    const int64_t rank = int64_t{65535} * (bf16 ? 32 : 8) + 1;
    Case c = loraLinearCase(random, 1, 1, 1, {rank, 0, false}, {false, false, "none"});
    if (bf16) c = inBf16(std::move(c));
    std::string code;
    try {
      run(c, backend, DType::f32);
    } catch (const Error& error) {
      code = error.code();
    }
    check(code == "INVALID_SHAPE", c.title() + ": '" + code + "'");
  }
}

/// Memory comes and goes, and a call fails, in a thread beside one that records: the recording is
/// whole, and the device not taken for a failed one.
void otherThreads(const std::string& name) {
  Backend& backend = backendOrSkip(name);
  const std::unique_ptr<Recorder> recorder = backend.recorder();
  if (!recorder) skip("backend '" + name + "' records nothing");
  Memory& memory = backend.memory();
  const float value = 2;
  auto* const loss = static_cast<float*>(memory.allocate(sizeof value));
  auto* const record = static_cast<LossRecord*>(memory.allocate(sizeof(LossRecord)));
  memory.upload(loss, &value, sizeof value);
  const StepState step = someStep();
  const Tensor tensor = Tensor::of(loss, DType::f32, {1});
  RecordingKey key;
  key.sizes = {1, 1, 1};
  std::string code;
  recorder->run(key, step, [&] {
    backend.noteLoss(tensor, step, true, record);
    std::thread([&] {
      memory.release(memory.allocate(1000));
      try {
        memory.upload(nullptr, &value, sizeof value);
      } catch (const Error& error) {
        code = error.code();
      }
    }).join();
    backend.noteLoss(tensor, step, false, record);
  });
  check(code == "INTERNAL", "a copy to nowhere: '" + code + "'");
  LossRecord got{};
  memory.download(&got, record, sizeof got);
  const double want = 2 * static_cast<double>(value) * step.lossScale;
  check(got.sum == want && got.finite == 1, "the recorded losses are " + text(got.sum) + ", expected " + text(want));
  memory.release(loss);
  memory.release(record);
}

}  // namespace

void addCudaLaunchTests(Suite& suite) {
  for (const std::string& backend : suite.options().backends) {
    if (backend != "cuda") continue;
    suite.add("cudaLaunch/ranksBeyondAGrid", [backend] { ranksBeyondAGrid(backend); });
    suite.add("cudaLaunch/otherThreads", [backend] { otherThreads(backend); });
  }
}

}  // namespace fl::test
