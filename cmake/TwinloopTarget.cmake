# What every target of twinloop gets, and the functions its folders call.

find_package(Threads REQUIRED)

# twinloop_warnings(TARGET): our own code compiles without a warning.  At -O3 gcc 12 warns of the inside of std::string's own operator+
# (gcc's bug 105651).
function(twinloop_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                                           $<$<BOOL:${TWINLOOP_WERROR}>:-Werror>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE -Wno-restrict)
  endif()
endfunction()

# twinloop_precompile(TARGET): its C++ files begin with headers that are parsed once, where the build asks for that.  An optimizing
# gcc 12 then warns of the standard library's code, as if it were ours.
function(twinloop_precompile target)
  if(TWINLOOP_PRECOMPILE)
    target_precompile_headers(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${PROJECT_SOURCE_DIR}/cmake/precompiled.h>")
    target_compile_options(${target} PRIVATE # so that ccache can tell what they hold
      $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fpch-preprocess> "$<$<COMPILE_LANG_AND_ID:CXX,Clang>:SHELL:-Xclang -fno-pch-timestamp>")
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      target_compile_options(${target} PRIVATE -Wno-array-bounds -Wno-maybe-uninitialized -Wno-stringop-overflow
                                               -Wno-stringop-overread)
    endif()
  endif()
endfunction()

# twinloop_library_settings(TARGET): how the library itself is compiled, and what its users must compile and link with.
function(twinloop_library_settings target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  twinloop_warnings(${target})
  if(NOT TWINLOOP_RTTI)
    target_compile_options(${target} PRIVATE -fno-rtti)
  endif()
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}" # for sources: "backends/posix/reactor.h"
                             INTERFACE "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
  if(EMSCRIPTEN)
    target_compile_options(${target} PUBLIC -fexceptions)
    target_link_options(${target} INTERFACE -fexceptions -sALLOW_MEMORY_GROWTH=1 -sSTACK_SIZE=262144)
  else()
    target_link_libraries(${target} PUBLIC Threads::Threads)
  endif()
endfunction()

# twinloop_public_headers(DIR): DIR (of the calling folder) holds twinloop/*.h that users include; they are installed.
function(twinloop_public_headers dir)
  get_filename_component(dir "${dir}" ABSOLUTE)
  target_include_directories(twinloop PUBLIC "$<BUILD_INTERFACE:${dir}>")
  install(DIRECTORY "${dir}/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")
endfunction()

# twinloop_dependency(LINE): users of the installed library must run LINE to find a library that twinloop links.
# Example: twinloop_dependency("find_dependency(OpenSSL 3)")
function(twinloop_dependency line)
  set_property(GLOBAL APPEND_STRING PROPERTY TWINLOOP_DEPENDENCIES "${line}\n")
endfunction()

# twinloop_install(TARGET): the library, its exported target and the files that find_package(twinloop) reads.
function(twinloop_install target)
  include(CMakePackageConfigHelpers)
  set(folder "${CMAKE_INSTALL_LIBDIR}/cmake/twinloop")
  get_property(TWINLOOP_DEPENDENCIES GLOBAL PROPERTY TWINLOOP_DEPENDENCIES)
  configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/TwinloopConfig.cmake.in" "${PROJECT_BINARY_DIR}/twinloop-config.cmake"
                                INSTALL_DESTINATION "${folder}")
  write_basic_package_version_file("${PROJECT_BINARY_DIR}/twinloop-config-version.cmake" COMPATIBILITY SameMinorVersion)

  install(TARGETS ${target} EXPORT twinloop ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(EXPORT twinloop NAMESPACE twinloop:: FILE twinloop-targets.cmake DESTINATION "${folder}")
  install(FILES "${PROJECT_BINARY_DIR}/twinloop-config.cmake" "${PROJECT_BINARY_DIR}/twinloop-config-version.cmake"
          DESTINATION "${folder}")
endfunction()
