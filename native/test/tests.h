// The groups of tests, one file each; main.cc adds them all, those of test/device where their code
// is linked in. The runner is suite.h.
#pragma once

#include <vector>

#include "test/suite.h"

namespace fl::test {

void addAmxTests(Suite& suite);
void addGradientTests(Suite& suite);
void addGradientSumTests(Suite& suite);
void addDividedStepTests(Suite& suite);
void addValueTests(Suite& suite);
void addCompareTests(Suite& suite);
void addExactTests(Suite& suite);
void addPhiloxTests(Suite& suite);
void addContractTests(Suite& suite);
void addCoverageTests(Suite& suite);
void addCudaBucketTests(Suite& suite);
void addCudaAttentionTests(Suite& suite);
void addCudaLaunchTests(Suite& suite);
void addCudaRoundingTests(Suite& suite);
void addCudaSelectionTests(Suite& suite);
void addCudaTileBf16Tests(Suite& suite);
void addHopperSelectionTests(Suite& suite);
void addInt8Tests(Suite& suite);
void addLinearGroupTests(Suite& suite);
void addNf4Tests(Suite& suite);
void addOptimizerUpdateTests(Suite& suite);
void addPlatformTests(Suite& suite);
void addProductTests(Suite& suite);
void addSegmentedLoraTests(Suite& suite);
void addSideBySideTests(Suite& suite);
void addThreadPoolTests(Suite& suite);
void addTransportTests(Suite& suite);
void addPrefetchTests(Suite& suite);
void addRowKernelTests(Suite& suite);
void addRuntimeTests(Suite& suite);
void addProgramTests(Suite& suite);
void addRecordedStepTests(Suite& suite);

/// Of test/device: linked in where the code of native/cuda is.
std::vector<void (*)(Suite&)>& deviceTests();

}  // namespace fl::test
