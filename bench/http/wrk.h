// The load: wrk, in a process of its own on the second processor.
#pragma once

#include <cstdint>
#include <string>

namespace bench {

struct HttpLoad {
  std::size_t connections = 64;
  std::size_t depth = 1;  // requests that a client sends together
};

struct HttpResult {
  double requests = 0;
  double seconds = 0;
  double median = 0, p99 = 0;  // µs, of a batch
};

HttpResult run_wrk(std::uint16_t port, const HttpLoad& load, double seconds, const std::string& script);
// Ends the benchmark with a message when wrk cannot be run or a request failed.

std::size_t ask(std::uint16_t port, const HttpLoad& load, std::size_t rounds);
// So many batches on each connection, from this thread; gives how many requests that were.

}  // namespace bench
