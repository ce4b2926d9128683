// Checks a product of lora_gemm_sm90a.h, and hands it to its tile (lora_gemm_tiles.h).
// Which tile that is: tile.h, selectTileSm90a.
#include "cuda/hopper/lora_gemm_sm90a.h"

#include <string>

#include "cuda/hopper/lora_gemm_tiles.h"
#include "runtime/error.h"

namespace fl::cuda::hopper {

const char* faultOf(const LoraGemm& g, TileName name) {
  if (g.rows < 1 || g.cols < 1 || g.depth < 1) return "it has no elements";
  if (g.cols % 4 != 0) return "rows of its result do not begin on 16 bytes: columns must be a multiple of 4";
  if (g.rank < 0) return "its rank is negative";
  if (g.rank > 0 && (!g.b || !(g.a ? static_cast<const void*>(g.madeU) : g.u))) return "its adapter has no b or no u";
  if (g.a && (!g.depthContiguous || !hasExtraColumns(name, paddedRank(g.rank))))
    return "this tile has no extra columns for that rank";
  return nullptr;
}

void run(const char* op, const LoraGemm& g, TileName name) {
  if (const char* fault = faultOf(g, name)) fail("INVALID_SHAPE", std::string(op) + ": " + fault);
  switch (name) {
    case TileName::wide:
      return runWide(op, g);
    case TileName::broad:
      return g.a ? runBroadMakingU(op, g) : runBroad(op, g);
    case TileName::square:
      return runSquare(op, g);
    case TileName::small:
      return runSmall(op, g);
  }
}

}  // namespace fl::cuda::hopper
