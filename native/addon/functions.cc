// The addon's free functions: single ops on typed arrays or device tensors (addon/op_run.h), the
// arena's size, facts about the machine.
#include "addon/background.h"
#include "addon/op_run.h"
#include "addon/parameter_handle.h"
#include "cpu/simd/isa.h"
#if defined(FUSED_LORA_WITH_CUDA)
#include "cuda/backend.h"
#endif
#include "ops/backend.h"
#include "runtime/arena.h"
#include "runtime/thread_pool.h"

namespace fl::addon {
namespace {

Napi::Value runOp(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    Backend& backend = backendByName(stringOf(info[0], "backend"));
    const auto run = opRunOf(backend, info[1], info[2], info[3], info[4], info[5]);
    return Background::run(
        env,
        [run] {
          run->upload();
          run->seconds = run->backend->time([&] { run->run(); });
          run->download();
        },
        [run](Napi::Env scope) -> Napi::Value {
          for (size_t i = static_cast<size_t>(run->call.numInputs); i < run->operands.size(); i++) {
            if (run->arrays[i].IsEmpty()) continue;
            const Operand& operand = run->operands[i];
            guarded(scope, [&] {
              void* memory = typedMemory(run->arrays[i].Value(), "output", operand.host.dtype, operand.host.count);
              if (memory) std::memcpy(memory, operand.host.bytes.data(), operand.host.bytes.size());
            });
          }
          return Napi::Number::New(scope, run->seconds);
        });
  });
}

/// timeOps(backend, [[op, inputs, outputs, attributes], ...], step, flush?): seconds of the ops one
/// after the other, by the device's clock. `flush`, a device tensor larger than the device's cache,
/// is set to zero before, so that the operands come from memory.
Napi::Value timeOps(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    Backend& backend = backendByName(stringOf(info[0], "backend"));
    std::vector<std::shared_ptr<OpRun>> runs;
    for (const Napi::Value& entry : listOf(info[1], "ops")) {
      const std::vector<Napi::Value> op = listOf(entry, "an op", 4);
      if (op.size() != 4) fail("INVALID_ARGUMENT", "an op is its name, inputs, outputs and attributes");
      runs.push_back(opRunOf(backend, op[0], op[1], op[2], op[3], info[2]));
    }
    std::shared_ptr<Parameter> flush;
    if (!info[3].IsUndefined()) flush = ParameterHandle::of(info[3], "flush").parameter();
    const auto seconds = std::make_shared<double>(0);
    return Background::run(
        env,
        [runs, flush, seconds, &backend] {
          for (const auto& run : runs) run->upload();
          if (flush) {
            const Tensor all = flush->tensor(Parameter::Slot::value);
            backend.zero({&all, 1});
          }
          *seconds = backend.time([&] {
            for (const auto& run : runs) run->run();
          });
        },
        [seconds](Napi::Env scope) -> Napi::Value { return Napi::Number::New(scope, *seconds); });
  });
}

Napi::Value arenaBytes(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::vector<Napi::Value> bytes = listOf(info[0], "bytes");
    const std::vector<int> first = indicesOf(info[1], "first"), last = indicesOf(info[2], "last");
    if (first.size() != bytes.size() || last.size() != bytes.size())
      fail("INVALID_ARGUMENT", "bytes, first and last must be of one length");
    std::vector<ArenaBuffer> buffers;
    for (size_t i = 0; i < bytes.size(); i++)
      buffers.push_back({integerOf(bytes[i], "bytes", 0, int64_t{1} << 50), first[i], last[i]});
    return Napi::Number::New(info.Env(), static_cast<double>(layOutArena(buffers).totalBytes));
  });
}

Napi::Object cudaInfo(Napi::Env env) {
  const Napi::Object cuda = Napi::Object::New(env);
#if defined(FUSED_LORA_WITH_CUDA)
  const CudaReport report = cudaReport();
  cuda.Set("built", true);
  cuda.Set("available", report.cause == CudaReport::Cause::none);
  cuda.Set("cause", std::string(nameOf(report.cause)));
  cuda.Set("reason", report.reason);
  if (!report.device.empty()) {
    cuda.Set("device", report.device);
    cuda.Set("computeCapability", static_cast<double>(report.computeCapability) / 10);
  }
  cuda.Set("driver", report.driver);
  cuda.Set("runtime", report.runtime);
  cuda.Set("freeBytes", static_cast<double>(report.freeBytes));
  cuda.Set("totalBytes", static_cast<double>(report.totalBytes));
  cuda.Set("usedBytes", static_cast<double>(report.usedBytes));
  cuda.Set("peakBytes", static_cast<double>(report.peakBytes));
  cuda.Set("launches", static_cast<double>(report.launches));
  cuda.Set("graphs", report.graphs);
#else
  cuda.Set("built", false);
  cuda.Set("available", false);
  cuda.Set("cause", "notBuilt");
  try {
    backendByName("cuda");
  } catch (const Error& error) {
    cuda.Set("reason", std::string(error.what()));
  }
#endif
  return cuda;
}

Napi::Value machineInfo(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const Napi::Object result = Napi::Object::New(env);
    result.Set("isa", std::string(nameOf(selectedIsa())));
    result.Set("bf16", cpuBackend().hasBf16Instructions());
    result.Set("threads", ThreadPool::instance().threads());
    result.Set("compiler", std::string(__VERSION__));
    result.Set("cuda", cudaInfo(env));
    return result;
  });
}

void setThreads(const Napi::CallbackInfo& info) {
  guarded(info.Env(),
          [&] { ThreadPool::instance().setThreads(static_cast<int>(integerOf(info[0], "threads", 1, 256))); });
}

}  // namespace

void defineFunctions(Napi::Env env, Napi::Object exports) {
  exports.Set("runOp", Napi::Function::New(env, runOp, "runOp"));
  exports.Set("timeOps", Napi::Function::New(env, timeOps, "timeOps"));
  exports.Set("arenaBytes", Napi::Function::New(env, arenaBytes, "arenaBytes"));
  exports.Set("info", Napi::Function::New(env, machineInfo, "info"));
  exports.Set("setThreads", Napi::Function::New(env, setThreads, "setThreads"));
}

}  // namespace fl::addon
