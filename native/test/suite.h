// A small test runner: named tests, a name filter, checks that print what failed, tests that skip
// with a reason. Groups of tests are declared in tests.h.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace fl::test {

/// Records a failure of the running test when `ok` is false; the test goes on.
void check(bool ok, const std::string& message);

/// Ends the running test: it can not run here, and says why.
[[noreturn]] void skip(const std::string& reason);

/// Numbers with all their digits.
std::string text(double value);

struct Options {
  /// A test runs when its name contains one of these; all run when there are none.
  std::vector<std::string> filters;
  /// Backends held against the f64 reference.
  std::vector<std::string> backends{"reference", "cpu", "cuda"};
  bool list = false;
  bool verbose = false;
  /// A few small cases of each op: what a checker of memory accesses gets through in a minute.
  bool small = false;
};

class Suite {
 public:
  explicit Suite(Options options) : options_(std::move(options)) {}
  const Options& options() const { return options_; }

  void add(std::string name, std::function<void()> body) { tests_.push_back({std::move(name), std::move(body)}); }

  /// Runs (or lists) the tests; the last line printed is `N passed, N failed`. Returns the exit
  /// code.
  int run() const;

 private:
  struct Test {
    std::string name;
    std::function<void()> body;
  };
  bool selected(const std::string& name) const;

  Options options_;
  std::vector<Test> tests_;
};

}  // namespace fl::test
