// Numbers, names, lists, attributes and typed arrays from JavaScript, copied or refused.
// What they are for is said where they are declared: addon/arguments.h.
#include "addon/arguments.h"

#include <cmath>
#include <cstring>

namespace fl::addon {

Napi::Error toJavaScript(Napi::Env env, const Error& error) {
  Napi::Error e = Napi::Error::New(env, error.what());
  e.Set("code", Napi::String::New(env, error.code()));
  return e;
}

namespace {

[[noreturn]] void wrong(const char* name, const char* expected) {
  fail("INVALID_ARGUMENT", std::string(name) + " must be " + expected);
}

}  // namespace

std::string stringOf(const Napi::Value& value, const char* name) {
  if (!value.IsString()) wrong(name, "a string");
  return value.As<Napi::String>().Utf8Value();
}

double numberOf(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) wrong(name, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

int64_t integerOf(const Napi::Value& value, const char* name, int64_t low, int64_t high) {
  const double number = numberOf(value, name);
  if (!(number >= static_cast<double>(low) && number <= static_cast<double>(high)) || number != std::floor(number))
    fail("INVALID_ARGUMENT",
         std::string(name) + " must be a whole number from " + std::to_string(low) + " to " + std::to_string(high));
  return static_cast<int64_t>(number);
}

Napi::Object objectOf(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) wrong(name, "an object");
  return value.As<Napi::Object>();
}

std::vector<Napi::Value> listOf(const Napi::Value& value, const char* name, uint32_t most) {
  if (!value.IsArray()) wrong(name, "an array");
  const auto array = value.As<Napi::Array>();
  const uint32_t length = array.Length();
  if (length > most)
    fail("INVALID_ARGUMENT",
         std::string(name) + " has " + std::to_string(length) + " entries, expected at most " + std::to_string(most));
  std::vector<Napi::Value> list;
  for (uint32_t i = 0; i < length; i++) list.push_back(array.Get(i));
  return list;
}

Shape shapeOf(const Napi::Value& value, const char* name, int64_t low) {
  constexpr uint32_t kTooMany = Tensor::kMaxRank + 1;
  const std::vector<Napi::Value> list = listOf(value, name, kTooMany);
  if (list.empty() || list.size() == kTooMany)
    fail("INVALID_SHAPE", std::string(name) + " must have 1 or 2 dimensions");
  Tensor shape;
  shape.rank = static_cast<int>(list.size());
  for (size_t i = 0; i < list.size(); i++)
    shape.dim[i] = integerOf(list[i], (std::string(name) + ": a dimension").c_str(), low, kMaxElements);
  shape.requireCountable(name);
  return {shape.rank, shape.dim};
}

std::vector<int> indicesOf(const Napi::Value& value, const char* name) {
  std::vector<int> indices;
  for (const Napi::Value& entry : listOf(value, name))
    indices.push_back(static_cast<int>(integerOf(entry, name, -1, INT32_MAX)));
  return indices;
}

Attributes attributesOf(const Napi::Value& value) {
  const Napi::Object object = objectOf(value, "attributes");
  Attributes attributes;
  for (const Napi::Value& key : listOf(object.GetPropertyNames(), "attributes", 64)) {
    const std::string name = stringOf(key, "the name of an attribute");
    const Napi::Value entry = object.Get(name);
    if (entry.IsString())
      attributes.set(name, entry.As<Napi::String>().Utf8Value());
    else
      attributes.set(name, numberOf(entry, name.c_str()));
  }
  return attributes;
}

StepState stepOf(const Napi::Value& value) {
  const Napi::Object object = objectOf(value, "step");
  StepState step;
  const Napi::Value seed = object.Get("seed");
  bool lossless = true;
  if (!seed.IsBigInt()) wrong("step.seed", "a bigint");
  step.seed = seed.As<Napi::BigInt>().Uint64Value(&lossless);
  step.forwardNumber =
      static_cast<uint32_t>(integerOf(object.Get("forwardNumber"), "step.forwardNumber", 0, UINT32_MAX));
  step.lossScale = numberOf(object.Get("lossScale"), "step.lossScale");
  return step;
}

DType computeOf(const Napi::Value& value) {
  const std::string name = stringOf(value, "compute");
  if (name == "f32") return DType::f32;
  if (name == "f64") return DType::f64;
  fail("INVALID_ARGUMENT", "compute must be 'f32' or 'f64', not '" + name + "'");
}

namespace {

DType dtypeOfArray(napi_typedarray_type type, const char* name) {
  switch (type) {
    case napi_float32_array:
      return DType::f32;
    case napi_float64_array:
      return DType::f64;
    case napi_int32_array:
      return DType::i32;
    default:
      wrong(name, "a Float32Array, Float64Array or Int32Array");
  }
}

}  // namespace

TypedView typedViewOf(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray()) wrong(name, "a Float32Array, Float64Array or Int32Array");
  // One call for all: a resizable buffer may have another length at the next.
  napi_typedarray_type type{};
  size_t count = 0;
  void* memory = nullptr;
  const napi_status status = napi_get_typedarray_info(value.Env(), value, &type, &count, &memory, nullptr, nullptr);
  if (status != napi_ok) wrong(name, "a typed array whose buffer is there");
  const DType dtype = dtypeOfArray(type, name);
  if (memory == nullptr) count = 0;
  return {dtype, static_cast<int64_t>(count), memory};
}

TypedData typedDataOf(const Napi::Value& value, const char* name) {
  const TypedView view = typedViewOf(value, name);
  TypedData data{view.dtype, {}, view.count};
  data.bytes.resize(static_cast<size_t>(view.count * sizeOf(view.dtype)));
  if (!data.bytes.empty()) std::memcpy(data.bytes.data(), view.memory, data.bytes.size());
  return data;
}

void* typedMemory(const Napi::Value& value, const char* name, DType dtype, int64_t count) {
  const TypedView view = typedViewOf(value, name);
  if (view.dtype != dtype || view.count != count)
    fail("INVALID_SHAPE", std::string(name) + " must hold " + std::to_string(count) + " values of type " +
                              nameOf(dtype) + ", not " + std::to_string(view.count) + " of " + nameOf(view.dtype));
  return view.memory;
}

}  // namespace fl::addon
