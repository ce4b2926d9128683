// POSIX threads, or Windows's; which CPUs a thread may run on is Linux's alone.
// The promises: platform/threads.h.
#include "platform/threads.h"

#include <bit>
#include <cerrno>
#include <memory>
#include <system_error>
#include <thread>

#if defined(_WIN32)
#include <process.h>
#include <windows.h>
#else
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

namespace fl::platform {
namespace {

void runBody(void* argument) noexcept {
  const std::unique_ptr<std::function<void()>> body(static_cast<std::function<void()>*>(argument));
  (*body)();
}

#if defined(_WIN32)

unsigned __stdcall begin(void* argument) {
  runBody(argument);
  return 0;
}

uintptr_t start(void* argument) {
  const uintptr_t handle =
      _beginthreadex(nullptr, kStackBytes, begin, argument, STACK_SIZE_PARAM_IS_A_RESERVATION, nullptr);
  if (handle == 0) throw std::system_error(errno, std::generic_category(), "_beginthreadex");
  return handle;
}

void waitFor(uintptr_t handle) {
  WaitForSingleObject(reinterpret_cast<HANDLE>(handle), INFINITE);
  CloseHandle(reinterpret_cast<HANDLE>(handle));
}

#else

// pthread_t is a number in some C libraries and a pointer in others.
static_assert(sizeof(pthread_t) == sizeof(uintptr_t));

extern "C" void* beginThread(void* argument) {
  runBody(argument);
  return nullptr;
}

uintptr_t start(void* argument) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_t thread;
  const int error = pthread_create(&thread, &attributes, beginThread, argument);
  pthread_attr_destroy(&attributes);
  if (error != 0) throw std::system_error(error, std::generic_category(), "pthread_create");
  return std::bit_cast<uintptr_t>(thread);
}

void waitFor(uintptr_t handle) { pthread_join(std::bit_cast<pthread_t>(handle), nullptr); }

#endif

}  // namespace

int CpuSet::count() const {
  int sum = 0;
  for (const uint64_t word : words) sum += std::popcount(word);
  return sum;
}

Thread::Thread(std::function<void()> body) {
  auto owned = std::make_unique<std::function<void()>>(std::move(body));
  handle_ = start(owned.get());
  owned.release();
}

void Thread::join() {
  if (joinable_) waitFor(handle_);
  joinable_ = false;
}

#if defined(__linux__)

static_assert(sizeof(CpuSet) == sizeof(cpu_set_t) && CpuSet::kMost == CPU_SETSIZE);

bool Thread::cpus(CpuSet& out) const {
  return pthread_getaffinity_np(std::bit_cast<pthread_t>(handle_), sizeof out, reinterpret_cast<cpu_set_t*>(&out)) == 0;
}

bool Thread::setCpus(const CpuSet& set) const {
  const auto* cpus = reinterpret_cast<const cpu_set_t*>(&set);
  return pthread_setaffinity_np(std::bit_cast<pthread_t>(handle_), sizeof set, cpus) == 0;
}

bool ownCpus(CpuSet& out) { return sched_getaffinity(0, sizeof out, reinterpret_cast<cpu_set_t*>(&out)) == 0; }

void setOwnCpus(const CpuSet& set) { sched_setaffinity(0, sizeof set, reinterpret_cast<const cpu_set_t*>(&set)); }

int currentCpu() { return sched_getcpu(); }

#else

bool Thread::cpus(CpuSet&) const { return false; }
bool Thread::setCpus(const CpuSet&) const { return false; }
bool ownCpus(CpuSet&) { return false; }
void setOwnCpus(const CpuSet&) {}
int currentCpu() { return -1; }

#endif

int usableCpus() {
  // Of this process, not of the machine: in a container with one CPU of many, a second thread would
  // only stand in the way.
  CpuSet own;
  if (ownCpus(own) && own.count() > 0) return own.count();
  const unsigned all = std::thread::hardware_concurrency();
  return all == 0 ? 1 : static_cast<int>(all);
}

}  // namespace fl::platform
