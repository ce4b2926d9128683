# The addon. Headers come from cmake-js (CMAKE_JS_INC) or, in a plain CMake build, from the npm packages node-api-headers and node-addon-api
# (in node_modules, or in FUSED_LORA_NODE_HEADERS: folders separated by ';'). Nothing is downloaded.

function(fused_lora_addon)
  set(headers ${FUSED_LORA_NODE_HEADERS} ${CMAKE_JS_INC})
  if(NOT headers)
    set(headers "${CMAKE_CURRENT_SOURCE_DIR}/node_modules/node-api-headers/include"
                "${CMAKE_CURRENT_SOURCE_DIR}/node_modules/node-addon-api")
  endif()
  find_path(FUSED_LORA_NODE_API_H node_api.h PATHS ${headers} NO_DEFAULT_PATH)
  find_path(FUSED_LORA_NAPI_H napi.h PATHS ${headers} NO_DEFAULT_PATH)
  if(NOT FUSED_LORA_NODE_API_H OR NOT FUSED_LORA_NAPI_H)
    message(FATAL_ERROR "node_api.h or napi.h not found in: ${headers}. Run: npm ci")
  endif()

  add_library(fused_lora MODULE ${ARGN} ${CMAKE_JS_SRC})
  fused_lora_configure(fused_lora)
  target_include_directories(fused_lora SYSTEM PRIVATE "${FUSED_LORA_NODE_API_H}" "${FUSED_LORA_NAPI_H}")
  target_compile_definitions(
    fused_lora PRIVATE NAPI_VERSION=9 NODE_ADDON_API_CPP_EXCEPTIONS
                       BUILDING_NODE_EXTENSION)
  target_link_libraries(fused_lora PRIVATE fused_lora_core fused_lora_devices Threads::Threads ${CMAKE_DL_LIBS} ${CMAKE_JS_LIB})
  set_target_properties(fused_lora PROPERTIES OUTPUT_NAME fused-lora PREFIX "" SUFFIX ".node")
  if(NOT CMAKE_LIBRARY_OUTPUT_DIRECTORY)
    set_target_properties(fused_lora PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/Release")
  endif()
  if(UNIX AND NOT APPLE)
    # One binary for every Linux with glibc: no libstdc++ of ours to clash with another addon's. libgcc_s, which Node needs itself, is shared:
    # a static one asks for glibc 2.35.
    target_link_options(fused_lora PRIVATE -static-libstdc++ -Wl,--exclude-libs,ALL -Wl,-z,now -Wl,--gc-sections
                        $<$<CONFIG:Release>:-s>)
    if(FUSED_LORA_GLIBC_STUBS)
      target_link_options(fused_lora PRIVATE "-L${FUSED_LORA_GLIBC_STUBS}")
    endif()
  endif()
endfunction()
