// The generator behind every dropout mask (runtime/philox.h), against the published test vectors.
// The vectorized copies are held against it in row_kernel_tests.cc.
#include <set>

#include "test/cases.h"
#include "test/tests.h"

namespace fl::test {
namespace {

// Random123 1.14, kat_vectors, philox4x32 with 10 rounds.
void knownAnswers() {
  struct Vector {
    uint32_t counter[4], key[2], result[4];
  };
  const Vector vectors[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const Vector& v : vectors) {
    const Philox4 got = philox(v.counter[0], v.counter[1], v.counter[2], v.counter[3], v.key[0], v.key[1]);
    for (int i = 0; i < 4; i++)
      check(got.word[i] == v.result[i], "word " + std::to_string(i) + " is " + std::to_string(got.word[i]) +
                                            ", expected " + std::to_string(v.result[i]));
  }
}

void maskKey() {
  const MaskKey key{0x0123456789ABCDEFu, 5, 9};
  const Philox4 direct = philox(77, 3, 5, 9, 0x89ABCDEFu, 0x01234567u);
  for (uint32_t i = 0; i < 4; i++)
    check(key.word(77, 12 + i) == direct.word[i], "counter = (token, feature / 4, site, forward number), key = seed");
  std::set<uint32_t> words;
  for (const MaskKey& other : {key, MaskKey{0x0123456789ABCDEEu, 5, 9}, MaskKey{0x1123456789ABCDEFu, 5, 9},
                               MaskKey{0x0123456789ABCDEFu, 6, 9}, MaskKey{0x0123456789ABCDEFu, 5, 10}})
    words.insert({other.word(0, 0), other.word(1, 0), other.word(0, 1), other.word(0, 4)});
  check(words.size() == 20, "a mask depends on both halves of the seed, on site, forward number, token and feature");
}

void thresholds() {
  check(dropThreshold(0) == 0, "p = 0 drops nothing");
  check(dropThreshold(0.5) == 0x80000000u, "p = 0.5 drops the lower half of the words");
  check(dropThreshold(0.999999999999) == 0xFFFFFFFFu, "p just below 1 does not wrap around");
}

void keepRate() {
  for (const double p : {0.1, 0.5, 0.9}) {
    Random random(1);
    Case c = dropoutCase(random, 500, 200, p, false);
    c.in("x").values.assign(500 * 200, 1.0);
    double kept = 0;
    const Outcome outcome = truth(c);
    for (double v : outcome[0]) {
      check(v == 0 || v == 1 / (1 - p), "a kept 1 becomes " + text(v));
      kept += v != 0;
    }
    // Five standard deviations.
    check(std::fabs(kept / 1e5 - (1 - p)) < 5 * std::sqrt(p * (1 - p) / 1e5), "kept " + text(kept / 1e5));
  }
}

}  // namespace

void addPhiloxTests(Suite& suite) {
  suite.add("philox/knownAnswers", knownAnswers);
  suite.add("philox/maskKey", maskKey);
  suite.add("philox/thresholds", thresholds);
  suite.add("philox/keepRate", keepRate);
}

}  // namespace fl::test
