// Runs a case on a backend with guards around every operand, and compares outcomes.
// The cases themselves come from cases.h.
#include "test/case.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "runtime/parameter.h"
#include "test/suite.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace fl::test {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// Before and after every operand lie this many bytes that read as NaN and must not change.
constexpr size_t kGuard = 64;

Operand operand(std::string name, Operand::Kind kind, std::initializer_list<int64_t> shape) {
  Operand o;
  o.name = std::move(name);
  o.kind = kind;
  o.rank = static_cast<int>(shape.size());
  size_t i = 0;
  for (int64_t d : shape) o.dim[i++] = d;
  return o;
}

Operand& byName(std::vector<Operand>& operands, const std::string& name) {
  for (Operand& o : operands)
    if (o.name == name) return o;
  fail("INTERNAL", "the test case has no operand " + name);
}

DType dtypeFor(const Operand& o, DType dtype) {
  if (o.kind == Operand::Kind::index) return DType::i32;
  return o.kind == Operand::Kind::alwaysDouble ? DType::f64 : dtype;
}

template <class T>
std::vector<char> bytesAs(const std::vector<double>& values) {
  std::vector<char> bytes(values.size() * sizeof(T));
  for (size_t i = 0; i < values.size(); i++) {
    const T value = static_cast<T>(values[i]);
    std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
  return bytes;
}

std::vector<char> toBytes(const std::vector<double>& values, DType dtype) {
  if (dtype == DType::i32) return bytesAs<int32_t>(values);
  return dtype == DType::f32 ? bytesAs<float>(values) : bytesAs<double>(values);
}

std::vector<double> toValues(const std::vector<char>& bytes, DType dtype) {
  std::vector<double> values(bytes.size() / static_cast<size_t>(sizeOf(dtype)));
  for (size_t i = 0; i < values.size(); i++) {
    if (dtype == DType::f32) {
      float value;
      std::memcpy(&value, bytes.data() + i * 4, 4);
      values[i] = value;
    } else {
      std::memcpy(&values[i], bytes.data() + i * 8, 8);
    }
  }
  return values;
}

// One operand's memory on the device, between two guards. Under AddressSanitizer the guards are
// poisoned as well, so that a read of them is reported where it happens.
class DeviceOperand {
 public:
  DeviceOperand(Backend& backend, const Operand& o, DType dtype)
      : memory_(backend.memory()), host_(&memory_ == &hostMemory()), name_(o.name) {
    tensor_.dtype = dtypeFor(o, dtype);
    tensor_.rank = o.rank;
    tensor_.dim = o.dim;
    if (!o.present()) return;
    initial_ = toBytes(o.values, tensor_.dtype);
    if (static_cast<int64_t>(initial_.size()) != tensor_.bytes())
      fail("INTERNAL", o.name + " has " + std::to_string(o.values.size()) + " values for " + tensor_.describe());
    base_ = static_cast<char*>(memory_.allocate(initial_.size() + 2 * kGuard));
    const std::vector<char> guard(kGuard, static_cast<char>(0xFF));
    memory_.upload(base_, guard.data(), kGuard);
    memory_.upload(base_ + kGuard, initial_.data(), initial_.size());
    memory_.upload(base_ + kGuard + initial_.size(), guard.data(), kGuard);
    tensor_.data = base_ + kGuard;
    poison(true);
  }
  DeviceOperand(const DeviceOperand&) = delete;
  ~DeviceOperand() {
    if (base_ == nullptr) return;
    poison(false);
    memory_.release(base_);
  }

  const Tensor& tensor() const { return tensor_; }

  std::vector<char> download(const std::string& title) {
    poison(false);
    std::vector<char> all(initial_.size() + 2 * kGuard);
    if (base_ != nullptr) memory_.download(all.data(), base_, all.size());
    bool intact = true;
    for (size_t i = 0; i < kGuard; i++)
      intact = intact && (base_ == nullptr || (all[i] == static_cast<char>(0xFF) &&
                                               all[kGuard + initial_.size() + i] == static_cast<char>(0xFF)));
    check(intact, title + ": wrote outside of " + name_);
    poison(true);
    return {all.begin() + kGuard, all.begin() + static_cast<int64_t>(kGuard + initial_.size())};
  }

  void checkUnchanged(const std::string& title) {
    check(base_ == nullptr || download(title) == initial_, title + ": changed its input " + name_);
  }

 private:
  void poison(bool on) {
#if defined(__SANITIZE_ADDRESS__)
    if (!host_ || base_ == nullptr) return;
    char* const after = base_ + kGuard + initial_.size();
    if (on) {
      ASAN_POISON_MEMORY_REGION(base_, kGuard);
      ASAN_POISON_MEMORY_REGION(after, kGuard);
    } else {
      ASAN_UNPOISON_MEMORY_REGION(base_, kGuard);
      ASAN_UNPOISON_MEMORY_REGION(after, kGuard);
    }
#else
    (void)on;
    (void)host_;
#endif
  }

  Memory& memory_;
  bool host_;
  std::string name_;
  Tensor tensor_;
  std::vector<char> initial_;
  char* base_ = nullptr;
};

bool isWeight(const Operand& o) { return o.name == "W" || o.name.rfind("table", 0) == 0; }

}  // namespace

Case& Case::input(std::string name, std::initializer_list<int64_t> shape, std::vector<double> values) {
  inputs.push_back(operand(std::move(name), Operand::Kind::floating, shape));
  inputs.back().values = std::move(values);
  return *this;
}

Case& Case::index(std::string name, std::vector<double> values) {
  inputs.push_back(operand(std::move(name), Operand::Kind::index, {static_cast<int64_t>(values.size())}));
  inputs.back().values = std::move(values);
  return *this;
}

