# Compiler settings that every native target shares.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")
if(FUSED_LORA_TRIAL)
  # zig's libraries too: it builds them for the same setting.
  set(CMAKE_CXX_FLAGS_RELEASE "-Os -DNDEBUG")
endif()

# A warning ends the build of a clone. At a user's place, where there is no native/test, the
# compiler may be one that warns of more.
if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/native/test")
  set(FUSED_LORA_WERROR -Werror)
endif()

# No -ffast-math: results are the same bit for bit for every thread count, and NaN and Inf are
# looked for. -ffp-contract=off in every file: a multiply-add is one rounding only where the source
# says so (fma intrinsics), so that the compiler's choice in one loop's tail can not make a row
# depend on its place in a tile.
set(FUSED_LORA_CXX_OPTIONS -Wall -Wextra ${FUSED_LORA_WERROR} -fno-math-errno -ffp-contract=off)

# gcc 12 and 13 see overlapping copies in std::string's
# operator+ that are not there (gcc bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
  list(APPEND FUSED_LORA_CXX_OPTIONS -Wno-restrict)
endif()

# SANITIZE applies to everything in a build folder: a sanitizer needs every object file. -O1 and no
# more than line numbers: scripts/test-sanitize.mjs builds this on every change. An addon with
# AddressSanitizer loads where its runtime was preloaded; Node does not start under
# ThreadSanitizer's.
if(FUSED_LORA_FUZZ)
  set(FUSED_LORA_SANITIZE address,undefined,float-cast-overflow,fuzzer-no-link)
  set(FUSED_LORA_ADDON OFF)
endif()
if(FUSED_LORA_SANITIZE)
  set(CMAKE_CXX_FLAGS_RELEASE "-O1 -g1")
  list(APPEND FUSED_LORA_CXX_OPTIONS -fsanitize=${FUSED_LORA_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${FUSED_LORA_SANITIZE})
  if(FUSED_LORA_SANITIZE MATCHES "undefined")
    list(APPEND FUSED_LORA_CXX_OPTIONS -fno-sanitize-recover=all)
  endif()
  if(FUSED_LORA_SANITIZE MATCHES "thread")
    set(FUSED_LORA_ADDON OFF)
  endif()
endif()

# Options, include path (native/, so that #include "ops/linear.h" works) and macros of one target.
function(fused_lora_configure target)
  target_include_directories(${target} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/native")
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${FUSED_LORA_CXX_OPTIONS}>")
  if(FUSED_LORA_WITH_CUDA)
    target_compile_definitions(${target} PRIVATE FUSED_LORA_WITH_CUDA=1)
    target_include_directories(${target} SYSTEM PRIVATE ${FUSED_LORA_CUDA_INCLUDE})
    target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${FUSED_LORA_CUDA_OPTIONS}>")
    target_link_libraries(${target} PRIVATE ${FUSED_LORA_CUDA_LIBRARIES})
  endif()
endfunction()

# As one file: most of the time to compile the core's goes to headers that all of them read.
function(fused_lora_quick target)
  if(FUSED_LORA_TRIAL)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
  endif()
endfunction()
