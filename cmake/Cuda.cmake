# Finds nvcc: on PATH, in CUDA_HOME, in /usr/local/cuda, or where scripts/setup-cuda.mjs put the
# PyPI wheels. Sets FUSED_LORA_WITH_CUDA.

set(FUSED_LORA_WITH_CUDA OFF)
if(FUSED_LORA_CUDA STREQUAL "off")
  return()
endif()

find_program(
  FUSED_LORA_NVCC nvcc
  PATHS "$ENV{CUDA_HOME}/bin" "$ENV{CUDA_PATH}/bin" /usr/local/cuda/bin "${CMAKE_CURRENT_SOURCE_DIR}/.cache/cuda/bin")
if(NOT FUSED_LORA_NVCC)
  if(FUSED_LORA_CUDA STREQUAL "on")
    message(FATAL_ERROR "FUSED_LORA_CUDA=on, but nvcc was not found. Put it on PATH, set CUDA_HOME, "
                        "or run: node scripts/setup-cuda.mjs")
  endif()
  message(STATUS "CUDA: nvcc not found, building without CUDA kernels")
  return()
endif()

execute_process(COMMAND "${FUSED_LORA_NVCC}" --version OUTPUT_VARIABLE nvcc_says RESULT_VARIABLE nvcc_failed)
if(nvcc_failed OR NOT nvcc_says MATCHES "release ([0-9]+)" OR CMAKE_MATCH_1 LESS 12)
  set(why "CUDA: ${FUSED_LORA_NVCC} does not run or is older than 12.0 (C++20 and sm_90a are needed)")
  if(FUSED_LORA_CUDA STREQUAL "on")
    message(FATAL_ERROR "${why}")
  endif()
  message(STATUS "${why}, building without CUDA kernels")
  return()
endif()

# The architectures are passed by hand: CMake's own list has
# no way to say "90a as code only and PTX for the first".
set(CMAKE_CUDA_ARCHITECTURES OFF)
set(CMAKE_CUDA_COMPILER "${FUSED_LORA_NVCC}")
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
set(CMAKE_CUDA_FLAGS_RELEASE "-O3 -DNDEBUG")

get_filename_component(FUSED_LORA_NVCC_REAL "${FUSED_LORA_NVCC}" REALPATH)
get_filename_component(FUSED_LORA_CUDA_ROOT "${FUSED_LORA_NVCC_REAL}" DIRECTORY)
get_filename_component(FUSED_LORA_CUDA_ROOT "${FUSED_LORA_CUDA_ROOT}" DIRECTORY)
set(FUSED_LORA_CUDA_INCLUDE "${FUSED_LORA_CUDA_ROOT}/include")
find_library(
  FUSED_LORA_CUDART cudart_static NO_DEFAULT_PATH
  PATHS "${FUSED_LORA_CUDA_ROOT}/lib64" "${FUSED_LORA_CUDA_ROOT}/lib")
if(FUSED_LORA_CUDART)
  # The wheels have lib, nvcc looks in lib64; CMake's
  # compiler check links a program before any target exists.
  get_filename_component(cudart_folder "${FUSED_LORA_CUDART}" DIRECTORY)
  string(APPEND CMAKE_CUDA_FLAGS_INIT " -L${cudart_folder}")
endif()
enable_language(CUDA)
find_library(FUSED_LORA_CUDART cudart_static REQUIRED PATHS ${CMAKE_CUDA_IMPLICIT_LINK_DIRECTORIES})
# CMake 3.25 (Debian 12) does not know nvcc's flag for C++20.
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)

set(FUSED_LORA_CUDA_OPTIONS -Xcompiler=-Wall,-Wextra,-fno-math-errno,-ffp-contract=off --expt-relaxed-constexpr)
if(FUSED_LORA_WERROR)
  list(APPEND FUSED_LORA_CUDA_OPTIONS -Xcompiler=-Werror -Werror=all-warnings)
endif()
# A fifth of the size. Drivers older than CUDA 12.4 can not
# read it; those that run what nvcc 13 makes are newer.
if(CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
  list(APPEND FUSED_LORA_CUDA_OPTIONS --compress-mode=size)
endif()
# Lines for profilers and compute-sanitizer.
if(FUSED_LORA_CUDA_LINEINFO)
  list(APPEND FUSED_LORA_CUDA_OPTIONS -lineinfo)
endif()
# Spilled registers and local memory are errors for the
# architectures the kernels are written for; elsewhere only slow.
set(FUSED_LORA_CUDA_OTHER_ARCHS ${FUSED_LORA_CUDA_ARCHS})
list(REMOVE_ITEM FUSED_LORA_CUDA_OTHER_ARCHS 80 90 90a)
if(NOT FUSED_LORA_CUDA_OTHER_ARCHS)
  list(APPEND FUSED_LORA_CUDA_OPTIONS -Xptxas=--warn-on-spills,--warn-on-local-memory-usage,--warning-as-error)
endif()

# Code for one architecture alone (90a) is that of native/cuda/hopper, and all that is made there;
# everything else is made for the other architectures, and as PTX of the first for newer ones.
# nvcc compiles a file once for each.
set(portable_archs ${FUSED_LORA_CUDA_ARCHS})
list(FILTER portable_archs EXCLUDE REGEX "a$")
set(own_archs ${FUSED_LORA_CUDA_ARCHS})
list(FILTER own_archs INCLUDE REGEX "a$")
if(NOT portable_archs)
  message(FATAL_ERROR "FUSED_LORA_CUDA_ARCHS is ${FUSED_LORA_CUDA_ARCHS}: it needs an architecture without 'a'")
endif()
set(portable_code)
foreach(arch IN LISTS portable_archs)
  list(APPEND portable_code "--generate-code=arch=compute_${arch},code=sm_${arch}")
endforeach()
list(GET portable_archs 0 first_arch)
list(APPEND portable_code "--generate-code=arch=compute_${first_arch},code=compute_${first_arch}")
set(own_code)
foreach(arch IN LISTS own_archs)
  list(APPEND own_code "--generate-code=arch=compute_${arch},code=sm_${arch}")
endforeach()
foreach(source IN LISTS cuda_sources)
  if(NOT source MATCHES "\\.cu$")
    continue()
  endif()
  if(own_code AND source MATCHES "/native/cuda/hopper/")
    set_source_files_properties("${source}" PROPERTIES COMPILE_OPTIONS "${own_code}")
  else()
    set_source_files_properties("${source}" PROPERTIES COMPILE_OPTIONS "${portable_code}")
  endif()
endforeach()

# Static, so that the addon loads on a machine with no NVIDIA
# driver; libcuda is asked for at run time only.
set(FUSED_LORA_CUDA_LIBRARIES "${FUSED_LORA_CUDART}" Threads::Threads ${CMAKE_DL_LIBS} rt)
set(FUSED_LORA_WITH_CUDA ON)
message(STATUS "CUDA: ${FUSED_LORA_NVCC} ${CMAKE_CUDA_COMPILER_VERSION} for ${FUSED_LORA_CUDA_ARCHS}")
