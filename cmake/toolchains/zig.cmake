# Compiles for another system by `zig c++`, which has every system's headers and C library. The
# files beside this one name a system and include it; scripts/packages.mjs chooses among them.
# zig comes from PyPI (scripts/setup-packaging.mjs), or is what FUSED_LORA_ZIG in the environment
# names.

set(FUSED_LORA_ZIG "$ENV{FUSED_LORA_ZIG}")
if(NOT FUSED_LORA_ZIG)
  set(FUSED_LORA_ZIG "${CMAKE_CURRENT_LIST_DIR}/../../.cache/packaging/ziglang/zig")
endif()

set(CMAKE_CXX_COMPILER "${FUSED_LORA_ZIG}" c++ -target ${FUSED_LORA_ZIG_TARGET})
# Asked for by CMake where the system is Windows or macOS; nothing here has resources or is
# installed by CMake.
set(CMAKE_RC_COMPILER "${FUSED_LORA_ZIG}" rc)
set(CMAKE_INSTALL_NAME_TOOL "${FUSED_LORA_ZIG}")
set(CMAKE_AR "${FUSED_LORA_ZIG}")
set(CMAKE_RANLIB "${FUSED_LORA_ZIG}")
# zig has a cache of its own.
set(FUSED_LORA_CCACHE "" CACHE FILEPATH "" FORCE)
set(FUSED_LORA_CUDA off CACHE STRING "" FORCE)
set(FUSED_LORA_CROSS ON)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
