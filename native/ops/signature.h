// An op's signature: one text for its operands, attributes and limits, in the op's own header, read
// by the compiler. ops/op.h checks calls by it; scripts/generate-ops.mjs copies the texts to
// src/graph/ops/signatures.ts.
//
//   operand    x [R, K]          floating; a name stands for one size wherever it occurs
//              b? [N]            may be absent
//              ids [T] i32       an index; `out [1] f64` is double on every backend
//              dW [N, K] acc     added to (parameter gradients); every other output is overwritten
//              W [N, K] packed forward, packed backward
//                                a weight, of which a backend may keep a packed copy: for x W^T, or
//                                for dy W
//              labels [R] i32 < C or ignoreIndex
//                                values from 0 to C - 1, or what that attribute says; checked
//                                before the op runs
//              cuSeqlens [S+1] i32 rising to T
//                                starts at 0, rises strictly, ends at T; checked before the op runs
//              ends [slots] i32 ascending to R
//                                never falls, from 0 to R; checked before the op runs
//   attribute  eps               must be given
//              scale?            has a default that the op computes
//              dropout = 0       number or word
//   limit      rank in [1, 256], dropout in [0, 1)
//                                of a dimension or an attribute
//
// A dimension is a number or a name; the name of an attribute (numHeads) stands for its value.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace fl {

/// As it is written: lists with commas.
struct Signature {
  std::string_view inputs, outputs, attributes = "", limits = "";
};

constexpr int kMaxInputs = 12, kMaxOutputs = 4;

struct DimSpec {
  /// Index into OpSignature::dims; -1: the dimension is `fixed`.
  int8_t name = -1;
  int8_t fixed = 0;
};

struct OperandSpec {
  enum class Kind : uint8_t { floating, index, f64 };
  /// Which product reads the packed copy: x W^T or dy W.
  enum class Packing : uint8_t { none, forward, backward };
  enum class Rule : uint8_t { none, below, rising, ascending };

  std::string_view name;
  Kind kind = Kind::floating;
  bool optional = false, accumulated = false;
  Packing packing = Packing::none;
  /// Of an index operand's values.
  Rule rule = Rule::none;
  /// The attribute with the value that is allowed besides; empty: none is.
  std::string_view ignored;
  /// The bound is dimension `boundAxis` of operand `boundOperand` (see OpSignature::operands).
  int8_t boundOperand = -1, boundAxis = 0;
  int8_t rank = 0;
  std::array<DimSpec, 2> dim{};
};

struct AttributeSpec {
  std::string_view name;
  /// Whether it may be left out; `otherwise` is the default where that is a number.
  bool optional = false, hasNumber = false;
  double otherwise = 0;

  /// Words are those with a word as default.
  constexpr bool isWord() const { return optional && hasDefault && !hasNumber; }
  bool hasDefault = false;
};

struct LimitSpec {
  std::string_view name;
  /// Index into OpSignature::dims; -1: an attribute.
  int8_t dim = -1;
  /// [low, high] of a dimension, [low, high) of an attribute.
  int64_t low = 0, high = 0;
};

struct OpSignature {
  /// Inputs, then outputs.
  std::array<OperandSpec, kMaxInputs + kMaxOutputs> operands{};
  int numInputs = 0, numOutputs = 0;
  /// Counts up to the last operand that must be there; one output at least.
  int minInputs = 0, minOutputs = 1;
  std::array<std::string_view, 8> dims{};
  int numDims = 0;
  std::array<AttributeSpec, 6> attributes{};
  int numAttributes = 0;
  std::array<LimitSpec, 2> limits{};
  int numLimits = 0;

  const OperandSpec& input(int i) const { return operands[static_cast<size_t>(i)]; }
  const OperandSpec& output(int i) const { return operands[static_cast<size_t>(numInputs + i)]; }
};

/// Reads a signature; one that is not in the form above does not compile.
class SignatureReader {
 public:
  static constexpr OpSignature read(const Signature& text) {
    OpSignature s;
    for (SignatureReader in(text.inputs); in.more();) {
      s.operands[static_cast<size_t>(s.numInputs++)] = in.operand(s);
      if (!s.operands[static_cast<size_t>(s.numInputs - 1)].optional) s.minInputs = s.numInputs;
    }
    for (SignatureReader in(text.outputs); in.more();) {
      s.operands[static_cast<size_t>(s.numInputs + s.numOutputs++)] = in.operand(s);
      if (!s.operands[static_cast<size_t>(s.numInputs + s.numOutputs - 1)].optional) s.minOutputs = s.numOutputs;
    }
    if (s.numInputs > kMaxInputs || s.numOutputs > kMaxOutputs) throw "too many operands";
    for (SignatureReader in(text.attributes); in.more();)
      s.attributes[static_cast<size_t>(s.numAttributes++)] = in.attribute();
    for (SignatureReader in(text.limits); in.more();) s.limits[static_cast<size_t>(s.numLimits++)] = in.limit(s);
    for (int i = 0; i < s.numInputs; i++) findBound(s, i);
    return s;
  }

