# Finds c-ares and makes the target Cares::Cares.  Used by the build and, installed beside twinloop-config.cmake, by its users:
# distributions' packages of it have no CMake package.
find_path(Cares_INCLUDE_DIR ares.h)
find_library(Cares_LIBRARY NAMES cares)
mark_as_advanced(Cares_INCLUDE_DIR Cares_LIBRARY)

if(Cares_INCLUDE_DIR)
  file(STRINGS "${Cares_INCLUDE_DIR}/ares_version.h" _cares_version REGEX "^#define ARES_VERSION_STR +\"[0-9.]+\"")
  string(REGEX REPLACE ".*\"([0-9.]+)\".*" "\\1" Cares_VERSION "${_cares_version}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Cares REQUIRED_VARS Cares_LIBRARY Cares_INCLUDE_DIR VERSION_VAR Cares_VERSION)

if(Cares_FOUND AND NOT TARGET Cares::Cares)
  add_library(Cares::Cares UNKNOWN IMPORTED)
  set_target_properties(Cares::Cares PROPERTIES
    IMPORTED_LOCATION "${Cares_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${Cares_INCLUDE_DIR}")
endif()
