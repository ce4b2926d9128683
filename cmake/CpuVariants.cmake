# The CPU's kernels, one source compiled once for each instruction set: object libraries
# fused_lora_cpu_<set>, in which FL_ISA is the set's name and the namespace of what a file defines
# (fl::cpu::avx2). native/cpu/dispatch.h chooses one of them at run time. Only they may use more
# than the baseline; scripts/lint-isa.mjs checks their object files.

set(FUSED_LORA_CPU_KERNELS
    "${CMAKE_CURRENT_SOURCE_DIR}/native/cpu/attention/attention_kernels.cc"
    "${CMAKE_CURRENT_SOURCE_DIR}/native/cpu/gemm/gemm_bf16.cc"
    "${CMAKE_CURRENT_SOURCE_DIR}/native/cpu/gemm/gemm_f32.cc"
    "${CMAKE_CURRENT_SOURCE_DIR}/native/cpu/gemm/gemm_int8.cc"
    "${CMAKE_CURRENT_SOURCE_DIR}/native/cpu/rows/row_kernels.cc")

# gcc 12's own intrinsics headers warn about uninitialised values (gcc bug 105593), hence the -Wno-.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(FUSED_LORA_ISA_quiet -Wno-uninitialized -Wno-maybe-uninitialized)
endif()
set(FUSED_LORA_ISA_portable)
set(FUSED_LORA_ISA_avx2 ${FUSED_LORA_ISA_quiet} -mavx2 -mfma)
set(FUSED_LORA_ISA_avx512 ${FUSED_LORA_ISA_quiet} -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma
                          -mprefer-vector-width=512)
set(FUSED_LORA_ISA_avxvnni ${FUSED_LORA_ISA_avx2} -mavxvnni)
set(FUSED_LORA_ISA_avx512vnni ${FUSED_LORA_ISA_avx512} -mavx512vnni)
set(FUSED_LORA_ISA_avx512bf16 ${FUSED_LORA_ISA_avx512} -mavx512bf16)
set(FUSED_LORA_ISA_amx ${FUSED_LORA_ISA_avx512bf16} -mavx512vnni -mamx-tile -mamx-bf16 -mamx-int8)

# Compiles the sources for one instruction set; whoever links `core` gets the objects.
function(fused_lora_cpu_variant core isa)
  set(target fused_lora_cpu_${isa})
  add_library(${target} OBJECT ${ARGN})
  fused_lora_configure(${target})
  target_compile_definitions(${target} PRIVATE FL_ISA=${isa})
  target_compile_options(${target} PRIVATE ${FUSED_LORA_ISA_${isa}})
  target_sources(${core} INTERFACE $<TARGET_OBJECTS:${target}>)
endfunction()

function(fused_lora_cpu_variants core)
  fused_lora_cpu_variant(${core} portable ${FUSED_LORA_CPU_KERNELS})
  # dispatch.cc knows the others where the compiler defines __x86_64__.
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    fused_lora_cpu_variant(${core} avx2 ${FUSED_LORA_CPU_KERNELS})
    if(FUSED_LORA_SANITIZE OR FUSED_LORA_TRIAL)
      # The same source once more: a quarter of the time to compile, for few more lines run.
      target_compile_definitions(${core} PRIVATE FUSED_LORA_NO_AVX512=1)
      return()
    endif()
    fused_lora_cpu_variant(${core} avx512 ${FUSED_LORA_CPU_KERNELS})
    # The other files gain nothing from these: they would be the same code once more.
    set(bf16 ${FUSED_LORA_CPU_KERNELS})
    list(FILTER bf16 INCLUDE REGEX "/gemm_bf16\\.cc$")
    fused_lora_cpu_variant(${core} avx512bf16 ${bf16})
    set(int8 ${FUSED_LORA_CPU_KERNELS})
    list(FILTER int8 INCLUDE REGEX "/gemm_int8\\.cc$")
    fused_lora_cpu_variant(${core} avxvnni ${int8})
    fused_lora_cpu_variant(${core} avx512vnni ${int8})
    fused_lora_cpu_variant(${core} amx ${bf16} ${int8})
  endif()
endfunction()
