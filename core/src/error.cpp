#include "twinloop/error.h"

#include <algorithm>
#include <array>
#include <span>

#include "twinloop/detail/builtin.h"

namespace twinloop {
namespace {

using detail::ErrorWords;

constexpr std::array kWords = {
    ErrorWords{Errc::end, "end", "the peer ended the connection"},
    ErrorWords{Errc::reset, "reset", "the connection was reset"},
    ErrorWords{Errc::refused, "refused", "the connection was refused"},
    ErrorWords{Errc::unreachable, "unreachable", "the host cannot be reached"},
    ErrorWords{Errc::unresolved, "unresolved", "the name has no address"},
    ErrorWords{Errc::in_use, "in_use", "the address is in use"},
    ErrorWords{Errc::denied, "denied", "permission denied"},
    ErrorWords{Errc::truncated, "truncated", "the connection ended without a goodbye"},
    ErrorWords{Errc::protocol, "protocol", "the peer broke the protocol"},
    ErrorWords{Errc::overflow, "overflow", "more data arrived than may be held"},
    ErrorWords{Errc::limit, "limit", "a limit was reached"},
    ErrorWords{Errc::unsatisfiable_read, "unsatisfiable_read", "the delimiter was not found within max_bytes"},
    ErrorWords{Errc::timeout, "timeout", "the deadline passed"},
    ErrorWords{Errc::idle_timeout, "idle_timeout", "nothing arrived for too long"},
    ErrorWords{Errc::cancelled, "cancelled", "the operation was cancelled"},
    ErrorWords{Errc::local, "local", "the stream was closed on this side"},
    ErrorWords{Errc::loop_closed, "loop_closed", "the loop was closed"},
    ErrorWords{Errc::not_supported, "not_supported", "not supported here"},
    ErrorWords{Errc::broken_promise, "broken_promise", "the promise was destroyed unfulfilled"},
    ErrorWords{Errc::busy, "busy", "the same operation is already pending"},
    ErrorWords{Errc::invalid_url, "invalid_url", "not a valid URL"},
    ErrorWords{Errc::unknown_scheme, "unknown_scheme", "no transport of that name"},
    ErrorWords{Errc::unknown_backend, "unknown_backend", "no backend of that name"},
    ErrorWords{Errc::invalid_pattern, "invalid_pattern", "not a regular expression"},
    ErrorWords{Errc::io, "io", "input/output error"},
};

const ErrorWords* find(std::span<const ErrorWords> words, int value) noexcept {
  const auto at = std::ranges::find(words, static_cast<Errc>(value), &ErrorWords::code);
  return at != words.end() ? &*at : nullptr;
}

const ErrorWords* find(int value) noexcept {
  const ErrorWords* words = find(kWords, value);
  return words != nullptr ? words : find(detail::platform_errors(), value);
}

class Category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "twinloop"; }
  std::string message(int value) const override {
    const ErrorWords* words = find(value);
    return words != nullptr ? words->message : "unknown error";
  }
};

bool ends_a_stream(Errc reason) noexcept {
  switch (reason) {
    case Errc::end:
    case Errc::reset:
    case Errc::truncated:
    case Errc::protocol:
    case Errc::bad_certificate:
    case Errc::overflow:
    case Errc::unsatisfiable_read:
    case Errc::idle_timeout:
    case Errc::local:
    case Errc::loop_closed:
    case Errc::io:
      return true;
    default:
      return false;
  }
}

std::string describe(const std::error_code& code, std::string_view context) {
  std::string text(context);
  if (!text.empty()) text += ": ";
  return text += code.message();
}

}  // namespace

const std::error_category& twinloop_category() noexcept {
  static const Category category;
  return category;
}

std::error_code make_error_code(Errc code) noexcept { return {static_cast<int>(code), twinloop_category()}; }

std::string_view name(Errc code) noexcept {
  const ErrorWords* words = find(static_cast<int>(code));
  return words != nullptr ? words->name : "unknown";
}

std::string_view advice(Errc code) noexcept {
  switch (code) {
    case Errc::end:
      return "Nothing is wrong; stop reading, or use next_line().";
    case Errc::reset:
      return "The peer crashed, aborted or refused more data; reconnect.";
    case Errc::refused:
      return "Check that the server runs and that the port is right.";
    case Errc::unreachable:
      return "Check the network and the address.";
    case Errc::unresolved:
      return "Check the spelling of the host name and the resolver.";
    case Errc::in_use:
      return "Another program listens there; choose another port, or 0.";
    case Errc::denied:
      return "Ports below 1024 and some files need more rights.";
    case Errc::not_found:
      return "Check the name, and PATH for a program.";
    case Errc::truncated:
      return "Treat what was received as incomplete.";
    case Errc::protocol:
      return "Check that the other side speaks this protocol.";
    case Errc::overflow:
      return "Read faster, or raise max_buffer_size.";
    case Errc::limit:
      return "Raise the limit, or wait for the peer before writing more.";
    case Errc::unsatisfiable_read:
      return "Raise max_bytes, or refuse this peer.";
    case Errc::timeout:
      return "Try again, or allow more time.";
    case Errc::idle_timeout:
      return "The peer is gone or stuck; reconnect.";
    case Errc::cancelled:
      return "Its owner let it go.";
    case Errc::local:
      return "Do not use a stream after close().";
    case Errc::loop_closed:
      return "Finish work before closing its IOLoop.";
    case Errc::not_supported:
      return "The message names the alternative.";
    case Errc::broken_promise:
      return "Its producer went away without an answer.";
    case Errc::busy:
      return "Await the first before starting another.";
    case Errc::invalid_url:
      return "Write scheme://host:port/path.";
    case Errc::unknown_scheme:
      return "Use one of the schemes named.";
    case Errc::unknown_backend:
      return "Use one of the backends named.";
    case Errc::descriptors_exhausted:
      return "Close connections, or raise the limit (ulimit -n); select stops at FD_SETSIZE.";
    case Errc::bad_descriptor:
      return "Remove its handler before the descriptor is closed; regular files cannot be watched.";
    case Errc::plaintext_before_tls:
      return "An attacker or a confused peer spoke too early; close.";
    case Errc::bad_certificate:
      return "The message says which and why: its dates, its host, its authority, its key.";
    case Errc::process_failed:
      return "Its own messages, on stderr, say more.";
    case Errc::invalid_pattern:
      return "Correct the pattern; the message says where.";
    case Errc::io:
      return "The message carries the system's own words.";
  }
  return "";
}

Errc reason_of(const std::error_code& code) noexcept {
  return &code.category() == &twinloop_category() ? static_cast<Errc>(code.value()) : Errc::io;
}

Error::Error(std::error_code code, std::string_view context)
    : std::runtime_error(describe(code, context)), code_(code) {}

void throw_error(std::error_code code, std::string_view context) {
  const Errc reason = reason_of(code);
  if (reason == Errc::timeout) throw TimeoutError(code, context);
  if (ends_a_stream(reason)) throw StreamClosedError(code, context);
  throw Error(code, context);
}

bool is_ordinary_end(const std::error_code& code) noexcept {
  switch (reason_of(code)) {
    case Errc::end:
    case Errc::reset:
    case Errc::truncated:
    case Errc::local:
    case Errc::cancelled:
    case Errc::loop_closed:
      return true;
    default:
      return false;
  }
}

}  // namespace twinloop
