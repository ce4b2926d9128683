#include "addon/op_run.h"

#include "addon/parameter_handle.h"

namespace fl::addon {
namespace {

Operand operandOf(Napi::Env env, const Napi::Value& value, Backend& backend, const char* name) {
  Operand operand;
  if (value.IsUndefined() || value.IsNull()) return operand;
  const Napi::Object object = objectOf(value, name);
  if (object.InstanceOf(environmentOf(env).parameter.Value())) {
    operand.parameter = ParameterHandle::of(env, object, name).parameter();
    if (&operand.parameter->memory() != &backend.memory())
      fail("INVALID_ARGUMENT", std::string(name) + " is on another backend");
    if (operand.parameter->has(Parameter::Slot::value)) {
      operand.view = operand.parameter->tensor(Parameter::Slot::value);
    } else {
      operand.view = operand.parameter->shape();
      operand.view.parameter = operand.parameter.get();
    }
    operand.parameter->users++;
    return operand;
  }
  operand.host = typedDataOf(object.Get("data"), name);
  const Napi::Array shape = arrayOf(object.Get("shape"), "shape");
  operand.view.dtype = operand.host.dtype;
  operand.view.rank = static_cast<int>(shape.Length());
  if (shape.Length() < 1 || shape.Length() > 2)
    fail("INVALID_SHAPE", std::string(name) + " must have 1 or 2 dimensions");
  for (uint32_t i = 0; i < shape.Length(); i++)
    operand.view.dim[i] = integerOf(shape.Get(i), "shape", 0, int64_t{1} << 40);
  if (operand.view.count() != operand.host.count)
    fail("INVALID_SHAPE", std::string(name) + " holds " + std::to_string(operand.host.count) +
                              " values, its shape is " + operand.view.describe());
  return operand;
}

/// Index operands are checked against what they index: ops trust them.
void checkIndices(const OpRun& run) {
  const auto check = [](const Operand& ids, int64_t limit, const char* name, bool ignored, int64_t ignore) {
    const auto* values = reinterpret_cast<const int32_t*>(ids.host.bytes.data());
    for (int64_t i = 0; i < ids.host.count; i++)
      if ((values[i] < 0 || values[i] >= limit) && !(ignored && values[i] == ignore))
        fail("INVALID_ARGUMENT", std::string(name) + "[" + std::to_string(i) + "] is " + std::to_string(values[i]) +
                                     ", expected 0.." + std::to_string(limit - 1));
  };
  const auto at = [&](int i) -> const Operand& { return run.operands[i]; };
  const int numInputs = run.call.numInputs;
  for (int i = 0; i < numInputs; i++)
    if (run.call.inputs[i].present() && run.call.inputs[i].dtype == DType::i32 && at(i).parameter)
      fail("INVALID_ARGUMENT", "index operands must be Int32Arrays");
  switch (run.call.op) {
    case OpKind::embeddingSum:
      for (int i = 0; i + 1 < numInputs; i += 2) check(at(i), at(i + 1).view.rows(), "ids", false, 0);
      break;
    case OpKind::embeddingBackward:
      check(at(0), at(numInputs).view.rows(), "ids", false, 0);
      break;
    case OpKind::gatherRows:
      check(at(1), at(0).view.rows(), "index", false, 0);
      break;
    case OpKind::gatherRowsBackward:
      check(at(1), at(numInputs).view.rows(), "index", false, 0);
      break;
    case OpKind::crossEntropy:
    case OpKind::crossEntropyBackward:
      check(at(1), at(0).view.cols(), "labels", true, static_cast<int64_t>(run.attributes.number("ignoreIndex", -100)));
      break;
    case OpKind::attention:
    case OpKind::attentionBackward: {
      const bool forward = run.call.op == OpKind::attention;
      const int offsetsAt = forward ? 3 : 6;
      // The tokens are those of k: with queryRows there are fewer queries.
      const int64_t tokens = at(forward ? 1 : 2).view.rows();
      const Operand& offsets = at(offsetsAt);
      const auto* values = reinterpret_cast<const int32_t*>(offsets.host.bytes.data());
      bool ok = offsets.host.count > 0 && values[0] == 0 && values[offsets.host.count - 1] == tokens;
      for (int64_t i = 0; i + 1 < offsets.host.count; i++) ok = ok && values[i] < values[i + 1];
      if (!ok) fail("INVALID_ARGUMENT", "cuSeqlens must start at 0, rise strictly and end at the number of tokens");
      if (numInputs > offsetsAt + 1 && run.call.inputs[offsetsAt + 1].present())
        check(at(offsetsAt + 1), tokens, "queryRows", false, 0);
      break;
    }
    default:
      break;
  }
}

}  // namespace

OpRun::~OpRun() {
  for (Operand& operand : operands) {
    if (operand.device) backend->memory().release(operand.device);
    if (operand.parameter) operand.parameter->users--;
  }
}

void OpRun::upload() {
  Memory& memory = backend->memory();
  for (size_t i = 0; i < operands.size(); i++) {
    Operand& operand = operands[i];
    if (!operand.view.present() || operand.parameter) continue;
    operand.device = memory.allocate(operand.host.bytes.size());
    memory.upload(operand.device, operand.host.bytes.data(), operand.host.bytes.size());
    const auto k = static_cast<int>(i);
    (k < call.numInputs ? call.inputs[k] : call.outputs[k - call.numInputs]).data = operand.device;
  }
}

void OpRun::download() {
  for (size_t i = static_cast<size_t>(call.numInputs); i < operands.size(); i++) {
    Operand& operand = operands[i];
    if (operand.device)
      backend->memory().download(operand.host.bytes.data(), operand.device, operand.host.bytes.size());
    if (operand.parameter) operand.parameter->touch();
  }
}

std::shared_ptr<OpRun> opRunOf(Napi::Env env, Backend& backend, const Napi::Value& op, const Napi::Value& inputValues,
                               const Napi::Value& outputValues, const Napi::Value& attributes,
                               const Napi::Value& step) {
  auto run = std::make_shared<OpRun>();
  run->backend = &backend;
  run->call.op = opByName(stringOf(op, "op"));
  const Napi::Array inputs = arrayOf(inputValues, "inputs"), outputs = arrayOf(outputValues, "outputs");
  run->attributes = attributesOf(attributes);
  run->call.attributes = &run->attributes;
  run->call.step = stepOf(step);
  run->call.numInputs = static_cast<int>(inputs.Length());
  run->call.numOutputs = static_cast<int>(outputs.Length());
  if (run->call.numInputs > OpCall::kMaxInputs || run->call.numOutputs > OpCall::kMaxOutputs)
    fail("INVALID_ARGUMENT", "too many operands");
  DType compute = DType::f32;
  for (int i = 0; i < run->call.numInputs + run->call.numOutputs; i++) {
    const bool input = i < run->call.numInputs;
    const Napi::Value value =
        input ? inputs.Get(static_cast<uint32_t>(i)) : outputs.Get(static_cast<uint32_t>(i - run->call.numInputs));
    run->operands.push_back(operandOf(env, value, *run->backend, input ? "input" : "output"));
    const Tensor& view = run->operands.back().view;
    (input ? run->call.inputs[i] : run->call.outputs[i - run->call.numInputs]) = view;
    if (view.present() && view.dtype == DType::f64 && run->call.op != OpKind::squaredNorm) compute = DType::f64;
    run->arrays.push_back(!input && view.present() && !run->operands.back().parameter
                              ? Napi::Persistent(objectOf(value, "output").Get("data").As<Napi::Object>())
                              : Napi::ObjectReference());
  }
  validate(run->call);
  checkIndices(*run);
  run->function = run->backend->require(run->call.op, compute, run->attributes);
  return run;
}

}  // namespace fl::addon
