// A long poll: who asks /wait hears of the next message, and the server knows at once when he has gone.
//
//   long_poll http://127.0.0.1:8888          then, elsewhere:
//   curl http://127.0.0.1:8888/wait          waits; end it with ^C, kill -9, or close the page's tab
//   curl -d text=hello http://127.0.0.1:8888/say
//
// A client that vanishes without a word, its cable pulled, is noticed by TCP's keep-alive: here after 16 seconds of silence, or as
// --keep-alive says.
#include <cstdio>
#include <string>
#include <utility>

#include "command_line.h"
#include "twinloop/locks.h"
#include "twinloop/tls.h"
#include "twinloop/web.h"

using namespace std::chrono_literals;
using namespace twinloop;

constexpr const char* kPage = R"(<!DOCTYPE html><meta charset="utf-8"><title>Long poll</title>
<form id="say"><input name="text" autofocus> <button>Say</button></form><ul id="heard"></ul>
<script>
const say = document.getElementById('say');
say.onsubmit = (event) => {
  event.preventDefault();
  fetch('/say', { method: 'POST', body: new URLSearchParams(new FormData(say)) });
  say.reset();
};
(async () => {
  for (;;) {
    const reply = await fetch('/wait');
    document.getElementById('heard').appendChild(document.createElement('li')).textContent = await reply.text();
  }
})();
</script>
)";

// The message that everybody waits for.
class Board {
 public:
  Future<std::string> next() {
    co_await changed_.wait();
    co_return text_;
  }
  void say(std::string text) {
    text_ = std::move(text);
    changed_.notify_all();
  }
  int next_number() { return ++waited_; }

 private:
  Condition changed_;
  std::string text_;
  int waited_ = 0;
};

class Page : public RequestHandler {
  Future<void> get() override { return finish(kPage); }
};

class Say : public RequestHandler {
 public:
  explicit Say(Board& board) : board_(board) {}

 private:
  Future<void> post() override {
    board_.say(get_argument("text"));
    set_status(204);
    return finish();
  }
  Board& board_;
};

// Its get() is dropped where it waits when the client goes; then on_connection_close() tells.
class Wait : public RequestHandler {
 public:
  explicit Wait(Board& board) : board_(board), number_(board.next_number()) {}

 private:
  Future<void> get() override {
    set_cancel_on_connection_close(true);
    std::printf("#%d waits: %s\n", number_, request().remote_ip().c_str());
    std::fflush(stdout);
    const std::string text = co_await board_.next();
    write(text + "\n");
  }
  void on_finish() override { tell("answered"); }
  void on_connection_close() override { tell("gone (" + request().close_reason().message() + ")"); }

  void tell(const std::string& what) {
    const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(request().request_time());
    std::printf("#%d %s after %lld ms\n", number_, what.c_str(), static_cast<long long>(time.count()));
    std::fflush(stdout);
  }

  Board& board_;
  int number_;
};

struct Patience {
  unsigned idle = 10;  // seconds of silence, then the client is asked
  unsigned interval = 2;
  int count = 3;  // times, then it has gone
};

Future<void> serve_board(std::string url, std::string certificate, std::string key, Patience patience) {
  Board board;
  Application app;
  app.add<Page>("/");
  app.add<Say>("/say", std::ref(board));
  app.add<Wait>("/wait", std::ref(board));
  ListenOptions options;
  options.set_socket(SocketOptions().keep_alive(std::chrono::seconds(patience.idle),
                                                std::chrono::seconds(patience.interval), patience.count));
  if (!certificate.empty()) {
    options.set_tls(TlsServerContext(TlsOptions().identity(TlsIdentity::files(certificate, key))));
  }
  announce(co_await app.listen(std::move(url), std::move(options)));
  co_await app.stopped();
}

int main(int argc, char** argv) {
  CLI::App app("A long poll that knows when its clients have gone.", "long_poll");
  std::string url, certificate, key;
  app.add_option("URL", url, "Where to listen, as http://127.0.0.1:8888 or https://127.0.0.1:0")->required();
  app.add_option("--certificate", certificate, "For https: the certificate and those above it, in PEM");
  app.add_option("--key", key, "For https: its private key, in PEM");
  Patience patience;
  app.add_option("--keep-alive", patience.idle,
                 "After how many seconds of silence a client is asked whether it is there")
      ->check(CLI::Range(1, 86400));
  app.add_option("--interval", patience.interval, "After how many more it is asked again")->check(CLI::Range(1, 3600));
  app.add_option("--probes", patience.count, "How often it is asked before it counts as gone")
      ->check(CLI::Range(1, 100));
  return run_command(app, argc, argv, [&] { return serve_board(url, certificate, key, patience); });
}
