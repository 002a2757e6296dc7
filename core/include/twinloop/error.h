// Every way an operation of this library can fail has one name: in C++ (Errc), in messages and in JavaScript.  Errors that are
// part of normal life on a network travel as std::error_code inside futures and cost no throw until somebody asks for the
// result; an exception is what the user sees at `co_await`.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace twinloop {

enum class Errc {
  end = 1,                // the peer ended its sending side; nothing is wrong
  reset,                  // the connection was torn down: RST, EPIPE, or the transport below failed
  refused,                // nobody listens there
  unreachable,            // no route to that host or network
  unresolved,             // the name has no address
  in_use,                 // the address to listen on is taken
  denied,                 // the system does not allow it
  not_found,              // no such program, file or directory
  truncated,              // the connection ended without the protocol's own goodbye
  protocol,               // the peer sent what its protocol does not allow
  overflow,               // more bytes arrived than the limit lets us hold
  limit,                  // a limit of this library, named in the message
  unsatisfiable_read,     // max_bytes were seen without the delimiter
  timeout,                // a deadline passed
  idle_timeout,           // nothing arrived for too long
  cancelled,              // the work was dropped
  local,                  // this end closed the stream
  loop_closed,            // the IOLoop that drove it is gone
  not_supported,          // this platform or transport cannot do it; the message names what can
  broken_promise,         // the promise was destroyed unfulfilled
  busy,                   // the same operation is already pending
  invalid_url,            // the text is no URL of a known form
  unknown_scheme,         // no transport of that name in this build
  unknown_backend,        // no backend of that name in this build
  descriptors_exhausted,  // no file descriptor left, or one that select cannot watch
  bad_descriptor,         // it is not open, not watched, or of a kind that cannot be watched
  plaintext_before_tls,   // bytes arrived in the clear where TLS had to start
  bad_certificate,        // of the peer's or of ours, not accepted; the message says whose and why
  process_failed,         // a program ended with a status other than 0, or by a signal
  invalid_pattern,        // the text is no regular expression; the message says where it is wrong
  io,                     // any other error of the system, in the message
};

const std::error_category& twinloop_category() noexcept;
std::error_code make_error_code(Errc) noexcept;

std::string_view name(Errc) noexcept;
// The identifier, "unsatisfiable_read": the same word in logs and in JavaScript's `error.code`.

std::string_view advice(Errc) noexcept;
// One sentence: what a person can do about it.

Errc reason_of(const std::error_code&) noexcept;
// The reason an error stands for; `io` for codes of other categories.

// What every operation throws.  `what()` says what was tried and what happened.
class Error : public std::runtime_error {
 public:
  explicit Error(std::error_code code, std::string_view context = {});

  const std::error_code& code() const noexcept { return code_; }
  Errc reason() const noexcept { return reason_of(code_); }

 private:
  std::error_code code_;
};

// A read or write that the connection's end made impossible (Tornado's StreamClosedError).  Its reason says which end it was.
class StreamClosedError : public Error {
 public:
  using Error::Error;
};

class TimeoutError : public Error {
 public:
  using Error::Error;
};

[[noreturn]] void throw_error(std::error_code code, std::string_view context = {});
// Throws the class that fits the code: TimeoutError, StreamClosedError for ends of a connection, otherwise Error.

bool is_ordinary_end(const std::error_code&) noexcept;
// True for ends that need no log line when nobody looks: end, reset, truncated, local, cancelled, loop_closed.

}  // namespace twinloop

template <>
struct std::is_error_code_enum<twinloop::Errc> : std::true_type {};
