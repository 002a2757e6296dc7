// A libuv program with a twinloop server inside: one uv_run drives the program's own timer and signal and the coroutines of an
// echo server.  Ctrl-C ends it.
#include <uv.h>

#include <csignal>
#include <cstdio>

#include "twinloop/ioloop.h"
#include "twinloop/libuv.h"
#include "twinloop/net.h"

using namespace twinloop;

// ---- the part that is twinloop

long lines_echoed = 0;

Future<void> echo(IOStream stream) {
  while (auto line = co_await stream.next_line()) {
    co_await stream.write(*line + "\n");
    ++lines_echoed;
  }
}

Future<void> serve_echo() {
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  std::printf("listening %s\n", listener.url().c_str());
  std::fflush(stdout);
  co_await serve(std::move(listener), echo);
}

// ---- the part that was there before: libuv, on the same thread

struct Program {
  IOLoop& loop;
  uv_timer_t clock;
  uv_signal_t interrupt;
};

void on_second(uv_timer_t*) { std::printf("%ld lines so far\n", lines_echoed); }

void on_interrupt(uv_signal_t* signal, int) {
  auto& program = *static_cast<Program*>(signal->data);
  program.loop.close();
  uv_close(reinterpret_cast<uv_handle_t*>(&program.clock), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&program.interrupt), nullptr);
}

int main() {
  uv_loop_t* host = uv_default_loop();
  IOLoop loop(hosted_by(*host));
  loop.spawn(serve_echo);

  Program program{loop, {}, {}};
  program.interrupt.data = &program;
  uv_timer_init(host, &program.clock);
  uv_timer_start(&program.clock, on_second, 1000, 1000);
  uv_signal_init(host, &program.interrupt);
  uv_signal_start(&program.interrupt, on_interrupt, SIGINT);

  uv_run(host, UV_RUN_DEFAULT);
  std::printf("%ld lines in all\n", lines_echoed);
  return uv_loop_close(host) == 0 ? 0 : 1;
}
