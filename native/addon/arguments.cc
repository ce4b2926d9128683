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

Napi::Array arrayOf(const Napi::Value& value, const char* name) {
  if (!value.IsArray()) wrong(name, "an array");
  return value.As<Napi::Array>();
}

std::vector<int> indicesOf(const Napi::Value& value, const char* name) {
  const Napi::Array array = arrayOf(value, name);
  std::vector<int> indices(array.Length());
  for (uint32_t i = 0; i < array.Length(); i++)
    indices[i] = static_cast<int>(integerOf(array.Get(i), name, -1, INT32_MAX));
  return indices;
}

Attributes attributesOf(const Napi::Value& value) {
  const Napi::Object object = objectOf(value, "attributes");
  const Napi::Array names = object.GetPropertyNames();
  Attributes attributes;
  for (uint32_t i = 0; i < names.Length(); i++) {
    const std::string name = names.Get(i).ToString().Utf8Value();
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

DType dtypeOfArray(const Napi::TypedArray& array, const char* name) {
  switch (array.TypedArrayType()) {
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

char* memoryOf(const Napi::TypedArray& array) {
  return static_cast<char*>(array.ArrayBuffer().Data()) + array.ByteOffset();
}

}  // namespace

TypedData typedDataOf(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray()) wrong(name, "a Float32Array, Float64Array or Int32Array");
  const auto array = value.As<Napi::TypedArray>();
  TypedData data{dtypeOfArray(array, name), {}, static_cast<int64_t>(array.ElementLength())};
  data.bytes.resize(array.ByteLength());
  if (!data.bytes.empty()) std::memcpy(data.bytes.data(), memoryOf(array), data.bytes.size());
  return data;
}

void* typedMemory(const Napi::Value& value, const char* name, DType dtype, int64_t count) {
  if (!value.IsTypedArray()) wrong(name, "a typed array");
  const auto array = value.As<Napi::TypedArray>();
  if (dtypeOfArray(array, name) != dtype || static_cast<int64_t>(array.ElementLength()) != count)
    fail("INVALID_SHAPE", std::string(name) + " must hold " + std::to_string(count) + " values of type " +
                              nameOf(dtype) + ", not " + std::to_string(array.ElementLength()) + " of " +
                              nameOf(dtypeOfArray(array, name)));
  return memoryOf(array);
}

}  // namespace fl::addon
