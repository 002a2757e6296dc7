# Settings of a whole build, made only when twinloop is its top: a project that embeds twinloop decides these for itself.

set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
endif()

find_program(TWINLOOP_CCACHE ccache)
mark_as_advanced(TWINLOOP_CCACHE)
if(TWINLOOP_CCACHE AND NOT EMSCRIPTEN AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env CCACHE_SLOPPINESS=pch_defines,time_macros "${TWINLOOP_CCACHE}")
endif()

if(NOT EMSCRIPTEN)
  option(TWINLOOP_PRECOMPILE "Parse the headers that nearly every file includes once for each target" ON)
endif()

if(TWINLOOP_SANITIZE)
  add_compile_options("-fsanitize=${TWINLOOP_SANITIZE}" -fno-sanitize-recover=all -fno-omit-frame-pointer)
  if(TWINLOOP_SANITIZE MATCHES undefined) # it probes memory through a pipe, which fails in the tests that run out of descriptors
    add_compile_options(-fno-sanitize=vptr)
  endif()
  add_link_options("-fsanitize=${TWINLOOP_SANITIZE}")
endif()
