// What is said when none of several addresses would do.
#pragma once

#include <string>
#include <system_error>

#include "backends/posix/socket.h"
#include "twinloop/error.h"

namespace twinloop::detail {

// Collects why each address failed; the last reason is the code of the error, whose message ends with it.
class Attempts {
 public:
  explicit Attempts(std::string what) noexcept : context_(std::move(what)) {}

  void note(const Address& address, const std::error_code& error) {
    context_ += error_ ? ": " + error_.message() + "; " : std::string(": ");
    context_ += address.text();
    error_ = error;
  }
  Errc reason() const noexcept { return reason_of(error_); }
  [[noreturn]] void raise() const { throw_error(error_, context_); }

 private:
  std::string context_;
  std::error_code error_;
};

}  // namespace twinloop::detail
