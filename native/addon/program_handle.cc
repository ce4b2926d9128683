// Programs as JavaScript sees them: the plan read from an object, steps off the event loop,
// results. What a program does is program/program.h; single ops by themselves are addon/op_run.cc.
#include "addon/program_handle.h"

#include "addon/background.h"
#include "addon/gradient_sum_handle.h"
#include "program/side_by_side.h"

namespace fl::addon {
namespace {

Dim dimOf(const Napi::Value& value) {
  if (value.IsNumber()) return {Dim::Symbol::none, integerOf(value, "shape", 1, int64_t{1} << 40)};
  const std::string name = stringOf(value, "shape");
  if (name == "T") return {Dim::Symbol::T, 0};
  if (name == "S") return {Dim::Symbol::S, 0};
  if (name == "S+1") return {Dim::Symbol::SPlus1, 0};
  if (name == "M") return {Dim::Symbol::M, 0};
  fail("INVALID_ARGUMENT", "a dimension is a number, T, S, S+1 or M, not '" + name + "'");
}

ValueSpec valueOf(const Napi::Object& object, DType compute) {
  ValueSpec value;
  value.name = stringOf(object.Get("name"), "value.name");
  const std::string kind = stringOf(object.Get("kind"), "value.kind");
  if (kind == "input")
    value.kind = ValueSpec::Kind::input;
  else if (kind == "parameter")
    value.kind = ValueSpec::Kind::parameter;
  else if (kind == "gradient")
    value.kind = ValueSpec::Kind::gradient;
  else if (kind == "computed")
    value.kind = ValueSpec::Kind::computed;
  else
    fail("INVALID_ARGUMENT", value.name + ": there is no kind of value '" + kind + "'");
  const std::string dtype = stringOf(object.Get("dtype"), "value.dtype");
  if (dtype != "float" && dtype != "i32")
    fail("INVALID_ARGUMENT", value.name + ": dtype is float or i32, not '" + dtype + "'");
  value.dtype = dtype == "i32" ? DType::i32 : compute;
  for (const Napi::Value& dim : listOf(object.Get("shape"), "value.shape", 16)) value.shape.push_back(dimOf(dim));
  const Napi::Value parameter = object.Get("parameter");
  if (!parameter.IsUndefined())
    value.parameter = static_cast<int>(integerOf(parameter, "value.parameter", 0, INT32_MAX));
  value.output = object.Get("output").ToBoolean();
  return value;
}

/// A function of JavaScript that is called with a parameter's index while the program is built, on
/// its own thread.
std::function<void(int)> callbackOf(const Napi::Value& value) {
  if (!value.IsFunction()) return nullptr;
  return [function = value.As<Napi::Function>()](int parameter) {
    const Napi::HandleScope scope(function.Env());
    function.Call({Napi::Number::New(function.Env(), parameter)});
  };
}

ProgramSpec specOf(const Napi::Object& object) {
  ProgramSpec spec;
  spec.backend = stringOf(object.Get("backend"), "backend");
  spec.compute = computeOf(object.Get("compute"));
  for (const Napi::Value& parameter : listOf(object.Get("parameters"), "parameters"))
    spec.parameters.push_back(ParameterHandle::of(parameter, "parameters").parameter());
  for (const Napi::Value& value : listOf(object.Get("values"), "values"))
    spec.values.push_back(valueOf(objectOf(value, "values"), spec.compute));
  for (const Napi::Value& instruction : listOf(object.Get("instructions"), "instructions")) {
    const Napi::Object in = objectOf(instruction, "instructions");
    spec.instructions.push_back({opByName(stringOf(in.Get("op"), "op")), indicesOf(in.Get("inputs"), "inputs"),
                                 indicesOf(in.Get("outputs"), "outputs"), attributesOf(in.Get("attributes")),
                                 stringOf(in.Get("path"), "path")});
  }
  spec.forwardCount = static_cast<int>(integerOf(object.Get("forwardCount"), "forwardCount", 0, INT32_MAX));
  spec.keepAll = object.Get("keepAll").ToBoolean();
  const Napi::Value record = object.Get("record");
  spec.record = record.IsUndefined() || record.ToBoolean();
  spec.fill = callbackOf(object.Get("fill"));
  spec.packed = callbackOf(object.Get("packed"));
  return spec;
}

Sizes sizesOf(const Napi::Value& value) {
  const Napi::Object object = objectOf(value, "sizes");
  constexpr int64_t kMost = int64_t{1} << 30;
  return {integerOf(object.Get("T"), "sizes.T", 0, kMost), integerOf(object.Get("S"), "sizes.S", 0, kMost),
          integerOf(object.Get("M"), "sizes.M", 0, kMost)};
}

/// A batch's arrays, copied, so that a step can not be disturbed by JavaScript.
struct OwnedBatch {
  std::vector<TypedData> data;
  std::vector<BatchInput> inputs;
};

std::shared_ptr<OwnedBatch> batchOf(const Napi::Value& value, const ProgramSpec& spec) {
  const Napi::Object object = objectOf(value, "batch");
  auto batch = std::make_shared<OwnedBatch>();
  batch->data.reserve(spec.values.size());
  for (size_t v = 0; v < spec.values.size(); v++) {
    const ValueSpec& input = spec.values[v];
    if (input.kind != ValueSpec::Kind::input) continue;
    const Napi::Value entry = object.Get(input.name);
    if (entry.IsUndefined()) continue;  // the program names it if it reads it
    batch->data.push_back(typedDataOf(entry, input.name.c_str()));
    const TypedData& data = batch->data.back();
    batch->inputs.push_back({static_cast<int>(v), data.dtype, data.bytes.data(), data.count});
  }
  return batch;
}

OptimizerStep optimizerOf(const Napi::Value& value) {
  const Napi::Object object = objectOf(value, "options");
  OptimizerStep step;
  for (const Napi::Value& group : listOf(object.Get("groups"), "groups")) {
    const Napi::Object g = objectOf(group, "groups");
    step.settings.groups.push_back({numberOf(g.Get("learningRate"), "learningRate"), numberOf(g.Get("beta1"), "beta1"),
                                    numberOf(g.Get("beta2"), "beta2"), numberOf(g.Get("eps"), "eps"),
                                    numberOf(g.Get("weightDecay"), "weightDecay")});
  }
  step.groupOf = indicesOf(object.Get("groupOf"), "groupOf");
  step.settings.step = static_cast<double>(integerOf(object.Get("step"), "step", 1, int64_t{1} << 53));
  step.settings.maxGradNorm = numberOf(object.Get("maxGradNorm"), "maxGradNorm");
  return step;
}

/// Marks the objects that Unwrap may be asked of.
constexpr napi_type_tag kProgramTag{0x66757365646c6f72, 0x70726f6772616d00};

}  // namespace

Napi::Function defineProgram(Napi::Env env) {
  using H = ProgramHandle;
  return H::DefineClass(env, "NativeProgram",
                        {H::InstanceMethod("arenaBytes", &H::arenaBytes), H::InstanceMethod("reserve", &H::reserve),
                         H::InstanceMethod("forward", &H::forward), H::InstanceMethod("accumulate", &H::accumulate),
                         H::InstanceMethod("apply", &H::apply), H::InstanceMethod("read", &H::read),
                         H::InstanceMethod("takeTimings", &H::takeTimings), H::InstanceMethod("recorded", &H::recorded),
                         H::InstanceMethod("abort", &H::abort), H::InstanceMethod("dispose", &H::dispose),
                         H::StaticMethod("accumulateSideBySide", &H::accumulateSideBySide)});
}

ProgramHandle::ProgramHandle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ProgramHandle>(info) {
  guarded(info.Env(), [&] {
    program_ = std::make_shared<Program>(specOf(objectOf(info[0], "spec")));
    info.This().As<Napi::Object>().TypeTag(&kProgramTag);
  });
}

std::shared_ptr<Program> ProgramHandle::programOf(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kProgramTag))
    fail("INVALID_ARGUMENT", "program must be a NativeProgram");
  return Unwrap(value.As<Napi::Object>())->program();
}

