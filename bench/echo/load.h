// The client side of `./dev bench echo` and `./dev bench ws`: many connections on one thread, every echoed byte compared with what was sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace bench {

struct LoadPlan {
  std::size_t connections = 1;
  std::size_t message = 64;  // bytes; with `lines` the last one is a newline
  std::size_t depth = 1;     // messages under way on each connection
  bool websocket = false;    // each message is a masked frame, its echo one that is not
  bool tls = false;
};

struct LoadResult {
  std::uint64_t messages = 0;
  double seconds = 0;
  double median_latency = 0, p99_latency = 0;  // µs, from the message's last byte sent to the last byte of its echo
  double fairness = 0;                         // messages of the worst-served connection / of the best
};

class Load {
 public:
  Load(std::uint16_t port, const LoadPlan& plan);
  // Connects all.  Ends the benchmark with a message when something fails, here or later.
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;
  ~Load();

  void run(double seconds);
  LoadResult measure(double seconds);
  // Round trips for that long; measure() looks at them.
  void run_messages(std::size_t count);
  // At least so many; at the end nothing is under way.

 private:
  class Connection;
  void turn(int timeout);
  void finish();

  LoadPlan plan_;
  int epoll_ = -1;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::uint64_t messages_ = 0;
  bool sending_ = false;
  std::vector<char> received_;
  std::vector<float> latencies_;  // µs
  bool measuring_ = false;
};

std::size_t churn(std::uint16_t port, double seconds, std::size_t together);
// Connects, exchanges 64 bytes, closes, again and again on `together` connections at once; how often.  The client closes first.

void hold_idle(std::uint16_t port, std::size_t connections, const std::function<void()>& when_held);
// Opens that many, exchanges 64 bytes on each, and calls back while all of them are idle.

}  // namespace bench
