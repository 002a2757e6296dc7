// A netcat for every URL that twinloop knows: joins standard input and output to a stream.
#include <cstdio>
#include <string>

#include "command_line.h"
#include "twinloop/net.h"

using namespace twinloop;

// Copies until `from` ends in order; any other ending is thrown.
Future<void> copy(IOStream& from, IOStream& to) {
  for (;;) {
    Result<std::string> bytes = co_await as_result(from.read_some());
    if (!bytes.ok() && bytes.reason() == Errc::end) co_return;
    co_await to.write(std::move(bytes).value());
  }
}

// The end of standard input is passed on.  A failure ends both directions, and the streams know why.
Future<void> send(IOStream& terminal, IOStream& peer) {
  const Result<void> copied = co_await as_result(copy(terminal, peer));
  if (!copied.ok()) co_return peer.close();
  const Result<void> ended = co_await as_result(peer.shutdown_write());
  if (!ended.ok()) peer.close();
}

Future<void> receive(IOStream& peer, IOStream& terminal) {
  co_await copy(peer, terminal);
  co_await terminal.flush();
}

// Ends with the peer.
Future<void> join(std::string url) {
  IOStream peer = co_await connect(url);
  IOStream terminal = co_await connect("stdio:");
  Future<void> sending = send(terminal, peer);
  const Result<void> received = co_await as_result(receive(peer, terminal));
  if (received.ok()) co_return;
  if (terminal.is_closed()) throw_error(terminal.error(), "standard input or output");
  received.failure().raise();
}

Future<int> stream_cat(std::string url) {
  const Result<void> joined = co_await as_result(join(url));
  if (joined.ok()) co_return 0;
  const std::string reason = joined.failure().message();
  const bool names_url = reason.find(url) != std::string::npos;
  std::fprintf(stderr, "stream_cat: %s%s%s\n", names_url ? "" : url.c_str(), names_url ? "" : ": ", reason.c_str());
  co_return 1;
}

int main(int argc, char** argv) {
  CLI::App app("Joins standard input and output to a stream, and ends with it.", "stream_cat");
  std::string url;
  app.add_option("URL", url, "What to connect to, as tcp://host:port or ws://host:port/path")->required();
  return run_command(app, argc, argv, [&] { return stream_cat(url); });
}
