// What core asks of the generated backends/builtin.cpp: which backends and URL schemes this build has.  Core names none itself.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include "twinloop/capabilities.h"
#include "twinloop/detail/function.h"
#include "twinloop/future.h"
#include "twinloop/log.h"
#include "twinloop/socket_options.h"

namespace twinloop {

class Backend;
class IOStream;
struct ConnectOptions;
struct ListenOptions;
struct Url;

namespace detail {

struct BackendEntry {
  std::string_view name;
  std::unique_ptr<Backend> (*make)();
  bool (*available)() noexcept;
  Capabilities capabilities;
  bool hosted;
};

// A filter that turns a stream of scheme `below` into one of `scheme`.
struct SchemeEntry {
  std::string_view scheme;
  std::string_view below;
  Future<IOStream> (*connect)(IOStream lower, const Url& url, const ConnectOptions& options);
  Future<IOStream> (*accept)(IOStream lower, const Url& url, const ListenOptions& options);
  void (*check_listener)(const Url& url, const ListenOptions& options) = nullptr;
  // Throws before anything listens where the options lack what accept() needs.
  std::string_view missing = {};
  // "this build has no OpenSSL": then connect and accept are null.
};

std::span<const BackendEntry> builtin_backends() noexcept;
// Best first.

std::span<const SchemeEntry> builtin_schemes() noexcept;

struct ErrorWords {
  Errc code;
  std::string_view name;
  const char* message;
};

std::span<const ErrorWords> platform_errors() noexcept;
// The words of those errors that only this platform can meet; a page pays for no others.

void platform_log(LogLevel level, std::string_view text) noexcept;
// stderr, or the browser's console.

void platform_exit(int status) noexcept;
// Hosted: tells the host that the program's coroutine ended.  Natively nothing: main() returns.

const char* platform_environment(const char* variable) noexcept;
// An environment variable, or nullptr.

bool platform_has_threads() noexcept;
std::thread platform_start_thread(Function<void()> function);
// A thread that no signal handler runs on.

void platform_after_fork() noexcept;
// In a forked child: what the process has beside its loops (signals that they watch) is as if there had never been one.

bool platform_save(const char* path, std::string_view text) noexcept;
// Writes a file; false when it could not.  In a browser the host's `save(path, text)` does what it likes with it.

bool platform_has_sockets() noexcept;
Result<> platform_set_socket_options(int handle, const SocketOptions& options);
// In the order in which SocketOptions lists them, up to the first that fails; the failure names it.  not_supported without a socket
// (-1), and where the kind of socket, or the system, has no such option.
Result<SocketOptions> platform_socket_options(int handle);
// Those that this kind of socket has.

std::size_t platform_move(int from, int to, std::size_t most, std::string& rest);
// Moves bytes that have arrived at one descriptor to another inside the system, without waiting, and says how many it took; `rest`
// gets those of them that `to` had no room for.  0 where there are none, where the system cannot, and where something is wrong that
// a read or a write will tell.  Throws where there is no memory for `rest`: then those bytes are lost.

void platform_on_trace_request(Function<void()> function);
// Hosted: calls it whenever the host wants the trace saved.  An empty one: no more.

}  // namespace detail
}  // namespace twinloop
