# Linux with glibc 2.28 or newer (Debian 10, Ubuntu 20.04, RHEL 8) on x86-64.
# How: zig.cmake.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(FUSED_LORA_ZIG_TARGET x86_64-linux-gnu.2.28)
include("${CMAKE_CURRENT_LIST_DIR}/zig.cmake")
