// SSLKEYLOGFILE: the secrets of connections, one a line, for programs that look into captured traffic.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

namespace twinloop::detail {

class KeyLog {
 public:
  explicit KeyLog(const std::string& path);
  // Appends.  Throws Error(io) when the file cannot be opened.

  void write(std::string_view line) noexcept;

 private:
  struct Close {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace twinloop::detail
