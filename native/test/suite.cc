// Runs named tests and counts failed checks; its last line is `N passed, N failed`.
// Options come from main.cc.
#include "test/tests.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>

#include "runtime/error.h"

namespace fl::test {
namespace {

constexpr int kPrintedFailures = 8;
/// A test may check on several threads.
std::atomic<int> failuresOfTest{0};

struct Skipped {
  std::string reason;
};

}  // namespace

void check(bool ok, const std::string& message) {
  if (ok) return;
  if (failuresOfTest++ < kPrintedFailures) std::printf("    %s\n", message.c_str());
}

void skip(const std::string& reason) { throw Skipped{reason}; }

std::string text(double value) {
  char buffer[40];
  std::snprintf(buffer, sizeof buffer, "%.9g", value);
  return buffer;
}

std::vector<void (*)(Suite&)>& deviceTests() {
  static auto& all = *new std::vector<void (*)(Suite&)>;
  return all;
}

bool Suite::selected(const std::string& name) const {
  for (const std::string& filter : options_.filters)
    if (name.find(filter) != std::string::npos) return true;
  return options_.filters.empty();
}

int Suite::run() const {
  int passed = 0, failed = 0, skipped = 0;
  for (const Test& test : tests_) {
    if (!selected(test.name)) continue;
    if (options_.list) {
      std::printf("%s\n", test.name.c_str());
      continue;
    }
    failuresOfTest = 0;
    const auto start = std::chrono::steady_clock::now();
    try {
      test.body();
    } catch (const Skipped& s) {
      std::printf("skipped %s: %s\n", test.name.c_str(), s.reason.c_str());
      skipped++;
      continue;
    } catch (const Error& e) {
      check(false, e.code() + ": " + e.what());
    } catch (const std::exception& e) {
      check(false, e.what());
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (failuresOfTest == 0) {
      passed++;
      if (options_.verbose) std::printf("ok %s (%.2f s)\n", test.name.c_str(), seconds.count());
    } else {
      failed++;
      std::printf("FAILED %s: %d failing checks\n", test.name.c_str(), failuresOfTest.load());
    }
    std::fflush(stdout);
  }
  if (options_.list) return 0;
  if (skipped > 0) std::printf("%d skipped, each with its reason above\n", skipped);
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed > 0 || passed + skipped == 0 ? 1 : 0;
}

}  // namespace fl::test
