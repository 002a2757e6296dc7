# Finds libuv and makes the target Libuv::Libuv.  Used by the build and, installed beside twinloop-config.cmake, by its users:
# libuv's own CMake package is in few distributions, and pkg-config is not everywhere.
find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(PC_LIBUV QUIET libuv)
endif()

find_path(Libuv_INCLUDE_DIR uv.h HINTS ${PC_LIBUV_INCLUDE_DIRS})
find_library(Libuv_LIBRARY NAMES uv uv_a HINTS ${PC_LIBUV_LIBRARY_DIRS})
mark_as_advanced(Libuv_INCLUDE_DIR Libuv_LIBRARY)

if(Libuv_INCLUDE_DIR)
  file(STRINGS "${Libuv_INCLUDE_DIR}/uv/version.h" _libuv_numbers REGEX "^#define UV_VERSION_(MAJOR|MINOR|PATCH) +[0-9]+")
  list(TRANSFORM _libuv_numbers REPLACE "[^0-9]" "")
  list(JOIN _libuv_numbers "." Libuv_VERSION)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Libuv REQUIRED_VARS Libuv_LIBRARY Libuv_INCLUDE_DIR VERSION_VAR Libuv_VERSION)

if(Libuv_FOUND AND NOT TARGET Libuv::Libuv)
  add_library(Libuv::Libuv UNKNOWN IMPORTED)
  set_target_properties(Libuv::Libuv PROPERTIES
    IMPORTED_LOCATION "${Libuv_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${Libuv_INCLUDE_DIR}"
    INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS}") # what a static libuv needs
endif()
