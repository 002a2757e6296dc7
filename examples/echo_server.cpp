// Sends back what it receives, on any number of URLs: echo_server tcp://127.0.0.1:0 ws://127.0.0.1:9000/echo
#include <string>
#include <string_view>
#include <vector>

#include "command_line.h"
#include "twinloop/net.h"

using namespace twinloop;

// Both run until the peer has gone, and with the coroutine ends the stream, which still delivers what was written.  A view is what
// was read where it lies: nobody needs it longer than until the next read.  Where connections come and go all the time it pays to
// ask whether a read has failed; in the second the exception ends the coroutine.
Future<void> echo_bytes(IOStream stream) {
  for (;;) {
    Future<std::string_view> bytes = stream.read_some_view();
    co_await settled(bytes);
    if (!bytes.ok()) co_return;
    co_await stream.write(bytes.result());
  }
}

Future<void> echo_lines(IOStream stream) {
  for (;;) co_await stream.write(co_await stream.read_until_view("\n"));
}

Future<void> serve_urls(std::vector<std::string> urls, bool lines) {
  std::vector<Future<void>> serving;
  for (const std::string& url : urls) {
    Listener listener = co_await listen(url);
    announce(listener.url());
    serving.push_back(serve(std::move(listener), lines ? echo_lines : echo_bytes));
  }
  for (Future<void>& each : serving) co_await each;
}

int main(int argc, char** argv) {
  CLI::App app("Sends back what it receives.", "echo_server");
  std::vector<std::string> urls;
  bool lines = false;
  app.add_option("URL", urls, "Where to listen, as tcp://127.0.0.1:0 (port 0: any free one)")->required();
  app.add_flag("--lines", lines, "Answer line by line");
  return run_command(app, argc, argv, [&] { return serve_urls(urls, lines); });
}
