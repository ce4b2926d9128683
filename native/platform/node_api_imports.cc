// Windows: where the functions of Node-API come from. An import library would name node.exe, but
// the program that loads the addon may be called otherwise (Electron, a single executable). So the
// pointers that calls go through (__imp_ and the function's name) are filled in from the running
// program when the addon is loaded. The list of names is Node-API's own: cmake/NodeApi.cmake.
#if defined(_WIN32) && defined(FUSED_LORA_NODE_API_NAMES)

#include <windows.h>

#define FL_NODE_API(name) extern "C" FARPROC __imp_##name = nullptr;
#include FUSED_LORA_NODE_API_NAMES
#undef FL_NODE_API

namespace {

[[maybe_unused]] const bool filled = [] {
  const HMODULE program = GetModuleHandleW(nullptr);
#define FL_NODE_API(name) __imp_##name = GetProcAddress(program, #name);
#include FUSED_LORA_NODE_API_NAMES
#undef FL_NODE_API
  return true;
}();

}  // namespace

#endif
