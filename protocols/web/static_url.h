// Versions of static files, for their URLs: hashes of what is in them, made again when a file has another time or another size.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "twinloop/future.h"

namespace twinloop::detail {

class StaticVersions {
 public:
  explicit StaticVersions(std::string folder) : folder_(std::move(folder)) {}

  Future<std::string> version_of(std::string path);
  // 40 hexadecimal digits, the same on every machine; "" for what is not there or cannot be read, which is logged.  The file is looked
  // at in the executor.

  // A file's version, and what it had when it got that.
  struct Version {
    std::chrono::system_clock::time_point modified;
    std::uint64_t size = 0;
    std::string hash;
  };

 private:
  std::string folder_;
  std::map<std::string, Version> known_;
};

}  // namespace twinloop::detail
