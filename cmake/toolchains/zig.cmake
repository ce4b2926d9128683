# Compiles for another system by `zig c++`, which has every system's headers and C library. The
# files beside this one name a system and include it; scripts/packages.mjs chooses among them.
# zig comes from PyPI (scripts/setup-packaging.mjs), or is what FUSED_LORA_ZIG in the environment
# names.

set(FUSED_LORA_ZIG "$ENV{FUSED_LORA_ZIG}")
if(NOT FUSED_LORA_ZIG)
  set(FUSED_LORA_ZIG "${CMAKE_CURRENT_LIST_DIR}/../../.cache/packaging/ziglang/zig")
endif()

set(CMAKE_CXX_COMPILER "${FUSED_LORA_ZIG}" c++ -target ${FUSED_LORA_ZIG_TARGET})
# zig adds debug information unless it is told not to, and the addon is stripped in the end.
set(CMAKE_CXX_FLAGS_INIT "-g0")
# What CMake would find out by building programs, for each of which zig builds its C++ library
# first: minutes, and in a mode that nothing here uses. The version is that of
# scripts/packaging-wheels.txt.
set(CMAKE_CXX_COMPILER_ID_RUN TRUE)
set(CMAKE_CXX_COMPILER_FORCED TRUE)
set(CMAKE_CXX_COMPILER_ID Clang)
set(CMAKE_CXX_COMPILER_FRONTEND_VARIANT GNU)
set(CMAKE_CXX_COMPILER_VERSION 22.1)
set(CMAKE_CXX_STANDARD_COMPUTED_DEFAULT 17)
set(CMAKE_CXX_EXTENSIONS_COMPUTED_DEFAULT ON)
set(CMAKE_SIZEOF_VOID_P 8)
# zig links the libraries of threads by itself.
set(CMAKE_HAVE_LIBC_PTHREAD TRUE)
# Asked for by CMake where the system is Windows or macOS; nothing here has resources or is
# installed by CMake.
set(CMAKE_RC_COMPILER "${FUSED_LORA_ZIG}")
set(CMAKE_INSTALL_NAME_TOOL "${FUSED_LORA_ZIG}")
set(CMAKE_AR "${FUSED_LORA_ZIG}")
set(CMAKE_RANLIB "${FUSED_LORA_ZIG}")
set(CMAKE_CXX_ARCHIVE_CREATE "<CMAKE_AR> ar qc <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_APPEND "<CMAKE_AR> ar q <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "<CMAKE_RANLIB> ranlib <TARGET>")
# zig has a cache of its own.
set(FUSED_LORA_CCACHE "" CACHE FILEPATH "" FORCE)
set(FUSED_LORA_CUDA off CACHE STRING "" FORCE)
set(FUSED_LORA_CROSS ON)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