ProgramHandle::~ProgramHandle() {
  // A run that is still under way holds the program; it ends at its next op.
  if (program_) program_->abort();
  if (reported_) adjustExternalMemory(Env(), -reported_);
}

std::shared_ptr<Program> ProgramHandle::program() const {
  if (!program_) fail("DISPOSED", "this program was disposed");
  return program_;
}

class ProgramHandle::Claim {
 public:
  Claim(std::shared_ptr<Program> owner, std::shared_ptr<bool> busy)
      : program(std::move(owner)), busy_(std::move(busy)) {
    *busy_ = true;
  }
  ~Claim() { *busy_ = false; }
  Claim(const Claim&) = delete;

  const std::shared_ptr<Program> program;

 private:
  std::shared_ptr<bool> busy_;
};

std::shared_ptr<ProgramHandle::Claim> ProgramHandle::claim() {
  auto p = program();
  if (*busy_) fail("BUSY", "a step of this program is running; await it first");
  p->clearAbort();
  return std::make_shared<Claim>(std::move(p), busy_);
}

Napi::Value ProgramHandle::start(Napi::Env env, std::function<void(Program&)> work,
                                 std::function<Napi::Value(Napi::Env)> result) {
  auto claimed = claim();
  // Not the claim: it has to go on the event loop.
  auto run = [p = claimed->program, work = std::move(work)] { work(*p); };
  return Background::run(env, std::move(run), std::move(result),
                         [claimed = std::move(claimed)]() mutable { claimed.reset(); });
}

