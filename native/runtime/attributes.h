// Named constants of one instruction (eps, scaling, dropout, ...): a handful, so a flat list is
// searched. Which op has which is in the op's contract header in native/ops.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/error.h"

namespace fl {

class Attributes {
 public:
  Attributes& set(std::string name, double value) {
    for (auto& n : numbers_)
      if (n.first == name) return n.second = value, *this;
    numbers_.emplace_back(std::move(name), value);
    return *this;
  }
  Attributes& set(std::string name, std::string value) {
    for (auto& t : texts_)
      if (t.first == name) return t.second = std::move(value), *this;
    texts_.emplace_back(std::move(name), std::move(value));
    return *this;
  }

  double number(std::string_view name) const {
    for (const auto& [key, value] : numbers_)
      if (key == name) return value;
    fail("INTERNAL", "attribute '" + std::string(name) + "' is missing");
  }
  double number(std::string_view name, double otherwise) const {
    for (const auto& [key, value] : numbers_)
      if (key == name) return value;
    return otherwise;
  }
  bool has(std::string_view name) const {
    for (const auto& [key, value] : numbers_)
      if (key == name) return true;
    for (const auto& [key, value] : texts_)
      if (key == name) return true;
    return false;
  }
  const std::vector<std::pair<std::string, double>>& numbers() const { return numbers_; }
  const std::vector<std::pair<std::string, std::string>>& texts() const { return texts_; }
  std::string_view text(std::string_view name, std::string_view otherwise) const {
    for (const auto& [key, value] : texts_)
      if (key == name) return value;
    return otherwise;
  }

 private:
  std::vector<std::pair<std::string, double>> numbers_;
  std::vector<std::pair<std::string, std::string>> texts_;
};

}  // namespace fl
