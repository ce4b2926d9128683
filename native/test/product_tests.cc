// The CPU products beyond what the comparison of backends reaches: at several thread counts, packed
// or not, sums that span blocks of k, row counts that span super-blocks. scripts/run-tests.mjs runs
// them once for each instruction set.
#include "runtime/thread_pool.h"
#include "test/cases.h"
#include "test/tests.h"

namespace fl::test {
namespace {

constexpr OpKind kProducts[] = {OpKind::linear,
                                OpKind::linearBackwardInput,
                                OpKind::linearBackwardWeight,
                                OpKind::loraLinear,
                                OpKind::loraLinearBackward,
                                OpKind::segmentedLoraLinear,
                                OpKind::segmentedLoraLinearBackward};

/// Other thread counts until the end of the test.
class Threads {
 public:
  Threads() : threads_(ThreadPool::instance().threads()) {}
  ~Threads() { ThreadPool::instance().setThreads(threads_); }
  Threads(const Threads&) = delete;

 private:
  int threads_;
};

/// Close to the f64 reference, and the same bits at 1, 2 and 3 threads, packed or not.
void checkEverywhere(const Case& c) {
  const std::string who = "cpu";
  const Threads restored;
  ThreadPool& pool = ThreadPool::instance();
  pool.setThreads(1);
  const Outcome one = run(c, cpuBackend(), DType::f32);
  checkClose(c, who, one, truth(c), c.tolerance);
  for (const int threads : {2, 3}) {
    pool.setThreads(threads);
    checkIdentical(c, who + " at " + std::to_string(threads) + " threads", run(c, cpuBackend(), DType::f32), one);
  }
  checkIdentical(c, who + ", packed", run(c, cpuBackend(), DType::f32, true), one);
}

int64_t sizeOf(const Case& c) {
  int64_t size = 1;
  for (const Operand& o : c.inputs) size = std::max(size, static_cast<int64_t>(o.values.size()));
  return size;
}

/// What operands are multiplied in.
struct Form {
  Precision precision;
  BaseWeights weights = BaseWeights::fp32;

  std::string name() const { return std::string(weights == BaseWeights::fp32 ? nameOf(precision) : nameOf(weights)); }
  /// Weight gradients have no frozen weight.
  bool has(OpKind op) const { return weights == BaseWeights::fp32 || op != OpKind::linearBackwardWeight; }
  Case of(Case c) const {
    if (precision == Precision::bf16) return inBf16(std::move(c));
    if (weights != BaseWeights::fp32) c.attributes.set("baseWeights", std::string(nameOf(weights)));
    return c;
  }
};

void everyCase(OpKind op, Form form) {
  constexpr int64_t quickly = 100'000;
  for (Case& each : casesOf(op)) {
    if (sizeOf(each) > quickly) continue;
    Case c = form.of(std::move(each));
    roundToFloat(c);
    checkEverywhere(c);
  }
}

/// The op that gives dx of a linear case.
Case inputGradientOf(const Case& linear, Random& random) {
  const int64_t rows = linear.in("x").dim[0], in = linear.in("x").dim[1], out = linear.in("W").dim[0];
  Case c(OpKind::linearBackwardInput, linear.label);
  c.input("dy", {rows, out}, random.normals(rows * out)).input("W", {out, in}, linear.in("W").values);
  c.output("dx", {rows, in}, 1);
  return c;
}

Case weightGradientOf(const Case& linear, Random& random) {
  const int64_t rows = linear.in("x").dim[0], in = linear.in("x").dim[1], out = linear.in("W").dim[0];
  Case c(OpKind::linearBackwardWeight, linear.label);
  c.input("dy", {rows, out}, random.normals(rows * out)).input("x", {rows, in}, linear.in("x").values);
  c.accumulated("dW", {out, in}, random.normals(out * in));
  return c;
}

/// k beyond a block, more rows than one super-block of 4 MiB holds, and rows of codes so long that
/// a thread's jobs have one panel of 32 rows each, and there is no panel for the last.
void blocks(Form form) {
  Random random(31);
  struct Shape {
    int64_t rows, in, out;
  };
  for (const Shape& s : {Shape{17, 4097, 33}, Shape{5, 9001, 20}, Shape{530, 2500, 9}, Shape{2100, 40, 37},
                        Shape{150, 16500, 9}}) {
    std::vector<Case> cases;
    cases.push_back(linearCase(random, s.rows, s.in, s.out, {true, true, "gelu"}));
    cases.push_back(linearCase(random, s.rows, s.out, s.in, {}));
    cases.push_back(inputGradientOf(linearCase(random, s.rows, s.out, s.in, {}), random));
    cases.push_back(weightGradientOf(cases[0], random));
    cases.push_back(loraLinearCase(random, s.rows, s.in, s.out, {5, 0, false}, {true, false, "gelu"}));
    cases.push_back(loraLinearBackwardOf(loraLinearCase(random, s.rows, s.out, s.in, {5, 0, false}, {}), random, true));
    for (Case& c : cases) {
      if (!form.has(c.op)) continue;
      c = form.of(c);
      roundToFloat(c);
      checkEverywhere(c);
    }
  }
}

/// A gradient that ends in f' and a residual has the bits of one that goes through ops of their
/// own.
void gradientEpilogues(Form form) {
  Random random(32);
  for (const char* activation : {"gelu", "geluTanh", "relu", "tanh"})
    for (const double dropout : {-1.0, 0.0, 0.5}) {  // -1: without an adapter
      const int64_t rows = 31, in = 70, out = 45;
      const Lora lora{4, std::max(dropout, 0.0), false};
      Case fused = dropout < 0 ? linearBackwardInputCase(random, rows, in, out, {false, true, activation})
                               : loraLinearBackwardOf(loraLinearCase(random, rows, in, out, lora, {}), random, true,
                                                      {false, true, activation});
      fused = form.of(fused);
      Case bare = fused;
      bare.attributes.set("activation", std::string("none"));
      bare.in("preActivation") = bare.in("residual") = Operand{};
      const Outcome dx = run(bare, cpuBackend(), DType::f32);
      Case slope(OpKind::activationBackward, "");
      slope.attributes.set("activation", std::string(activation));
      slope.input("dy", {rows, in}, dx[0]).input("x", {rows, in}, fused.in("preActivation").values);
      slope.output("dx", {rows, in});
      Case sum(OpKind::add, "");
      sum.input("a", {rows, in}, run(slope, cpuBackend(), DType::f32)[0]);
      sum.input("b", {rows, in}, fused.in("residual").values).output("y", {rows, in});
      Outcome apart = dx;
      apart[0] = run(sum, cpuBackend(), DType::f32)[0];
      checkIdentical(fused, "cpu, ops apart", run(fused, cpuBackend(), DType::f32), apart);
    }
}

}  // namespace

void addProductTests(Suite& suite) {
  for (const Form form : {Form{Precision::fp32}, Form{Precision::bf16}, Form{Precision::fp32, BaseWeights::int8},
                          Form{Precision::fp32, BaseWeights::nf4}}) {
    const std::string name = "products/" + form.name() + "/";
    for (const OpKind op : kProducts)
      if (form.has(op)) suite.add(name + std::string(nameOf(op)), [=] { everyCase(op, form); });
    suite.add(name + "blocks", [=] { blocks(form); });
    suite.add(name + "gradientEpilogues", [=] { gradientEpilogues(form); });
  }
}

}  // namespace fl::test
