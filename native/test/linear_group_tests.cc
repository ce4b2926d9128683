// What the CUDA backend does together (cuda/ops/linear_group.h): which neighbours of a program are
// a group, and that a group gives what its ops give one by one: the same bits but for a dx that
// several layers share, whose sums are added in another order. How many launches that saves is
// counted in test/cuda/launches.test.ts.
#include <cmath>
#include <cstdlib>
#include <memory>

#include "test/case.h"
#include "test/random.h"
#include "test/tests.h"

namespace fl::test {
namespace {

/// Values of a list of instructions by number, on the backend.
class Values {
 public:
  Values(Backend& backend, uint64_t seed) : backend_(backend), random_(seed) {}
  ~Values() {
    for (const Tensor& t : tensors_) backend_.memory().release(t.data);
  }
  Values(const Values&) = delete;

  int add(std::vector<int64_t> shape, double deviation = 1) {
    Tensor t;
    t.dtype = DType::f32;
    t.rank = static_cast<int>(shape.size());
    for (size_t i = 0; i < shape.size(); i++) t.dim[i] = shape[i];
    std::vector<float> values;
    for (const double v : random_.normals(t.count(), deviation)) values.push_back(static_cast<float>(v));
    t.data = backend_.memory().allocate(static_cast<size_t>(t.bytes()));
    backend_.memory().upload(t.data, values.data(), static_cast<size_t>(t.bytes()));
    first_.push_back(values);
    tensors_.push_back(t);
    return static_cast<int>(tensors_.size()) - 1;
  }
  const Tensor& operator[](int value) const { return tensors_[static_cast<size_t>(value)]; }
  std::vector<float> read(int value) const {
    std::vector<float> values(static_cast<size_t>((*this)[value].count()));
    backend_.memory().download(values.data(), (*this)[value].data, values.size() * sizeof(float));
    return values;
  }
  /// As they were at first.
  void restore() {
    for (size_t i = 0; i < tensors_.size(); i++)
      backend_.memory().upload(tensors_[i].data, first_[i].data(), first_[i].size() * sizeof(float));
  }

 private:
  Backend& backend_;
  Random random_;
  std::vector<Tensor> tensors_;
  std::vector<std::vector<float>> first_;
};

struct Instruction {
  OpKind op;
  Attributes attributes;
  std::vector<int> inputs, outputs;
};

OpCall callOf(const Instruction& in, const Values& values) {
  OpCall call;
  call.op = in.op;
  call.attributes = &in.attributes;
  call.numInputs = static_cast<int>(in.inputs.size());
  call.numOutputs = static_cast<int>(in.outputs.size());
  for (size_t i = 0; i < in.inputs.size(); i++)
    if (in.inputs[i] >= 0) call.inputs[i] = values[in.inputs[i]];
  for (size_t i = 0; i < in.outputs.size(); i++)
    if (in.outputs[i] >= 0) call.outputs[i] = values[in.outputs[i]];
  return call;
}

int together(Backend& backend, const std::vector<Instruction>& list, int extraReader = -1) {
  std::vector<Neighbour> neighbours;
  std::vector<int> readers(200, 0);
  for (const Instruction& in : list) {
    neighbours.push_back({in.op, &in.attributes, in.inputs, in.outputs});
    for (const int value : in.inputs)
      if (value >= 0) readers[static_cast<size_t>(value)]++;
  }
  if (extraReader >= 0) readers[static_cast<size_t>(extraReader)]++;
  return backend.together(neighbours, readers);
}

Attributes bf16() { return Attributes().set("precision", std::string("bf16")); }
Attributes lora(double dropout = 0) { return bf16().set("scaling", 1.5).set("dropout", dropout); }

/// addLayerNorm, query with an adapter, key, value with one; then their gradients, value first.
struct Attention {
  Values values;
  int x, residual, gamma, beta, norm, z, stats;
  struct Linear {
    int W, b, A, B, y, u, dy, dx, dA, dB;
  } query, key, value;
  std::vector<Instruction> forward, backward;
  int above;