Case& Case::absent(std::string name) {
  inputs.emplace_back();
  inputs.back().name = std::move(name);
  return *this;
}

Case& Case::output(std::string name, std::initializer_list<int64_t> shape, double magnitude) {
  outputs.push_back(operand(std::move(name), Operand::Kind::floating, shape));
  Operand& o = outputs.back();
  o.values.assign(static_cast<size_t>(o.dim[0] * o.dim[1]), kNaN);
  o.magnitude = magnitude;
  return *this;
}

Case& Case::accumulated(std::string name, std::initializer_list<int64_t> shape, std::vector<double> values) {
  outputs.push_back(operand(std::move(name), Operand::Kind::floating, shape));
  outputs.back().values = std::move(values);
  return *this;
}

Case& Case::absentOutput(std::string name) {
  outputs.emplace_back();
  outputs.back().name = std::move(name);
  return *this;
}

Operand& Case::in(const std::string& name) { return byName(inputs, name); }
Operand& Case::out(const std::string& name) { return byName(outputs, name); }

Backend& backendOrSkip(const std::string& name) {
  try {
    return backendByName(name);
  } catch (const Error& e) {
    if (e.code() == "DEVICE_UNAVAILABLE") skip(e.what());
    throw;
  }
}

const std::vector<double>& outputOf(const Case& c, const Outcome& outcome, const std::string& name) {
  return outcome[static_cast<size_t>(&c.out(name) - c.outputs.data())];
}

Outcome run(const Case& c, Backend& backend, DType dtype, bool weightsAsParameters) {
  const std::string title = std::string(backend.name()) + " " + nameOf(dtype) + ", " + c.title();
  const OpFunction function = backend.require(c.op, dtype, c.attributes);

  OpCall call;
  call.op = c.op;
  call.attributes = &c.attributes;
  call.optimizer = &c.optimizer;
  call.step = c.step;
  std::vector<std::unique_ptr<DeviceOperand>> inputs, outputs;
  std::vector<std::unique_ptr<Parameter>> parameters;
  for (const Operand& o : c.inputs) {
    inputs.push_back(std::make_unique<DeviceOperand>(backend, o, dtype));
    Tensor& t = call.inputs[static_cast<size_t>(call.numInputs++)];
    t = inputs.back()->tensor();
    if (!weightsAsParameters || !isWeight(o) || !o.present()) continue;
    parameters.push_back(std::make_unique<Parameter>(backend.memory(), o.name, dtype, o.rank, o.dim));
    parameters.back()->writeDouble(Parameter::Slot::value, o.values.data());
    t = parameters.back()->tensor(Parameter::Slot::value);
  }
  for (const Operand& o : c.outputs) {
    outputs.push_back(std::make_unique<DeviceOperand>(backend, o, dtype));
    call.outputs[static_cast<size_t>(call.numOutputs++)] = outputs.back()->tensor();
  }
  if (c.inPlaceInput >= 0) call.outputs[0] = call.inputs[static_cast<size_t>(c.inPlaceInput)];

  validate(call);
  for (int i = 0; i < call.numInputs; i++) {
    Tensor& t = call.inputs[static_cast<size_t>(i)];
    if (t.parameter == nullptr || !backend.prepare(call, i)) continue;
    t.parameter->release(Parameter::Slot::value);
    t.data = nullptr;
  }
  function(call);
  backend.synchronize();

  Outcome outcome;
  for (size_t i = 0; i < inputs.size(); i++)
    if (static_cast<int>(i) != c.inPlaceInput) inputs[i]->checkUnchanged(title);
  for (size_t i = 0; i < outputs.size(); i++) {
    const bool inPlace = i == 0 && c.inPlaceInput >= 0;
    DeviceOperand& from = inPlace ? *inputs[static_cast<size_t>(c.inPlaceInput)] : *outputs[i];
    outcome.push_back(toValues(from.download(title), from.tensor().dtype));
  }
  return outcome;
}

Outcome truth(const Case& c) { return run(c, referenceBackend(), DType::f64); }

void roundToFloat(Case& c) {
  for (std::vector<Operand>* operands : {&c.inputs, &c.outputs})
    for (Operand& o : *operands)
      if (o.kind == Operand::Kind::floating)
        for (double& v : o.values) v = static_cast<double>(static_cast<float>(v));
}

void checkClose(const Case& c, const std::string& who, const Outcome& got, const Outcome& want, double tolerance) {
  for (size_t i = 0; i < want.size(); i++) {
    double scale = c.outputs[i].magnitude, worst = 0;
    size_t at = 0;
    for (double v : want[i]) scale = std::fmax(scale, std::fabs(v));
    for (size_t j = 0; j < want[i].size(); j++) {
      const double error = std::fabs(got[i][j] - want[i][j]);
      if (error <= worst) continue;  // a NaN comes past this
      worst = error;
      at = j;
      if (std::isnan(error)) break;
    }
    check(worst <= tolerance * scale,
          who + ", " + c.title() + ": " + c.outputs[i].name + "[" + std::to_string(at) + "] is " +
              (want[i].empty() ? "" : text(got[i][at]) + ", expected " + text(want[i][at])) + "; error " + text(worst) +
              ", allowed " + text(tolerance * scale));
  }
}

void checkIdentical(const Case& c, const std::string& who, const Outcome& got, const Outcome& want) {
  for (size_t i = 0; i < want.size(); i++)
    for (size_t j = 0; j < want[i].size(); j++)
      if (std::memcmp(&got[i][j], &want[i][j], sizeof(double)) != 0) {
        check(false, who + ", " + c.title() + ": " + c.outputs[i].name + "[" + std::to_string(j) + "] is " +
                         text(got[i][j]) + " where " + text(want[i][j]) + " was expected, bit for bit");
        break;
      }
}

}  // namespace fl::test
