// fused_lora_test [name ...] [--backend NAME ...] [--small] [--list] [--isas] [--verbose]: runs the
// tests whose name contains one of the given words. --backend restricts which backends are held
// against the reference (reference, cpu, cuda); --small compares them on a few small cases of each
// op; --isas lists the instruction sets of this CPU, of which the environment variable
// FUSED_LORA_CPU_ISA chooses one. The runner is suite.cc.
#include <cstdio>
#include <cstring>

#include "cpu/simd/isa.h"
#include "test/fuzz_tests.h"
#include "test/tests.h"

int main(int argc, char** argv) {
  fl::test::Options options;
  std::vector<std::string> backends;
  for (int i = 1; i < argc; i++) {
    if (std::strcmp(argv[i], "--list") == 0) {
      options.list = true;
    } else if (std::strcmp(argv[i], "--isas") == 0) {
      for (const fl::Isa isa : fl::kAllIsas)
        if (fl::canRun(isa)) std::printf("%s\n", std::string(fl::nameOf(isa)).c_str());
      return 0;
    } else if (std::strcmp(argv[i], "--verbose") == 0) {
      options.verbose = true;
    } else if (std::strcmp(argv[i], "--small") == 0) {
      options.small = true;
    } else if (std::strcmp(argv[i], "--backend") == 0 && i + 1 < argc) {
      backends.push_back(argv[++i]);
    } else if (argv[i][0] == '-') {
      std::fprintf(stderr,
                   "usage: fused_lora_test [name ...] [--backend NAME ...] [--small] [--list] [--isas] [--verbose]\n");
      return 2;
    } else {
      options.filters.push_back(argv[i]);
    }
  }
  if (!backends.empty()) options.backends = backends;

  fl::test::Suite suite(options);
  fl::test::addCoverageTests(suite);
  fl::test::addPhiloxTests(suite);
  fl::test::addContractTests(suite);
  fl::test::addValueTests(suite);
  fl::test::addGradientTests(suite);
  fl::test::addRuntimeTests(suite);
  fl::test::addProgramTests(suite);
  fl::test::addSideBySideTests(suite);
  fl::test::addGradientSumTests(suite);
  fl::test::addDividedStepTests(suite);
  fl::test::addRecordedStepTests(suite);
  fl::test::addPrefetchTests(suite);
  fl::test::addAmxTests(suite);
  fl::test::addRowKernelTests(suite);
  fl::test::addExactTests(suite);
  fl::test::addInt8Tests(suite);
  fl::test::addNf4Tests(suite);
  fl::test::addOptimizerUpdateTests(suite);
  fl::test::addCudaLaunchTests(suite);
  fl::test::addCudaRoundingTests(suite);
  fl::test::addCudaSelectionTests(suite);
  fl::test::addCudaBucketTests(suite);
  fl::test::addCudaTileBf16Tests(suite);
  fl::test::addCudaAttentionTests(suite);
  fl::test::addCompareTests(suite);
  fl::test::addProductTests(suite);
  fl::test::addSegmentedLoraTests(suite);
  fl::test::addLinearGroupTests(suite);
  fl::test::addThreadPoolTests(suite);
  fl::test::addTransportTests(suite);
  fl::test::addPlatformTests(suite);
  fl::test::addHopperSelectionTests(suite);
  fl::test::addFuzzTests(suite);
  for (const auto add : fl::test::deviceTests()) add(suite);
  return suite.run();
}
