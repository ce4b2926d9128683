// dlopen, and what tells one machine of a cluster from another. Windows has no MPI that is
// supported here, so it says so. The promises: platform/library.h.
#include "platform/library.h"

#include <stdexcept>

#include "platform/threads.h"

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#include <unistd.h>
#endif

namespace fl::platform {

#if defined(_WIN32)

SharedLibrary::SharedLibrary(const std::string& file) : handle_(nullptr) {
  throw std::runtime_error(file + ": not on Windows");
}
void* SharedLibrary::find(const char*) const { return handle_; }
std::string hostName() {
  char name[MAX_COMPUTERNAME_LENGTH + 1];
  DWORD size = sizeof name;
  return GetComputerNameA(name, &size) ? std::string(name, size) : std::string();
}

#else

SharedLibrary::SharedLibrary(const std::string& file) : handle_(dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL)) {
  if (handle_) return;
  const char* why = dlerror();
  throw std::runtime_error(why ? why : file + ": it can not be opened");
}

void* SharedLibrary::find(const char* symbol) const { return dlsym(handle_, symbol); }

std::string hostName() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? std::string(name) : std::string();
}

#endif

std::string usableCpuList() {
  CpuSet cpus;
  std::string list;
  if (!ownCpus(cpus)) return list;
  for (int cpu = 0; cpu < CpuSet::kMost; cpu++) {
    if ((cpus.words[cpu / 64] >> cpu % 64 & 1) == 0) continue;
    if (!list.empty()) list += ',';
    list += std::to_string(cpu);
  }
  return list;
}

}  // namespace fl::platform
