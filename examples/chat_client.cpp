// A chat client, compiled twice and unchanged: for a terminal, where TCP or
// WebSocket carries it, and to WebAssembly, where the page's WebSocket does.
//   chat_client [URL] [NAME]       tcp://host:port, or ws://host:port/chat
#include <string>

#include "twinloop/net.h"
#include "twinloop/run_main.h"

using namespace twinloop;

// Prints what the room says.  A room says "bye" before it ends.
Future<void> print_lines(IOStream& room, IOStream& terminal) {
  std::string last;
  while (auto line = co_await room.next_line()) {
    last = *line;
    co_await terminal.write(*line + "\n");
  }
  if (last != "bye") throw_error(Errc::truncated, "the chat room");
}

// Sends what is typed, until the end of it.
Future<void> send_lines(IOStream& terminal, IOStream& room) {
  while (auto line = co_await terminal.next_line()) {
    if (*line == "/quit") break;
    if (*line == "/who") {
      co_await room.write("who\n");
    } else if (!line->empty()) {
      co_await room.write("say " + *line + "\n");
    }
  }
  co_await room.write("quit\n");
}

Future<void> chat(IOStream room, IOStream terminal, std::string name) {
  co_await room.write("name " + name + "\n");
  // Sending goes on beside printing, and is cancelled when printing ends.
  Future<void> sending = send_lines(terminal, room);
  co_await print_lines(room, terminal);
}

Future<void> join(std::string url, std::string name) {
  IOStream room = co_await connect(url);
  IOStream terminal = co_await connect("stdio:");
  co_await chat(std::move(room), std::move(terminal), name);
}

int main(int argc, char** argv) {
  const std::string url = argc > 1 ? argv[1] : "tcp://127.0.0.1:8081";
  const std::string name = argc > 2 ? argv[2] : "guest";
  return run_main([=] { return join(url, name); });
}