Napi::Value ProgramHandle::arenaBytes(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    return Napi::Number::New(info.Env(), static_cast<double>(program()->arenaBytes(sizesOf(info[0]))));
  });
}

Napi::Value ProgramHandle::run(const Napi::CallbackInfo& info, bool train) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto batch = batchOf(info[0], program()->spec());
    const Sizes sizes = sizesOf(info[1]);
    const StepState step = stepOf(info[2]);
    if (!train) return start(info.Env(), [batch, sizes, step](Program& p) { p.forward(batch->inputs, sizes, step); });
    const bool zeroGradients = info[3].ToBoolean();
    if (info[4].IsUndefined())
      return start(info.Env(), [batch, sizes, step, zeroGradients](Program& p) {
        p.accumulate(batch->inputs, sizes, step, zeroGradients);
      });
    const auto sum = GradientSumHandle::of(info[4], "sum").sum();
    return start(info.Env(), [batch, sizes, step, zeroGradients, sum](Program& p) {
      sum->following([&](const std::function<void(int)>& finished) {
        p.accumulate(batch->inputs, sizes, step, zeroGradients, finished);
      });
    });
  });
}

Napi::Value ProgramHandle::reserve(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const Sizes sizes = sizesOf(info[0]);
    return start(info.Env(), [sizes](Program& p) { p.reserve(sizes); });
  });
}

Napi::Value ProgramHandle::forward(const Napi::CallbackInfo& info) { return run(info, false); }

Napi::Value ProgramHandle::accumulate(const Napi::CallbackInfo& info) { return run(info, true); }

