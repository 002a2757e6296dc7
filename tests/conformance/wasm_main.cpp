// The behaviours in wasm: a program that prints TAP on `stdio:`, for Node and for a page.  Its argument is a filter.
#include <string>

#include "twinloop/net.h"
#include "twinloop/run_main.h"
#include "twinloop/testing.h"

namespace {

using namespace twinloop;

IOStream* output = nullptr;

void print(std::string_view line) {
  std::string text(line);
  text += '\n';
  output->write(std::move(text)).ignore();
}

Future<int> run(std::string filter) {
  IOStream terminal = co_await connect("stdio:");
  output = &terminal;
  const int status =
      co_await testing::run_behaviours(IOLoop::available_backends().front().capabilities, filter, &print);
  co_await terminal.flush();
  co_return status;
}

}  // namespace

int main(int argc, char** argv) {
  return run_main([=] { return run(argc > 1 ? argv[1] : ""); });
}
