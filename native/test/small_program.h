// A program with every kind of value, built by hand: one LoRA layer on the queries of an attention
// block, a gather and a classifier. Frozen: the table, W and its bias. Trained: A, B, the LayerNorm
// and the classifier. Tests of it: program_tests.cc.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "program/program.h"
#include "test/random.h"

namespace fl::test {

class SmallProgram {
 public:
  static constexpr int64_t kVocabulary = 23, kHidden = 12, kRank = 3, kClasses = 3;

  struct Options {
    std::string backend = "reference";
    DType compute = DType::f64;
    double dropout = 0.1;
    bool keepAll = false;
    /// False: a scale in its place, for a backend without that op.
    bool attention = true;
    bool record = true;
    /// Of the values of its parameters.
    uint64_t seed = 501;
    /// Whose frozen parameters it has, of the same backend and type.
    const SmallProgram* base = nullptr;
  };

  explicit SmallProgram(const Options& options);

  Program& program() { return *program_; }
  /// Value index by name.
  int value(const std::string& name) const { return names_.at(name); }
  Parameter& parameter(const std::string& name) { return *parameters_.at(name); }
  std::vector<std::string> trainedNames() const;
  const ProgramSpec& spec() const { return spec_; }
  /// Indices of the frozen parameters of which the program reads only packed copies.
  const std::vector<int>& packed() const { return packed_; }

  struct Batch {
    Sizes sizes;
    std::vector<int32_t> ids, cuSeqlens, rows, labels;
  };
  /// Sequences of these lengths with random ids and labels; the first token of each is gathered.
  static Batch batchOf(const std::vector<int64_t>& lengths, uint64_t seed);
  std::vector<BatchInput> inputs(const Batch& batch) const;

  void accumulate(const Batch& batch, bool zeroGradients, const StepState& step = {});
  double loss() const;
  /// The gradient of every trained parameter, by name.
  std::map<std::string, std::vector<double>> gradients();
  std::vector<double> read(const std::string& parameter, Parameter::Slot slot);

 private:
  int addValue(const std::string& name, ValueSpec::Kind kind, DType dtype, std::vector<Dim> shape, int parameter = -1);
  int addParameter(Random& random, const std::string& name, std::vector<int64_t> shape, double deviation, double mean,
                   bool trained);
  void instruction(OpKind op, const std::vector<std::string>& inputs, const std::vector<std::string>& outputs,
                   const Attributes& attributes = {});
  void addParameters(uint64_t seed);
  void addForward(double dropout);
  void addBackward(double dropout);

  DType compute_;
  bool attention_ = true;
  const SmallProgram* base_ = nullptr;
  ProgramSpec spec_;
  std::vector<int> packed_;
  std::map<std::string, int> names_;
  std::map<std::string, std::shared_ptr<Parameter>> parameters_;
  std::unique_ptr<Program> program_;
};

}  // namespace fl::test
