# Finds llhttp 8 or newer: as a library, then it makes the target LLHTTP::LLHTTP; else as its C sources, which some distributions
# have only for Node (Debian: node-llhttp), then LLHTTP_SOURCES names them.  Used by the build and, where it is a library,
# installed beside twinloop-config.cmake for its users.
find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(PC_LLHTTP QUIET libllhttp)
endif()

find_path(LLHTTP_INCLUDE_DIR llhttp.h HINTS ${PC_LLHTTP_INCLUDE_DIRS} PATH_SUFFIXES llhttp)
find_library(LLHTTP_LIBRARY NAMES llhttp HINTS ${PC_LLHTTP_LIBRARY_DIRS})
find_path(LLHTTP_SOURCE_DIR llhttp.c PATHS /usr/share/llhttp /usr/local/share/llhttp NO_DEFAULT_PATH)
find_path(LLHTTP_SOURCE_INCLUDE_DIR llhttp.h PATHS /usr/share/include/llhttp /usr/local/share/include/llhttp NO_DEFAULT_PATH)
mark_as_advanced(LLHTTP_INCLUDE_DIR LLHTTP_LIBRARY LLHTTP_SOURCE_DIR LLHTTP_SOURCE_INCLUDE_DIR)

set(LLHTTP_SOURCES "")
if(NOT LLHTTP_LIBRARY AND LLHTTP_SOURCE_DIR AND LLHTTP_SOURCE_INCLUDE_DIR)
  set(LLHTTP_SOURCES "${LLHTTP_SOURCE_DIR}/llhttp.c" "${LLHTTP_SOURCE_DIR}/api.c" "${LLHTTP_SOURCE_DIR}/http.c")
  set(_llhttp_include "${LLHTTP_SOURCE_INCLUDE_DIR}")
  set(_llhttp_what LLHTTP_SOURCE_DIR)
else()
  set(_llhttp_include "${LLHTTP_INCLUDE_DIR}")
  set(_llhttp_what LLHTTP_LIBRARY)
endif()

if(_llhttp_include)
  file(STRINGS "${_llhttp_include}/llhttp.h" _llhttp_numbers REGEX "^#define LLHTTP_VERSION_(MAJOR|MINOR|PATCH) +[0-9]+")
  list(TRANSFORM _llhttp_numbers REPLACE "[^0-9]" "")
  list(JOIN _llhttp_numbers "." LLHTTP_VERSION)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LLHTTP REQUIRED_VARS ${_llhttp_what} _llhttp_include VERSION_VAR LLHTTP_VERSION)

if(LLHTTP_FOUND AND NOT LLHTTP_SOURCES AND NOT TARGET LLHTTP::LLHTTP)
  add_library(LLHTTP::LLHTTP UNKNOWN IMPORTED)
  set_target_properties(LLHTTP::LLHTTP PROPERTIES
    IMPORTED_LOCATION "${LLHTTP_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${_llhttp_include}")
elseif(LLHTTP_SOURCES)
  set(LLHTTP_INCLUDE_DIRS "${_llhttp_include}")
endif()
