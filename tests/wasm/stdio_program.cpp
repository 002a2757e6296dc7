// `stdio:` of a page, as tests/web/stdio.test.mjs drives it.  Its argument says what to do.
#include <string>

#include "twinloop/net.h"
#include "twinloop/result.h"
#include "twinloop/run_main.h"

namespace {

using namespace twinloop;

Future<std::string> ask(std::string question) {
  IOStream terminal = co_await connect("stdio:");
  co_await terminal.write(question + "\n");
  std::string answer = co_await terminal.read_until("\n");
  co_return answer;
}

Future<int> ask_twice() {
  const std::string name = co_await ask("name?");
  const std::string place = co_await ask("place?");
  co_return name == "twin\n" && place == "page\n" ? 0 : 2;
}

// The first one hears its answer although a second one was asked for.
Future<int> open_two() {
  Future<std::string> first = ask("name?");
  Future<IOStream> connecting = connect("stdio:");
  const Result<IOStream> second = co_await as_result(std::move(connecting));
  if (second.reason() != Errc::busy) co_return 2;
  const std::string name = co_await std::move(first);
  co_return name == "twin\n" ? 0 : 3;
}

Future<int> await_the_end() {
  IOStream terminal = co_await connect("stdio:");
  co_await terminal.write("end?\n");
  co_await terminal.peer_ended();
  co_return 0;
}

Future<int> run(std::string what) {
  if (what == "ask twice") return ask_twice();
  if (what == "open two") return open_two();
  return await_the_end();
}

}  // namespace

int main(int argc, char** argv) {
  return run_main([=] { return run(argc > 1 ? argv[1] : ""); });
}
