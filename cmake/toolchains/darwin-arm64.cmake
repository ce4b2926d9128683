# macOS 11 or newer, the oldest that Node 20 runs on, on Apple's processors. zig signs it ad hoc.
# How: zig.cmake.
set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_PROCESSOR arm64)
set(FUSED_LORA_ZIG_TARGET aarch64-macos.11.0)
include("${CMAKE_CURRENT_LIST_DIR}/zig.cmake")
