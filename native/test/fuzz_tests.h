// The fuzzers' targets as tests: stored bytes, and bytes by chance.
// Other groups of tests are declared in tests.h.
#pragma once

#include "test/suite.h"

namespace fl::test {

void addFuzzTests(Suite& suite);

}  // namespace fl::test
