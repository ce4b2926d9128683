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
    const auto run = opRunOf(env, backend, info[1], info[2], info[3], info[4], info[5]);
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
              std::memcpy(memory, operand.host.bytes.data(), operand.host.bytes.size());
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
    const Napi::Array ops = arrayOf(info[1], "ops");
    std::vector<std::shared_ptr<OpRun>> runs;
    for (uint32_t i = 0; i < ops.Length(); i++) {
      const Napi::Array op = arrayOf(ops.Get(i), "ops");
      runs.push_back(opRunOf(env, backend, op.Get(0u), op.Get(1u), op.Get(2u), op.Get(3u), info[2]));
    }
    std::shared_ptr<Parameter> flush;
    if (!info[3].IsUndefined()) flush = ParameterHandle::of(env, info[3], "flush").parameter();
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
    const Napi::Array bytes = arrayOf(info[0], "bytes"), first = arrayOf(info[1], "first"),
                      last = arrayOf(info[2], "last");
    if (first.Length() != bytes.Length() || last.Length() != bytes.Length())
      fail("INVALID_ARGUMENT", "bytes, first and last must be of one length");
    std::vector<ArenaBuffer> buffers;
    for (uint32_t i = 0; i < bytes.Length(); i++)
      buffers.push_back({integerOf(bytes.Get(i), "bytes", 0, int64_t{1} << 50),
                         static_cast<int>(integerOf(first.Get(i), "first", -1, INT32_MAX)),
                         static_cast<int>(integerOf(last.Get(i), "last", -1, INT32_MAX))});
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
