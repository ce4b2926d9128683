// Builds the small program instruction by instruction, forward and backward, and its batches.
// The tests that run it: program_tests.cc, recorded_step_tests.cc.
#include "test/small_program.h"

namespace fl::test {
namespace {

Dim fixed(int64_t n) { return {Dim::Symbol::none, n}; }
constexpr Dim kTokens{Dim::Symbol::T, 0}, kOffsets{Dim::Symbol::SPlus1, 0}, kGathered{Dim::Symbol::M, 0};

}  // namespace

SmallProgram::SmallProgram(const Options& options) : compute_(options.compute) {
  spec_.backend = options.backend;
  spec_.compute = options.compute;
  spec_.keepAll = options.keepAll;
  spec_.record = options.record;
  attention_ = options.attention;
  base_ = options.base;
  addParameters(options.seed);
  addForward(options.dropout);
  spec_.forwardCount = static_cast<int>(spec_.instructions.size());
  addBackward(options.dropout);
  spec_.packed = [this](int parameter) { packed_.push_back(parameter); };
  program_ = std::make_unique<Program>(spec_);
}

int SmallProgram::addValue(const std::string& name, ValueSpec::Kind kind, DType dtype, std::vector<Dim> shape,
                           int parameter) {
  ValueSpec v;
  v.name = name;
  v.kind = kind;
  v.dtype = dtype;
  v.shape = std::move(shape);
  v.parameter = parameter;
  v.output = name == "loss" || name == "logits";
  spec_.values.push_back(v);
  return names_[name] = static_cast<int>(spec_.values.size()) - 1;
}

int SmallProgram::addParameter(Random& random, const std::string& name, std::vector<int64_t> shape, double deviation,
                               double mean, bool trained) {
  std::array<int64_t, 2> dim{1, 1};
  std::vector<Dim> dims;
  int64_t count = 1;
  for (size_t i = 0; i < shape.size(); i++) {
    dim[i] = shape[i];
    dims.push_back(fixed(shape[i]));
    count *= shape[i];
  }
  Backend& backend = backendByName(spec_.backend);
  auto p = std::make_shared<Parameter>(backend.memory(), name, compute_, static_cast<int>(shape.size()), dim);
  std::vector<double> values = random.normals(count, deviation, mean);
  for (double& v : values) v = static_cast<double>(static_cast<float>(v));
  p->writeDouble(Parameter::Slot::value, values.data());
  if (base_ && !trained) p = base_->parameters_.at(name);
  parameters_[name] = p;
  spec_.parameters.push_back(p);
  const int index = static_cast<int>(spec_.parameters.size()) - 1;
  addValue(name, ValueSpec::Kind::parameter, compute_, dims, index);
  if (trained) addValue("d" + name, ValueSpec::Kind::gradient, compute_, dims, index);
  return index;
}

void SmallProgram::instruction(OpKind op, const std::vector<std::string>& inputs,
                               const std::vector<std::string>& outputs, const Attributes& attributes) {
  InstructionSpec in;
  in.op = op;
  in.attributes = attributes;
  in.path = "small";
  for (const std::string& name : inputs) in.inputs.push_back(name.empty() ? -1 : value(name));
  for (const std::string& name : outputs) in.outputs.push_back(name.empty() ? -1 : value(name));
  spec_.instructions.push_back(in);
}

void SmallProgram::addParameters(uint64_t seed) {
  Random random(seed);
  addParameter(random, "table", {kVocabulary, kHidden}, 1, 0, false);
  addParameter(random, "W", {kHidden, kHidden}, 0.3, 0, false);
  addParameter(random, "b", {kHidden}, 0.3, 0, false);
  addParameter(random, "A", {kRank, kHidden}, 0.3, 0, true);
  addParameter(random, "B", {kHidden, kRank}, 0.5, 0, true);
  addParameter(random, "gamma", {kHidden}, 0.1, 1, true);
  addParameter(random, "beta", {kHidden}, 0.1, 0, true);
  addParameter(random, "Wc", {kClasses, kHidden}, 0.3, 0, true);
  addParameter(random, "bc", {kClasses}, 0.1, 0, true);
}

void SmallProgram::addForward(double dropout) {
  using Kind = ValueSpec::Kind;
  addValue("ids", Kind::input, DType::i32, {kTokens});
  addValue("cuSeqlens", Kind::input, DType::i32, {kOffsets});
  addValue("rows", Kind::input, DType::i32, {kGathered});
  addValue("labels", Kind::input, DType::i32, {kGathered});
  for (const char* name : {"x", "q", "attended", "hidden", "sum", "dHidden", "dAttended", "dQ"})
    addValue(name, Kind::computed, compute_, {kTokens, fixed(kHidden)});
  addValue("u", Kind::computed, compute_, {kTokens, fixed(kRank)});
  addValue("logsumexp", Kind::computed, compute_, {kTokens, fixed(2)});
  addValue("stats", Kind::computed, compute_, {kTokens, fixed(2)});
  for (const char* name : {"first", "dFirst"}) addValue(name, Kind::computed, compute_, {kGathered, fixed(kHidden)});
  for (const char* name : {"logits", "dLogits"}) addValue(name, Kind::computed, compute_, {kGathered, fixed(kClasses)});
  addValue("loss", Kind::computed, compute_, {fixed(1)});

  instruction(OpKind::embeddingSum, {"ids", "table"}, {"x"});
  instruction(OpKind::loraLinear, {"x", "W", "b", "A", "B"}, {"q", "u"},
              Attributes().set("scaling", 2).set("dropout", dropout).set("site", 1));
  if (attention_)
    instruction(OpKind::attention, {"q", "x", "x", "cuSeqlens"}, {"attended", "logsumexp"},
                Attributes().set("numHeads", 2).set("dropout", dropout).set("site", 2));
  else
    instruction(OpKind::scale, {"q"}, {"attended"}, Attributes().set("factor", 0.5));
  instruction(OpKind::addLayerNorm, {"attended", "x", "gamma", "beta"}, {"hidden", "sum", "stats"},
              Attributes().set("eps", 1e-5).set("dropout", dropout).set("site", 3));
  instruction(OpKind::gatherRows, {"hidden", "rows"}, {"first"});
  instruction(OpKind::linear, {"first", "Wc", "bc"}, {"logits"});
  instruction(OpKind::crossEntropy, {"logits", "labels"}, {"loss"});
}

void SmallProgram::addBackward(double dropout) {
  instruction(OpKind::crossEntropyBackward, {"logits", "labels"}, {"dLogits"});
  instruction(OpKind::linearBackwardWeight, {"dLogits", "first"}, {"dWc"});
  instruction(OpKind::biasBackward, {"dLogits"}, {"dbc"});
  instruction(OpKind::linearBackwardInput, {"dLogits", "Wc"}, {"dFirst"});
  instruction(OpKind::gatherRowsBackward, {"dFirst", "rows"}, {"dHidden"});
  instruction(OpKind::addLayerNormBackward, {"dHidden", "sum", "gamma", "stats"}, {"dAttended", "", "dgamma", "dbeta"},
              Attributes().set("dropout", dropout).set("site", 3));
  if (attention_)
    instruction(OpKind::attentionBackward, {"dAttended", "q", "x", "x", "attended", "logsumexp", "cuSeqlens"}, {"dQ"},
                Attributes().set("numHeads", 2).set("dropout", dropout).set("site", 2));
  else
    instruction(OpKind::scale, {"dAttended"}, {"dQ"}, Attributes().set("factor", 0.5));
  instruction(OpKind::loraLinearBackward, {"dQ", "x", "u", "", "A", "B"}, {"", "dA", "dB"},
              Attributes().set("scaling", 2).set("dropout", dropout).set("site", 1));
}

std::vector<std::string> SmallProgram::trainedNames() const {
  std::vector<std::string> names;
  for (const int p : program_->trained()) names.push_back(spec_.parameters[static_cast<size_t>(p)]->name());
  return names;
}

SmallProgram::Batch SmallProgram::batchOf(const std::vector<int64_t>& lengths, uint64_t seed) {
  Random random(seed);
  Batch batch;
  batch.cuSeqlens = {0};
  for (const int64_t length : lengths) {
    batch.rows.push_back(batch.cuSeqlens.back());
    batch.labels.push_back(static_cast<int32_t>(random.below(kClasses)));
    for (int64_t i = 0; i < length; i++) batch.ids.push_back(static_cast<int32_t>(random.below(kVocabulary)));
    batch.cuSeqlens.push_back(static_cast<int32_t>(batch.ids.size()));
  }
  const auto sequences = static_cast<int64_t>(lengths.size());
  batch.sizes = {static_cast<int64_t>(batch.ids.size()), sequences, sequences};
  return batch;
}

std::vector<BatchInput> SmallProgram::inputs(const Batch& batch) const {
  const auto input = [&](const char* name, const std::vector<int32_t>& data) {
    return BatchInput{value(name), DType::i32, data.data(), static_cast<int64_t>(data.size())};
  };
  return {input("ids", batch.ids), input("cuSeqlens", batch.cuSeqlens), input("rows", batch.rows),
          input("labels", batch.labels)};
}

void SmallProgram::accumulate(const Batch& batch, bool zeroGradients, const StepState& step) {
  program_->accumulate(inputs(batch), batch.sizes, step, zeroGradients);
}

double SmallProgram::loss() const {
  if (compute_ == DType::f64) {
    double loss;
    program_->read(value("loss"), &loss);
    return loss;
  }
  float loss;
  program_->read(value("loss"), &loss);
  return loss;
}

std::vector<double> SmallProgram::read(const std::string& name, Parameter::Slot slot) {
  Parameter& p = parameter(name);
  std::vector<double> values(static_cast<size_t>(p.count()));
  p.readDouble(slot, values.data());
  return values;
}

std::map<std::string, std::vector<double>> SmallProgram::gradients() {
  std::map<std::string, std::vector<double>> all;
  for (const std::string& name : trainedNames()) all[name] = read(name, Parameter::Slot::gradient);
  return all;
}

}  // namespace fl::test
