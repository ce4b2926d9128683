# The addon. Headers come from cmake-js (CMAKE_JS_INC) or, in a plain CMake build, from the npm
# packages node-api-headers and node-addon-api (in node_modules, or in FUSED_LORA_NODE_HEADERS:
# folders separated by ';'). Nothing is downloaded.

function(fused_lora_addon)
  set(folder "${CMAKE_BINARY_DIR}/Release")
  if(CMAKE_LIBRARY_OUTPUT_DIRECTORY)
    set(folder "${CMAKE_LIBRARY_OUTPUT_DIRECTORY}")
  endif()
  fused_lora_addon_target(fused_lora fused_lora_devices "${folder}" ${ARGN})
  fused_lora_configure(fused_lora)
  fused_lora_quick(fused_lora)
endfunction()

# native/platform/node_api_imports.cc has the names of all functions of Node-API.
function(fused_lora_windows_imports target)
  set(lists "${FUSED_LORA_NODE_API_H}/../def")
  set(names)
  foreach(list IN ITEMS js_native_api node_api)
    file(STRINGS "${lists}/${list}.def" lines REGEX "^(napi|node_api)_[a-z0-9_]+$")
    list(APPEND names ${lines})
  endforeach()
  # The second list has the first one's names too.
  list(REMOVE_DUPLICATES names)
  list(TRANSFORM names REPLACE "(.+)" "FL_NODE_API(\\1)\n")
  list(JOIN names "" names)
  set(file "${CMAKE_BINARY_DIR}/node_api_names.inc")
  file(CONFIGURE OUTPUT "${file}" CONTENT "${names}" @ONLY)
  target_sources(${target} PRIVATE "${PROJECT_SOURCE_DIR}/native/platform/node_api_imports.cc")
  target_compile_definitions(${target} PRIVATE FUSED_LORA_NODE_API_NAMES="${file}")
endfunction()

# fused-lora.node in `folder`, of the given sources, the core and the object library `devices`.
function(fused_lora_addon_target target devices folder)
  set(headers ${FUSED_LORA_NODE_HEADERS} ${CMAKE_JS_INC})
  if(NOT headers)
    set(headers "${PROJECT_SOURCE_DIR}/node_modules/node-api-headers/include"
                "${PROJECT_SOURCE_DIR}/node_modules/node-addon-api")
  endif()
  find_path(FUSED_LORA_NODE_API_H node_api.h PATHS ${headers} NO_DEFAULT_PATH)
  find_path(FUSED_LORA_NAPI_H napi.h PATHS ${headers} NO_DEFAULT_PATH)
  if(NOT FUSED_LORA_NODE_API_H OR NOT FUSED_LORA_NAPI_H)
    message(FATAL_ERROR "node_api.h or napi.h not found in: ${headers}. Run: npm ci")
  endif()

  add_library(${target} MODULE ${ARGN} ${CMAKE_JS_SRC})
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/native")
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${FUSED_LORA_CXX_OPTIONS}>")
  target_include_directories(${target} SYSTEM PRIVATE "${FUSED_LORA_NODE_API_H}" "${FUSED_LORA_NAPI_H}")
  # _ALL: a std::bad_alloc of node-addon-api's own becomes an exception of JavaScript too.
  target_compile_definitions(
    ${target} PRIVATE NAPI_VERSION=9 NODE_ADDON_API_CPP_EXCEPTIONS NODE_ADDON_API_CPP_EXCEPTIONS_ALL
                      BUILDING_NODE_EXTENSION FUSED_LORA_VERSION="${FUSED_LORA_VERSION}")
  target_link_libraries(${target} PRIVATE fused_lora_core ${devices} Threads::Threads ${CMAKE_DL_LIBS} ${CMAKE_JS_LIB})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME fused-lora PREFIX "" SUFFIX ".node"
                                             LIBRARY_OUTPUT_DIRECTORY "${folder}")
  if(WIN32)
    fused_lora_windows_imports(${target})
  elseif(APPLE)
    # Node-API's functions are the running program's.
    target_link_options(${target} PRIVATE -Wl,-undefined,dynamic_lookup)
  endif()
  if(FUSED_LORA_CROSS)
    # zig links its C++ library statically by itself.
    target_link_options(${target} PRIVATE -s)
  elseif(UNIX AND NOT APPLE)
    # One binary for every Linux with glibc: no libstdc++ of ours to clash with another addon's.
    # libgcc_s, which Node needs itself, is shared: a static one asks for glibc 2.35.
    # AddressSanitizer wants to see what libstdc++ throws: the shared one.
    if(NOT FUSED_LORA_SANITIZE)
      target_link_options(${target} PRIVATE -static-libstdc++ $<$<CONFIG:Release>:-s>)
    endif()
    target_link_options(${target} PRIVATE -Wl,--exclude-libs,ALL -Wl,-z,now -Wl,--gc-sections)
    if(FUSED_LORA_GLIBC_STUBS)
      target_link_options(${target} PRIVATE "-L${FUSED_LORA_GLIBC_STUBS}")
    endif()
  endif()
  if(UNIX AND NOT APPLE)
    # Never unloaded: Node closes an addon with the last worker that opened it, whose threads may
    # still run its code. gcc's build stayed by chance, for a unique symbol of libstdc++.
    target_link_options(${target} PRIVATE -Wl,-z,nodelete)
    if(FUSED_LORA_CROSS OR FUSED_LORA_GLIBC_STUBS)
      # Templates of libstdc++ are visible whatever -fvisibility says, and nvcc's code makes some.
      target_link_options(${target} PRIVATE "-Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/addon.map")
    endif()
  endif()
endfunction()
