// What platform/ says of this machine against what the system says of it, and its threads and
// memory. How the thread pool uses them: thread_pool_tests.cc.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "cpu/simd/isa.h"
#include "platform/memory.h"
#include "platform/processor.h"
#include "platform/threads.h"
#include "test/tests.h"

namespace fl::test {
namespace {

/// The words of the first line of that name; none where there is no such line.
std::vector<std::string> cpuinfo(const std::string& name) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(name, 0) != 0) continue;
    std::istringstream rest(line.substr(line.find(':') + 1));
    std::vector<std::string> words;
    for (std::string word; rest >> word;) words.push_back(word);
    return words;
  }
  return {};
}

/// Linux lists an instruction set when it also saves its registers.
void featuresAreTheSystems() {
  const std::vector<std::string> flags = cpuinfo("flags");
  if (flags.empty()) skip("no flags in /proc/cpuinfo");
  const platform::ProcessorFeatures found = platform::processorFeatures();
  const auto compare = [&](const char* flag, bool ours) {
    const bool there = std::find(flags.begin(), flags.end(), flag) != flags.end();
    check(ours == there,
          std::string(flag) + ": found " + (ours ? "yes" : "no") + ", the system says " + (there ? "yes" : "no"));
  };
  compare("avx2", found.avx2);
  compare("fma", found.fma);
  compare("avx512f", found.avx512f);
  compare("avx512bw", found.avx512bw);
  compare("avx512vl", found.avx512vl);
  compare("avx512dq", found.avx512dq);
  compare("avx_vnni", found.avxvnni);
  compare("avx512_vnni", found.avx512vnni);
  compare("avx512_bf16", found.avx512bf16);
  compare("amx_tile", found.amxtile);
  compare("amx_bf16", found.amxbf16);
  compare("amx_int8", found.amxint8);
  if (found.avx2 && found.fma) check(bestIsa() >= Isa::avx2, "a CPU with AVX2 and FMA runs the portable path");
}

void cacheIsTheSystems() {
  std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index2/size");
  int64_t kilobytes = 0;
  if (!(file >> kilobytes)) skip("the system does not tell the size of the second-level cache");
  check(platform::cacheL2() == kilobytes * 1024, "the second-level cache has " + std::to_string(platform::cacheL2()) +
                                                     " bytes, the system says " + std::to_string(kilobytes) + "K");
}

void memoryIsAligned() {
  for (const size_t bytes : {64, 128, 4096 + 64, 1 << 20}) {
    void* memory = platform::alignedAllocate(bytes);
    check(memory != nullptr && reinterpret_cast<uintptr_t>(memory) % 64 == 0, std::to_string(bytes) + " bytes");
    platform::alignedFree(memory);
  }
  platform::alignedFree(nullptr);
}

/// Most of the promised stack, every page of it.
__attribute__((noinline)) int useStack() {
  volatile char space[platform::kStackBytes * 3 / 4];
  int sum = 0;
  for (size_t i = 0; i < sizeof space; i += 4096) {
    space[i] = 1;
    sum += space[i];
  }
  return sum;
}

void threadsHaveTheirStack() {
  std::atomic<int> pages{0};
  {
    std::vector<platform::Thread> threads;
    for (int i = 0; i < 3; i++) threads.emplace_back([&] { pages += useStack(); });
  }
  check(pages == 3 * static_cast<int>(platform::kStackBytes * 3 / 4 / 4096), "a thread did not end its work");
}

void cpusOfAThread() {
  platform::CpuSet own;
  if (!platform::ownCpus(own)) skip("the system does not tell on which CPUs a thread may run");
  check(platform::usableCpus() == own.count() && own.count() > 0, "CPUs that the process may use");
  std::atomic<bool> end{false};
  platform::Thread thread([&] {
    while (!end) std::this_thread::yield();
  });
  platform::CpuSet theirs;
  check(thread.cpus(theirs) && theirs.count() == own.count(), "a new thread may run where its maker may");
  const int cpu = platform::currentCpu();
  check(cpu >= 0, "which CPU runs this thread");
  theirs.remove(cpu);
  if (theirs.count() > 0) {
    platform::CpuSet after;
    check(thread.setCpus(theirs) && thread.cpus(after) && after.count() == own.count() - 1, "kept off one CPU");
  }
  end = true;
}

}  // namespace

void addPlatformTests(Suite& suite) {
  suite.add("platform/features", featuresAreTheSystems);
  suite.add("platform/cache", cacheIsTheSystems);
  suite.add("platform/memory", memoryIsAligned);
  suite.add("platform/stack", threadsHaveTheirStack);
  suite.add("platform/cpus", cpusOfAThread);
}

}  // namespace fl::test