Napi::Value ProgramHandle::accumulateSideBySide(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    struct Steps {
      std::vector<std::shared_ptr<Program>> programs;
      std::vector<std::shared_ptr<OwnedBatch>> batches;
      std::vector<SideStep> steps;
      std::vector<std::optional<Error>> errors;
    };
    const auto all = std::make_shared<Steps>();
    auto claims = std::make_shared<std::vector<std::shared_ptr<Claim>>>();
    for (const Napi::Value& value : listOf(info[0], "steps", 1 << 16)) {
      const Napi::Object object = objectOf(value, "steps");
      const Napi::Value handle = object.Get("program");
      const auto program = programOf(handle);
      const auto batch = batchOf(object.Get("batch"), program->spec());
      all->steps.push_back({program.get(), batch->inputs, sizesOf(object.Get("sizes")), stepOf(object.Get("step")),
                            object.Get("zeroGradients").ToBoolean()});
      all->programs.push_back(program);
      all->batches.push_back(batch);
      // What JavaScript could change in getters is read by now.
      claims->push_back(Unwrap(handle.As<Napi::Object>())->claim());
    }
    return Background::run(
        env, [all] { all->errors = fl::accumulateSideBySide(all->steps); },
        [all](Napi::Env scope) -> Napi::Value {
          Napi::Array errors = Napi::Array::New(scope, all->errors.size());
          for (size_t i = 0; i < all->errors.size(); i++) {
            const std::optional<Error>& error = all->errors[i];
            errors.Set(static_cast<uint32_t>(i), error ? toJavaScript(scope, *error).Value() : scope.Undefined());
          }
          return errors;
        },
        [claims] { claims->clear(); });
  });
}

Napi::Value ProgramHandle::apply(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto options = std::make_shared<OptimizerStep>(optimizerOf(info[0]));
    const auto result = std::make_shared<ApplyResult>();
    std::function<void(Program&)> work = [options, result](Program& p) { *result = p.apply(*options); };
    if (!info[1].IsUndefined()) {
      const GradientSumHandle& handle = GradientSumHandle::of(info[1], "sum");
      work = [options, result, values = handle.values(), part = handle.part()](Program& p) {
        values->following([&](const std::function<void(int)>&) {
          *result = p.apply(*options, part.get());
          if (!result->applied) values->skip();
        });
      };
    }
    return start(info.Env(), std::move(work), [result](Napi::Env env) -> Napi::Value {
      const Napi::Object object = Napi::Object::New(env);
      object.Set("applied", result->applied);
      object.Set("gradientNorm", result->gradientNorm);
      object.Set("loss", result->loss);
      return object;
    });
  });
}

Napi::Value ProgramHandle::read(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto p = program();
    if (*busy_) fail("BUSY", "a step of this program is running; await it first");
    const int value = static_cast<int>(integerOf(info[0], "value", 0, INT32_MAX));
    const Tensor t = p->lastShape(value);
    const auto count = static_cast<size_t>(t.count());
    const Napi::Env env = info.Env();
    if (t.dtype == DType::f64) {
      auto array = Napi::Float64Array::New(env, count);
      p->read(value, array.Data());
      return array;
    }
    if (t.dtype == DType::i32) {
      auto array = Napi::Int32Array::New(env, count);
      p->read(value, array.Data());
      return array;
    }
    auto array = Napi::Float32Array::New(env, count);
    p->read(value, array.Data());
    return array;
  });
}

Napi::Value ProgramHandle::takeTimings(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto p = program();
    if (*busy_) fail("BUSY", "a step of this program is running; await it first");
    const std::vector<double> seconds = p->takeTimings();
    auto array = Napi::Float64Array::New(info.Env(), seconds.size());
    std::copy(seconds.begin(), seconds.end(), array.Data());
    return array;
  });
}

Napi::Value ProgramHandle::recorded(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto p = program();
    if (*busy_) fail("BUSY", "a step of this program is running; await it first");
    const Recorder::Counts counts = p->recorded();
    const Napi::Object object = Napi::Object::New(info.Env());
    object.Set("replayed", static_cast<double>(counts.replayed));
    object.Set("updated", static_cast<double>(counts.updated));
    object.Set("made", static_cast<double>(counts.made));
    return object;
  });
}

void ProgramHandle::abort(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    if (*busy_) program()->abort();
  });
}

void ProgramHandle::dispose(const Napi::CallbackInfo&) {
  // A run under way shares the program and stops at its next op; the memory goes with it.
  if (program_) program_->abort();
  program_.reset();
}

}  // namespace fl::addon