  Attention(Backend& backend, int64_t rows, int64_t hidden, int64_t rank, double dropout = 0)
      : values(backend, static_cast<uint64_t>(rows + hidden + rank)) {
    x = values.add({rows, hidden});
    residual = values.add({rows, hidden});
    gamma = values.add({hidden});
    beta = values.add({hidden});
    norm = values.add({rows, hidden});
    z = values.add({rows, hidden});
    stats = values.add({rows, 2});
    above = values.add({rows, hidden});
    for (Linear* l : {&query, &key, &value}) {
      const double deviation = 1 / std::sqrt(static_cast<double>(hidden));
      *l = {values.add({hidden, hidden}, deviation),
            values.add({hidden}),
            values.add({rank, hidden}, deviation),
            values.add({hidden, rank}),
            values.add({rows, hidden}),
            values.add({rows, rank}),
            values.add({rows, hidden}),
            values.add({rows, hidden}),
            values.add({rank, hidden}),
            values.add({hidden, rank})};
    }
    forward = {{OpKind::addLayerNorm, Attributes().set("eps", 1e-5), {x, residual, gamma, beta}, {norm, z, stats}},
               loraForward(query, dropout),
               {OpKind::linear, bf16(), {norm, key.W, key.b}, {key.y}},
               loraForward(value, dropout)};
    backward = {loraBackward(value, above, dropout),
                {OpKind::linearBackwardInput, bf16(), {key.dy, key.W, -1, value.dx}, {key.dx}},
                loraBackward(query, key.dx, dropout)};
  }
  Instruction loraForward(const Linear& l, double dropout) const {
    return {OpKind::loraLinear, lora(dropout), {norm, l.W, l.b, l.A, l.B}, {l.y, l.u}};
  }
  Instruction loraBackward(const Linear& l, int more, double dropout) const {
    return {
        OpKind::loraLinearBackward, lora(dropout), {l.dy, norm, l.u, l.W, l.A, l.B, -1, -1, more}, {l.dx, l.dA, l.dB}};
  }
};

Backend& cudaWithGroups() {
  Backend& backend = backendOrSkip("cuda");
  const char* const path = std::getenv("FUSED_LORA_CUDA_PATH");
  if (path && std::string(path) == "sm90a") skip("the kernels for compute capability 9.0 have no groups");
  return backend;
}

void whichAreOne() {
  Backend& backend = cudaWithGroups();
  Attention a(backend, 4, 8, 2);
  using List = std::vector<Instruction>;
  check(together(backend, a.forward) == 4, "a norm, query, key and value are not together");
  check(together(backend, List(a.forward.begin() + 1, a.forward.end())) == 3, "query, key and value are not together");
  check(together(backend, List(a.forward.begin() + 2, a.forward.begin() + 3)) == 0, "a layer alone is a group");
  check(together(backend, List{a.forward[0], a.forward[2]}) == 0, "a norm before a layer without adapter is a group");
  check(together(backend, a.backward) == 3, "the gradients of value, key and query are not together");
  check(together(backend, a.backward, a.value.dx) == 0, "a dx that somebody else reads goes on in another's product");
  check(together(backend, a.backward, a.key.dx) == 2, "the dx of key is read by somebody else");

  Attention masked(backend, 4, 8, 2, 0.5);
  check(together(backend, masked.forward) == 0, "dropout before A is in a group");
  List exact = a.forward;
  for (size_t i = 1; i < exact.size(); i++) exact[i].attributes.set("precision", std::string("fp32"));
  check(together(backend, exact) == 0, "fp32 is in a group");
  // The second layer reads what the first one makes.
  List row = {a.forward[2], {OpKind::linear, bf16(), {a.key.y, a.value.W, a.value.b}, {a.value.y}}};
  check(together(backend, row) == 0, "a layer and the one before it are together");
  // A slope between two dx.
  List bent = a.backward;
  bent[1].inputs[2] = a.above;
  bent[1].attributes.set("activation", std::string("gelu"));
  check(together(backend, bent) == 0, "f' of one layer would be on another's gradient");
}

/// @param shared values whose sums are added in another order.
void sameAsOneByOne(const std::vector<Instruction>& list, Backend& backend, Values& values,
                    const std::vector<int>& results, int shared) {
  values.restore();
  for (const Instruction& in : list) backend.require(in.op, DType::f32, in.attributes)(callOf(in, values));
  std::vector<std::vector<float>> want;
  for (const int value : results) want.push_back(values.read(value));
  values.restore();
  std::vector<OpCall> calls;
  for (const Instruction& in : list) calls.push_back(callOf(in, values));
  backend.runTogether(calls);
  for (size_t i = 0; i < results.size(); i++) {
    const std::vector<float> got = values.read(results[i]);
    double largest = 0, worst = 0;
    for (size_t e = 0; e < got.size(); e++) {
      largest = std::fmax(largest, std::fabs(static_cast<double>(want[i][e])));
      worst = std::fmax(worst, std::fabs(static_cast<double>(got[e]) - static_cast<double>(want[i][e])));
    }
    const bool right = results[i] == shared ? worst <= 2e-6 * largest && std::isfinite(largest) : got == want[i];
    check(right, "value " + std::to_string(results[i]) + " of " + std::to_string(values[results[i]].rows()) + " x " +
                     std::to_string(values[results[i]].cols()) + " differs by " + text(worst));
  }
}

void together(bool small) {
  Backend& backend = cudaWithGroups();
  struct Size {
    int64_t rows, hidden, rank;
  };
  // Few rows and many, ranks of several tiles, rows that are no multiple of 4; large tiles.
  std::vector<Size> sizes{{37, 72, 8}, {300, 40, 3}, {21, 30, 40}};
  if (!small) sizes.insert(sizes.end(), {{1100, 24, 4}, {16300, 8, 2}});
  for (const Size& s : sizes) {
    Attention a(backend, s.rows, s.hidden, s.rank);
    const std::vector<Instruction> layers(a.forward.begin() + 1, a.forward.end());
    const std::vector<int> results{a.norm, a.z, a.stats, a.query.y, a.query.u, a.key.y, a.value.y, a.value.u};
    sameAsOneByOne(a.forward, backend, a.values, results, -1);
    sameAsOneByOne(layers, backend, a.values, results, -1);
    sameAsOneByOne(a.backward, backend, a.values, {a.query.dx, a.query.dA, a.query.dB, a.value.dA, a.value.dB},
                   a.query.dx);
    // Without dx, as in the lowest layer.
    std::vector<Instruction> lowest{a.backward[0], a.backward[2]};
    for (Instruction& in : lowest) in.inputs[3] = in.inputs[8] = in.outputs[0] = -1;
    sameAsOneByOne(lowest, backend, a.values, {a.query.dA, a.query.dB, a.value.dA, a.value.dB}, -1);
  }
}

}  // namespace

void addLinearGroupTests(Suite& suite) {
  suite.add("cudaGroup/whichAreOne", whichAreOne);
  const bool small = suite.options().small;
  suite.add("cudaGroup/sameAsOneByOne", [small] { together(small); });
}

}  // namespace fl::test
