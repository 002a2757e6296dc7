#include "twinloop/error.h"

#include <array>

namespace twinloop {
namespace {

struct Entry {
  Errc code;
  std::string_view name;
  const char* message;
};

constexpr std::array kEntries = {
    Entry{Errc::end, "end", "the peer ended the connection"},
    Entry{Errc::reset, "reset", "the connection was reset"},
    Entry{Errc::refused, "refused", "the connection was refused"},
    Entry{Errc::unreachable, "unreachable", "the host cannot be reached"},
    Entry{Errc::unresolved, "unresolved", "the name has no address"},
    Entry{Errc::in_use, "in_use", "the address is in use"},
    Entry{Errc::denied, "denied", "permission denied"},
    Entry{Errc::not_found, "not_found", "no such file or directory"},
    Entry{Errc::truncated, "truncated", "the connection ended without a goodbye"},
    Entry{Errc::protocol, "protocol", "the peer broke the protocol"},
    Entry{Errc::overflow, "overflow", "more data arrived than may be held"},
    Entry{Errc::limit, "limit", "a limit was reached"},
    Entry{Errc::unsatisfiable_read, "unsatisfiable_read", "the delimiter was not found within max_bytes"},
    Entry{Errc::timeout, "timeout", "the deadline passed"},
    Entry{Errc::idle_timeout, "idle_timeout", "nothing arrived for too long"},
    Entry{Errc::cancelled, "cancelled", "the operation was cancelled"},
    Entry{Errc::local, "local", "the stream was closed on this side"},
    Entry{Errc::loop_closed, "loop_closed", "the loop was closed"},
    Entry{Errc::not_supported, "not_supported", "not supported here"},
    Entry{Errc::broken_promise, "broken_promise", "the promise was destroyed unfulfilled"},
    Entry{Errc::busy, "busy", "the same operation is already pending"},
    Entry{Errc::invalid_url, "invalid_url", "not a valid URL"},
    Entry{Errc::unknown_scheme, "unknown_scheme", "no transport of that name"},
    Entry{Errc::unknown_backend, "unknown_backend", "no backend of that name"},
    Entry{Errc::descriptors_exhausted, "descriptors_exhausted", "no file descriptor is available"},
    Entry{Errc::bad_descriptor, "bad_descriptor", "no such file descriptor is open or watched"},
    Entry{Errc::plaintext_before_tls, "plaintext_before_tls", "bytes arrived before TLS started"},
    Entry{Errc::bad_certificate, "bad_certificate", "a certificate was not accepted"},
    Entry{Errc::process_failed, "process_failed", "the program failed"},
    Entry{Errc::io, "io", "input/output error"},
};

const Entry* find(int value) noexcept {
  for (const Entry& entry : kEntries) {
    if (static_cast<int>(entry.code) == value) return &entry;
  }
  return nullptr;
}

class Category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "twinloop"; }
  std::string message(int value) const override {
    const Entry* entry = find(value);
    return entry != nullptr ? entry->message : "unknown error";
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
  const Entry* entry = find(static_cast<int>(code));
  return entry != nullptr ? entry->name : "unknown";
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
