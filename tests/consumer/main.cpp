// The same program natively and in wasm: two coroutines talk over the in-process pipe.
#include <cstdio>
#include <string>

#include <twinloop/net.h>
#include <twinloop/run_main.h>

using namespace twinloop;

Future<void> shout(IOStream stream) {
  while (auto line = co_await stream.next_line()) co_await stream.write(*line + "!\n");
}

Future<int> talk() {
  auto [near, far] = make_pair_streams();
  Future<void> shouting = shout(std::move(far));
  co_await near.write("consumer\n");
  const std::string answer = co_await near.read_until("\n");
  std::printf("%s", answer.c_str());
  co_return answer == "consumer!\n" ? 0 : 1;
}

int main() { return run_main(&talk); }
