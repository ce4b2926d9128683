// Shared libraries that are opened at run time, by file or by the name that the system looks up.
// Who opens one: distributed/mpi.cc.
#pragma once

#include <string>

namespace fl::platform {

/// An open library, for the life of the process: what it started may outlive every owner.
class SharedLibrary {
 public:
  /// Its symbols are seen by what it loads itself. Throws std::runtime_error with the system's
  /// words.
  explicit SharedLibrary(const std::string& file);
  /// Null where it has no such symbol.
  void* find(const char* symbol) const;

 private:
  void* handle_;
};

/// The name of this machine in its network; empty where the system does not tell.
std::string hostName();

/// Numbers of the CPUs that this process may run on, as `0,1,5`; empty where the system does not
/// tell.
std::string usableCpuList();

}  // namespace fl::platform
