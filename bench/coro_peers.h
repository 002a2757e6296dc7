// What others offer of the same kind.
#pragma once

#include <string>
#include <vector>

namespace bench {

struct CoroPeer {
  using Measure = double (*)(std::size_t count);  // nanoseconds for all of them; null where it has nothing of the kind

  std::string name;
  std::string version{};
  Measure ready_future = nullptr;
  Measure finished_coroutine = nullptr;
  Measure hop = nullptr;
  Measure pending_promise = nullptr;
  Measure child_that_hops = nullptr;
  Measure spawn = nullptr;
  Measure timeout = nullptr;
  Measure queue = nullptr;
};

std::vector<CoroPeer> coro_asio();
// None where Asio is not installed.

}  // namespace bench
