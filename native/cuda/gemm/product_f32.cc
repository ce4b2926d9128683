// Which of the three layouts of product_f32.h a product has. Its tiles are product_tile_f32.cuh's;
// those with weights in other forms are told apart in held_weights.cc.
#include "cuda/gemm/layouts_f32.h"

namespace fl::cuda {

void run(const char* op, Layout layout, const Product& p) {
  if (p.rows == 0 || p.cols == 0) return;
  switch (layout) {
    case Layout::nt:
      return runNt(op, p);
    case Layout::nn:
      return runNn(op, p);
    case Layout::tn:
      return runTn(op, p);
  }
}

}  // namespace fl::cuda
