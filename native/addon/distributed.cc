// Ranks as JavaScript sees them: one transport a process, exchanges as promises. The thread that
// they run on and all of MPI: distributed/transport.h; the types: src/native.ts.
#include "addon/background.h"
#include "addon/communication.h"
#include "addon/gradient_sum_handle.h"
#include "platform/library.h"

namespace fl::addon {
namespace {

using mpi::Bytes;
using mpi::Transport;

std::mutex& openMutex() {
  static std::mutex& mutex = *new std::mutex;
  return mutex;
}

/// Null before `joinRanks`; it stays to the end of the process, whose exit must not wait for it.
Transport*& theTransport() {
  static Transport* transport = nullptr;
  return transport;
}

Transport& joined() {
  const std::lock_guard lock(openMutex());
  Transport* transport = theTransport();
  if (!transport) fail("MPI_UNAVAILABLE", "MPI was not started");
  return *transport;
}

/// An environment that joined has ended: a worker's in the midst of a run, as a rule. Others must
/// not wait for what it had to do, nor the end of the process for them.
void environmentEnded(void* hook) {
  delete static_cast<char*>(hook);
  if (Transport* transport = theTransport())
    transport->abandon(
        "rank " + std::to_string(transport->rank()) +
        ": [ABORTED] the Node environment of this rank (a worker thread) ended in the middle of the run");
}

Napi::Value joinRanks(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::string file = stringOf(info[0], "file");
    return Background::run(
        info.Env(),
        [file] {
          const std::lock_guard lock(openMutex());
          if (!theTransport()) theTransport() = new Transport(file);
        },
        [](Napi::Env env) -> Napi::Value {
          const Transport& transport = joined();
          // Its argument tells it from those of other calls.
          napi_add_env_cleanup_hook(env, environmentEnded, new char(0));
          const Napi::Object object = Napi::Object::New(env);
          object.Set("rank", transport.rank());
          object.Set("size", transport.size());
          object.Set("abi", transport.abi());
          object.Set("version", transport.version());
          return object;
        });
  });
}

Bytes bytesOf(const Napi::Value& value) {
  if (!value.IsTypedArray()) fail("INVALID_ARGUMENT", "a part must be a Uint8Array");
  const auto array = value.As<Napi::TypedArray>();
  const auto* data = static_cast<const char*>(array.ArrayBuffer().Data()) + array.ByteOffset();
  return array.ByteLength() == 0 ? Bytes() : Bytes(data, data + array.ByteLength());
}

Napi::Value exchange(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    auto parts = std::make_shared<std::vector<Bytes>>();
    for (const Napi::Value& part : listOf(info[0], "parts")) parts->push_back(bytesOf(part));
    std::vector<int64_t> lengths;
    if (!info[1].IsUndefined())
      for (const Napi::Value& length : listOf(info[1], "lengths"))
        lengths.push_back(integerOf(length, "length", 0, int64_t{1} << 42));
    const double seconds = numberOf(info[2], "seconds");
    Transport& transport = joined();
    return Communication::run(
        info.Env(), transport,
        [&transport, parts, lengths, seconds] { *parts = transport.exchange(std::move(*parts), lengths, seconds); },
        [parts](Napi::Env env) -> Napi::Value {
          const Napi::Array result = Napi::Array::New(env, parts->size());
          for (uint32_t from = 0; from < parts->size(); from++) {
            const Bytes& bytes = (*parts)[from];
            auto array = Napi::Uint8Array::New(env, bytes.size());
            if (!bytes.empty()) std::memcpy(array.Data(), bytes.data(), bytes.size());
            result.Set(from, array);
          }
          return result;
        });
  });
}

std::function<Napi::Value(Napi::Env)> objectOfReport(const std::shared_ptr<mpi::Collective::Report>& report) {
  return [report](Napi::Env env) -> Napi::Value {
    const Napi::Object object = Napi::Object::New(env);
    object.Set("sentBytes", static_cast<double>(report->sentBytes));
    object.Set("buckets", report->buckets);
    object.Set("early", report->early);
    return object;
  };
}

