// Reads FUSED_LORA_CUDA_PATH, and hands products in bf16 to lora_gemm_sm90a with the tile that its
// model chooses. product_sm90a.h says which products come here.
#include "cuda/hopper/product_sm90a.h"

#include <cstdlib>
#include <string_view>

#include "cuda/device/device.h"
#include "cuda/hopper/lora_gemm_sm90a.h"
#include "runtime/error.h"

namespace fl::cuda::hopper {
namespace {

bool asked() {
  const char* const text = std::getenv("FUSED_LORA_CUDA_PATH");
  if (text == nullptr || std::string_view(text) == "portable") return false;
  if (std::string_view(text) != "sm90a")
    fail("INVALID_ARGUMENT", "FUSED_LORA_CUDA_PATH is '" + std::string(text) + "', expected portable or sm90a");
  const Device& device = Device::instance();
  if (device.computeCapability() != 90)
    fail("INVALID_ARGUMENT",
         "FUSED_LORA_CUDA_PATH is 'sm90a', whose kernels need a GPU of compute capability 9.0; "
         "this is " +
             device.name() + ". Unset it, or set it to portable");
  return true;
}

}  // namespace

bool wanted() {
  static const bool answer = asked();
  return answer;
}

void run(const char* op, Layout layout, const ProductBf16& p) {
  if (layout == Layout::tn || p.mask.active) fail("INTERNAL", std::string(op) + ": no product of sm90a");
  // A recording whose scratch memory is too small is made again: there is nothing yet that a tensor
  // map could be of.
  const Capture* const capture = Capture::current();
  if (capture && !Device::instance().hasScratch(capture->scratchNeeded)) return;
  const auto& [main, update] = p.parts;
  LoraGemm g;
  g.rows = p.rows;
  g.cols = p.cols;
  g.depth = main.depth;
  g.x = main.rounded;
  g.w = static_cast<const uint16_t*>(main.b);
  g.depthContiguous = layout == Layout::nt;
  g.rank = update.depth;
  g.b = static_cast<const uint16_t*>(update.b);
  g.u = update.rounded;
  g.a = p.madeU.A;
  g.madeU = p.madeU.u;
  g.scaling = p.madeU.scaling;
  g.bias = p.bias;
  g.residual = p.residual;
  g.slopeAt = p.slopeAt;
  g.activation = p.activation;
  g.preActivation = p.preActivation;
  g.out = p.out;
  run(op, g, selectTileSm90a(g.rows, g.cols, g.depth, g.a ? paddedRank(g.rank) : 0));
}

}  // namespace fl::cuda::hopper