 private:
  constexpr explicit SignatureReader(std::string_view text) : rest_(text) {}

  static constexpr bool isLetter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '+' ||
           c == '-';
  }
  constexpr void skipBlanks() {
    while (!rest_.empty() && rest_.front() == ' ') rest_.remove_prefix(1);
  }
  /// Whether another entry of the list follows; past the comma before it.
  constexpr bool more() {
    skipBlanks();
    if (rest_.empty()) return false;
    if (started_) need(",");
    started_ = true;
    return true;
  }
  constexpr std::string_view word() {
    skipBlanks();
    size_t n = 0;
    while (n < rest_.size() && isLetter(rest_[n])) n++;
    if (n == 0) throw "a name or a number is missing";
    const std::string_view found = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return found;
  }
  constexpr bool take(std::string_view token) {
    skipBlanks();
    if (rest_.substr(0, token.size()) != token) return false;
    const bool isWord = isLetter(token.back());
    if (isWord && rest_.size() > token.size() && isLetter(rest_[token.size()])) return false;
    rest_.remove_prefix(token.size());
    return true;
  }
  constexpr void need(std::string_view token) {
    if (!take(token)) throw "a signature is not in the form of ops/signature.h";
  }
  static constexpr bool isNumber(std::string_view text) {
    return (text.front() >= '0' && text.front() <= '9') || text.front() == '-';
  }
  static constexpr int64_t numberOf(std::string_view text) {
    const bool negative = text.front() == '-';
    int64_t value = 0;
    for (const char c : text.substr(negative ? 1 : 0)) {
      if (c < '0' || c > '9') throw "not a number";
      value = 10 * value + (c - '0');
    }
    return negative ? -value : value;
  }
  static constexpr int8_t dimNamed(const OpSignature& s, std::string_view name) {
    for (int i = 0; i < s.numDims; i++)
      if (s.dims[static_cast<size_t>(i)] == name) return static_cast<int8_t>(i);
    return -1;
  }

  constexpr DimSpec dim(OpSignature& s) {
    const std::string_view text = word();
    if (isNumber(text)) return {-1, static_cast<int8_t>(numberOf(text))};
    if (dimNamed(s, text) < 0) s.dims[static_cast<size_t>(s.numDims++)] = text;
    return {dimNamed(s, text), 0};
  }

  constexpr OperandSpec operand(OpSignature& s) {
    OperandSpec o;
    o.name = word();
    o.optional = take("?");
    need("[");
    do {
      if (o.rank == 2) throw "an operand has one or two dimensions";
      o.dim[static_cast<size_t>(o.rank++)] = dim(s);
    } while (take(","));
    need("]");
    if (take("i32")) o.kind = OperandSpec::Kind::index;
    if (take("f64")) o.kind = OperandSpec::Kind::f64;
    o.accumulated = take("acc");
    if (take("packed")) {
      o.packing = take("forward") ? OperandSpec::Packing::forward : OperandSpec::Packing::backward;
      if (o.packing == OperandSpec::Packing::backward) need("backward");
    }
    if (take("<")) o.rule = OperandSpec::Rule::below;
    if (take("rising")) {
      need("to");
      o.rule = OperandSpec::Rule::rising;
    }
    if (take("ascending")) {
      need("to");
      o.rule = OperandSpec::Rule::ascending;
    }
    // The operand with that dimension may come later: findBound.
    if (o.rule != OperandSpec::Rule::none) o.boundAxis = dim(s).name;
    if (take("or")) o.ignored = word();
    return o;
  }

  constexpr AttributeSpec attribute() {
    AttributeSpec a{word()};
    a.optional = take("?");
    if (!take("=")) return a;
    const std::string_view otherwise = word();
    a.optional = a.hasDefault = true;
    a.hasNumber = isNumber(otherwise);
    if (a.hasNumber) a.otherwise = static_cast<double>(numberOf(otherwise));
    return a;
  }

  constexpr LimitSpec limit(const OpSignature& s) {
    LimitSpec l{word()};
    l.dim = dimNamed(s, l.name);
    need("in");
    need("[");
    l.low = numberOf(word());
    need(",");
    l.high = numberOf(word());
    need(l.dim < 0 ? ")" : "]");
    return l;
  }

  /// The bound of input `index` is that dimension of the first other operand that has it.
  static constexpr void findBound(OpSignature& s, int index) {
    OperandSpec& o = s.operands[static_cast<size_t>(index)];
    if (o.rule == OperandSpec::Rule::none) return;
    const int8_t name = o.boundAxis;
    for (int i = 0; i < s.numInputs + s.numOutputs; i++) {
      const OperandSpec& other = s.operands[static_cast<size_t>(i)];
      for (int8_t axis = 0; axis < other.rank; axis++) {
        if (i == index || other.dim[static_cast<size_t>(axis)].name != name) continue;
        o.boundOperand = static_cast<int8_t>(i);
        o.boundAxis = axis;
        return;
      }
    }
    throw "no operand has the dimension that bounds an index";
  }

  std::string_view rest_;
  bool started_ = false;
};

}  // namespace fl