/// A collective of all ranks; `isComputing`: another call still makes its pieces.
Napi::Value runCollective(Napi::Env env, const std::shared_ptr<mpi::Collective>& collective, bool isComputing,
                          double seconds) {
  Transport& transport = joined();
  collective->open();
  const auto report = std::make_shared<mpi::Collective::Report>();
  return Communication::run(
      env, transport,
      [&transport, collective, isComputing, seconds, report] {
        if (!isComputing) collective->finishedAll();
        *report = transport.run(collective, seconds);
      },
      objectOfReport(report));
}

Napi::Value sum(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto& gradients = GradientSumHandle::of(info[0], "gradients").sum();
    std::vector<int> summands;
    for (const Napi::Value& count : listOf(info[1], "summands"))
      summands.push_back(static_cast<int>(integerOf(count, "summands", 0, 1 << 20)));
    gradients->expect(summands);
    return runCollective(info.Env(), gradients, info[2].ToBoolean(), numberOf(info[3], "seconds"));
  });
}

Napi::Value gatherValues(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    return runCollective(info.Env(), GradientSumHandle::of(info[0], "gradients").values(), true,
                         numberOf(info[1], "seconds"));
  });
}

/// AdamW's moments, to rank 0: one after the other.
Napi::Value gatherMoments(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto& gradients = GradientSumHandle::of(info[0], "gradients").sum();
    const double seconds = numberOf(info[1], "seconds");
    Transport& transport = joined();
    return Communication::run(
        info.Env(), transport,
        [&transport, gradients, seconds] {
          for (const auto slot : {Parameter::Slot::firstMoment, Parameter::Slot::secondMoment})
            transport.run(std::make_shared<mpi::SliceGather>(gradients, slot, 0), seconds);
        },
        [](Napi::Env env) -> Napi::Value { return env.Undefined(); });
  });
}

Napi::Value tellFailure(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::string message = stringOf(info[0], "message");
    Transport& transport = joined();
    auto said = std::make_shared<std::vector<std::string>>();
    return Background::run(
        info.Env(), [&transport, message, said] { *said = transport.tellFailure(message); },
        [said](Napi::Env env) -> Napi::Value {
          const Napi::Array result = Napi::Array::New(env, said->size());
          for (uint32_t from = 0; from < said->size(); from++) result.Set(from, (*said)[from]);
          return result;
        });
  });
}

/// While the process exits, when there is no event loop any more.
Napi::Value leaveRanks(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    return Napi::Boolean::New(info.Env(), joined().leave(numberOf(info[0], "seconds")));
  });
}

void abortRanks(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { joined().abort(static_cast<int>(integerOf(info[0], "code", 0, 255))); });
}

Napi::Value place(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Object object = Napi::Object::New(info.Env());
    object.Set("host", platform::hostName());
    object.Set("cpus", platform::usableCpuList());
    return object;
  });
}

}  // namespace

Napi::Object defineDistributed(Napi::Env env) {
  const Napi::Object object = Napi::Object::New(env);
  object.Set("join", Napi::Function::New(env, joinRanks, "join"));
  object.Set("exchange", Napi::Function::New(env, exchange, "exchange"));
  object.Set("sum", Napi::Function::New(env, sum, "sum"));
  object.Set("gatherValues", Napi::Function::New(env, gatherValues, "gatherValues"));
  object.Set("gatherMoments", Napi::Function::New(env, gatherMoments, "gatherMoments"));
  object.Set("tellFailure", Napi::Function::New(env, tellFailure, "tellFailure"));
  object.Set("leave", Napi::Function::New(env, leaveRanks, "leave"));
  object.Set("abort", Napi::Function::New(env, abortRanks, "abort"));
  object.Set("place", Napi::Function::New(env, place, "place"));
  return object;
}

}  // namespace fl::addon
