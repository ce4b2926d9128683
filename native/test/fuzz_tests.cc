// The stored inputs of the fuzzers (native/fuzz/corpus), run again: a target ends the process where
// it finds a fault. What a target does with bytes: fuzz/call_op.cc, fuzz/run_program.cc.
#include "test/fuzz_tests.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "fuzz/targets.h"
#include "test/random.h"

namespace fl::test {
namespace {

using Target = void (*)(const uint8_t*, size_t);

void replay(const std::string& folder, Target target) {
  int files = 0;
  const std::filesystem::path stored = std::filesystem::path(FL_FUZZ_CORPUS) / folder;
  for (const auto& entry : std::filesystem::directory_iterator(stored)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    target(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    files++;
  }
  check(files > 0, stored.string() + " has no files");
}

/// The same without a fuzzer: bytes by chance, as many as take a second.
void bytesByChance(Target target, uint64_t seed, int inputs) {
  Random random(seed);
  for (int i = 0; i < inputs; i++) {
    std::string bytes(static_cast<size_t>(random.below(160)), 0);
    for (char& byte : bytes) byte = static_cast<char>(random.below(256));
    target(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  }
}

}  // namespace

void addFuzzTests(Suite& suite) {
  suite.add("fuzz/corpus/ops", [] { replay("ops", fuzz::callOp); });
  suite.add("fuzz/corpus/programs", [] { replay("programs", fuzz::runProgram); });
  suite.add("fuzz/chance/ops", [] { bytesByChance(fuzz::callOp, 901, 3000); });
  suite.add("fuzz/chance/programs", [] { bytesByChance(fuzz::runProgram, 902, 1000); });
}

}  // namespace fl::test
