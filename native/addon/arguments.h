// JavaScript values to native ones, and errors back. A wrong value is an Error that names the
// argument; src/native.ts makes it a FusedLoraError. Whole operands of an op: addon/op_run.h.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "addon/addon.h"
#include "ops/op.h"

namespace fl::addon {

/// Throws the JavaScript form of an exception: an Error with `code`, which src/native.ts turns into
/// FusedLoraError.
Napi::Error toJavaScript(Napi::Env env, const Error& error);

/// Calls `body`, turning fl::Error and every std::exception into a JavaScript exception.
template <class Body>
auto guarded(Napi::Env env, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception&) {
    throw toJavaScript(env, currentError());
  }
}

std::string stringOf(const Napi::Value& value, const char* name);
double numberOf(const Napi::Value& value, const char* name);
/// A whole number in [low, high].
int64_t integerOf(const Napi::Value& value, const char* name, int64_t low, int64_t high);
Napi::Object objectOf(const Napi::Value& value, const char* name);
/// The elements of an array, whose length is read once: a getter among them may change it.
std::vector<Napi::Value> listOf(const Napi::Value& value, const char* name, uint32_t most = 1 << 22);
/// One or two dimensions in [low, 2^40], of at most kMaxElements together; `name` is the tensor's.
struct Shape {
  int rank;
  std::array<int64_t, Tensor::kMaxRank> dim;
};
Shape shapeOf(const Napi::Value& value, const char* name, int64_t low);
std::vector<int> indicesOf(const Napi::Value& value, const char* name);
Attributes attributesOf(const Napi::Value& value);
StepState stepOf(const Napi::Value& value);
DType computeOf(const Napi::Value& value);

/// A typed array's elements, copied: JavaScript may change, shrink or detach its own while a step
/// runs. The count is that of the copy.
struct TypedData {
  DType dtype;
  std::vector<char> bytes;
  int64_t count;
};
TypedData typedDataOf(const Napi::Value& value, const char* name);
/// What a typed array is at this moment: for use before JavaScript runs again.
struct TypedView {
  DType dtype;
  int64_t count;
  void* memory;
};
TypedView typedViewOf(const Napi::Value& value, const char* name);
/// The memory of a typed array that must be of this dtype and count.
void* typedMemory(const Napi::Value& value, const char* name, DType dtype, int64_t count);

}  // namespace fl::addon
