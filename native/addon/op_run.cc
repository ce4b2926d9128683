// Operands of one op from JavaScript, checked: shapes by the op's signature, indices by their rules
// (ops/index_rule.h). Memory on the device for typed arrays, and their way back.
#include "addon/op_run.h"

#include "addon/parameter_handle.h"
#include "ops/index_rule.h"

namespace fl::addon {
namespace {

/// Each property is read once. `array`, where the operand is one: its typed array.
Operand operandOf(const Napi::Value& value, Backend& backend, const char* name, Napi::Value& array) {
  Operand operand;
  if (value.IsUndefined() || value.IsNull()) return operand;
  const Napi::Object object = objectOf(value, name);
  if (ParameterHandle::isOne(object)) {
    operand.parameter = ParameterHandle::of(object, name).parameter();
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
  const Shape shape = shapeOf(object.Get("shape"), name, 0);
  array = object.Get("data");
  operand.host = typedDataOf(array, name);
  operand.view.dtype = operand.host.dtype;
  operand.view.rank = shape.rank;
  operand.view.dim = shape.dim;
  if (operand.view.count() != operand.host.count)
    fail("INVALID_SHAPE", std::string(name) + " holds " + std::to_string(operand.host.count) +
                              " values, its shape is " + operand.view.describe());
  return operand;
}

/// Index operands are checked against what they index: ops trust them.
void checkIndices(const OpRun& run) {
  const OpSignature& signature = signatureOf(run.call.op);
  for (int i = 0; i < run.call.numInputs; i++) {
    const OperandSpec& spec = signature.input(i);
    const Operand& operand = run.operands[static_cast<size_t>(i)];
    if (spec.kind != OperandSpec::Kind::index || !operand.view.present()) continue;
    if (operand.parameter) fail("INVALID_ARGUMENT", "index operands must be Int32Arrays");
    if (spec.rule == OperandSpec::Rule::none) continue;
    const int at = spec.boundOperand;
    const Tensor& bounding =
        at < signature.numInputs ? run.call.inputs[at] : run.call.outputs[at - signature.numInputs];
    const int64_t bound = bounding.dim[static_cast<size_t>(spec.boundAxis)];
    const std::span values(reinterpret_cast<const int32_t*>(operand.host.bytes.data()),
                           static_cast<size_t>(operand.host.count));
    const int64_t wrong = IndexRule::of(run.call.op, spec, run.attributes).firstWrong(values, bound);
    if (wrong < 0) continue;
    const std::string name(spec.name);
    if (spec.rule == OperandSpec::Rule::rising)
      fail("INVALID_ARGUMENT", name + " must start at 0, rise strictly and end at the number of tokens");
    if (spec.rule == OperandSpec::Rule::ascending)
      fail("INVALID_ARGUMENT", name + " must never fall and lie between 0 and the " + std::to_string(bound) + " rows");
    fail("INVALID_ARGUMENT", name + "[" + std::to_string(wrong) + "] is " +
                                 std::to_string(values[static_cast<size_t>(wrong)]) + ", expected 0.." +
                                 std::to_string(bound - 1));
  }
}

/// The type that the op computes in: that of its floating operands, double where it always is left
/// out.
bool computesInDouble(const OpCall& call) {
  const OpSignature& signature = signatureOf(call.op);
  const auto isDouble = [](const OperandSpec& spec, const Tensor& t) {
    return t.present() && t.dtype == DType::f64 && spec.kind == OperandSpec::Kind::floating;
  };
  bool found = false;
  for (int i = 0; i < call.numInputs; i++) found = found || isDouble(signature.input(i), call.inputs[i]);
  for (int i = 0; i < call.numOutputs; i++) found = found || isDouble(signature.output(i), call.outputs[i]);
  return found;
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

std::shared_ptr<OpRun> opRunOf(Backend& backend, const Napi::Value& op, const Napi::Value& inputValues,
                               const Napi::Value& outputValues, const Napi::Value& attributes,
                               const Napi::Value& step) {
  auto run = std::make_shared<OpRun>();
  run->backend = &backend;
  run->call.op = opByName(stringOf(op, "op"));
  const std::vector<Napi::Value> inputs = listOf(inputValues, "inputs", kMaxInputs),
                                 outputs = listOf(outputValues, "outputs", kMaxOutputs);
  run->attributes = attributesOf(attributes);
  run->call.attributes = &run->attributes;
  run->call.step = stepOf(step);
  run->call.numInputs = static_cast<int>(inputs.size());
  run->call.numOutputs = static_cast<int>(outputs.size());
  for (int i = 0; i < run->call.numInputs + run->call.numOutputs; i++) {
    const bool input = i < run->call.numInputs;
    const auto at = static_cast<size_t>(input ? i : i - run->call.numInputs);
    Napi::Value array;
    run->operands.push_back(
        operandOf(input ? inputs[at] : outputs[at], *run->backend, input ? "input" : "output", array));
    const Tensor& view = run->operands.back().view;
    (input ? run->call.inputs[i] : run->call.outputs[i - run->call.numInputs]) = view;
    run->arrays.push_back(!input && !array.IsEmpty() ? Napi::Persistent(array.As<Napi::Object>())
                                                     : Napi::ObjectReference());
  }
  validate(run->call);
  checkIndices(*run);
  const DType compute = computesInDouble(run->call) ? DType::f64 : DType::f32;
  run->function = run->backend->require(run->call.op, compute, run->attributes);
  return run;
}

}  // namespace fl::addon
