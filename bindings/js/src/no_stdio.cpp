// The C++ runtime formats three texts through C's library, which would be a tenth of the module: the names of errno values, "unknown
// error N", and what it says before it aborts.  Nobody here reads them.
#include <cstddef>

extern "C" {

int snprintf(char* into, std::size_t size, const char*, ...) {
  if (size > 0) *into = '\0';
  return 0;
}

int strerror_r(int, char* into, std::size_t size) {
  if (size > 0) *into = '\0';
  return 0;
}

void abort_message(const char*, ...) { __builtin_trap(); }
}
