// Slots of a parameter, made when they are first asked for; reads and writes in float and double;
// derived copies by key. When a copy is out of date is told in parameter.h.
#include "runtime/parameter.h"

#include <vector>

namespace fl {

Parameter::Parameter(Memory& memory, std::string name, DType dtype, int rank, std::array<int64_t, 2> dim)
    : memory_(memory), name_(std::move(name)), dtype_(dtype), rank_(rank), dim_(dim) {
  for (int i = rank; i < Tensor::kMaxRank; i++) dim_[static_cast<size_t>(i)] = 1;
  count_ = elementsOf(dim_[0], dim_[1]);
  if (count_ < 1)
    fail("INVALID_SHAPE", name_ + ": it is " + shape().describe() +
                              "; every dimension must be at least 1, and the tensor must fit memory");
}

Parameter::~Parameter() {
  for (void* slot : slots_)
    if (slot) memory_.release(slot);
}

int64_t Parameter::bytes() const {
  int64_t total = 0;
  for (const void* slot : slots_)
    if (slot) total += count_ * sizeOf(dtype_);
  return total;
}

Tensor Parameter::shape() const {
  Tensor t;
  t.dtype = dtype_;
  t.rank = rank_;
  for (int i = 0; i < rank_; i++) t.dim[i] = dim_[i];
  return t;
}

Tensor Parameter::tensor(Slot slot) {
  void*& memory = slots_[static_cast<int>(slot)];
  if (!memory) memory = memory_.allocate(static_cast<size_t>(count_ * sizeOf(dtype_)));
  Tensor t = shape();
  t.data = memory;
  if (slot == Slot::value) t.parameter = this;
  return t;
}

namespace {

template <class From, class To>
std::vector<To> converted(const From* values, int64_t count) {
  return std::vector<To>(values, values + count);
}

}  // namespace

void Parameter::write(Slot slot, const float* values, bool changed) {
  const Tensor t = tensor(slot);
  if (dtype_ == DType::f32)
    memory_.upload(t.data, values, static_cast<size_t>(t.bytes()));
  else
    memory_.upload(t.data, converted<float, double>(values, count_).data(), static_cast<size_t>(t.bytes()));
  if (slot == Slot::value && changed) touch();
}

void Parameter::writeDouble(Slot slot, const double* values, bool changed) {
  const Tensor t = tensor(slot);
  if (dtype_ == DType::f64)
    memory_.upload(t.data, values, static_cast<size_t>(t.bytes()));
  else
    memory_.upload(t.data, converted<double, float>(values, count_).data(), static_cast<size_t>(t.bytes()));
  if (slot == Slot::value && changed) touch();
}

void Parameter::writePart(const float* values, int64_t at, int64_t count) {
  const Tensor t = tensor(Slot::value);
  const auto bytes = static_cast<size_t>(count * sizeOf(dtype_));
  void* const to = static_cast<char*>(t.data) + at * sizeOf(dtype_);
  if (dtype_ == DType::f32)
    memory_.upload(to, values, bytes);
  else
    memory_.upload(to, converted<float, double>(values, count).data(), bytes);
}

namespace {

void requireSlot(const Parameter& p, Parameter::Slot slot) {
  if (!p.has(slot))
    fail("INVALID_ARGUMENT",
         p.name() + ": the device holds no " +
             (slot == Parameter::Slot::value ? std::string("values: they were released after packing")
                                             : std::string("gradient or optimizer state for it: it was not trained")));
}

}  // namespace

void Parameter::read(Slot slot, float* values) const {
  requireSlot(*this, slot);
  const void* memory = slots_[static_cast<int>(slot)];
  if (dtype_ == DType::f32) {
    memory_.download(values, memory, static_cast<size_t>(count_ * 4));
    return;
  }
  std::vector<double> wide(static_cast<size_t>(count_));
  memory_.download(wide.data(), memory, wide.size() * 8);
  for (size_t i = 0; i < wide.size(); i++) values[i] = static_cast<float>(wide[i]);
}

void Parameter::readDouble(Slot slot, double* values) const {
  requireSlot(*this, slot);
  const void* memory = slots_[static_cast<int>(slot)];
  if (dtype_ == DType::f64) {
    memory_.download(values, memory, static_cast<size_t>(count_ * 8));
    return;
  }
  std::vector<float> narrow(static_cast<size_t>(count_));
  memory_.download(narrow.data(), memory, narrow.size() * 4);
  for (size_t i = 0; i < narrow.size(); i++) values[i] = narrow[i];
}

void Parameter::release(Slot slot) {
  if (slot == Slot::value && valueReaders > 0) return;
  void*& memory = slots_[static_cast<int>(slot)];
  if (memory) memory_.release(memory);
  memory = nullptr;
}

std::shared_ptr<const void> Parameter::derived(
    int key, const std::function<std::shared_ptr<const void>(const Tensor& value)>& make) {
  const std::lock_guard lock(mutex_);
  const auto found = derived_.find(key);
  if (found != derived_.end() && found->second.version == version_) return found->second.copy;
  if (!has(Slot::value) && fill_) fill_();
  if (!has(Slot::value))
    fail("INTERNAL", name_ + ": its values were released before a copy in layout " + std::to_string(key) + " was made");
  auto copy = make(tensor(Slot::value));
  derived_[key] = {version_, copy};
  return copy;
}

void Parameter::fillWith(std::function<void()> fill) {
  const std::lock_guard lock(mutex_);
  fill_ = std::move(fill);
}

}  // namespace fl
