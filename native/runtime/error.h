// The one exception type of the native code. `code` is an ErrorCode of src/base/errors.ts; the
// addon turns it into FusedLoraError.
#pragma once

#include <exception>
#include <new>
#include <stdexcept>
#include <string>

namespace fl {

class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message) : std::runtime_error(message), code_(std::move(code)) {}
  const std::string& code() const { return code_; }

 private:
  std::string code_;
};

/// In a handler: what is being handled, std::exception of any kind, as the one type.
inline Error currentError() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return Error("OUT_OF_MEMORY", "not enough memory");
  } catch (const std::exception& error) {
    return Error("INTERNAL", error.what());
  }
}

[[noreturn]] inline void fail(const char* code, const std::string& message) { throw Error(code, message); }

}  // namespace fl
