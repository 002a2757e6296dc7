// What behaviours share: a signal to wait for, the log while it is looked at, work that keeps the loop.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "twinloop/ioloop.h"
#include "twinloop/log.h"
#include "twinloop/testing.h"

namespace twinloop::testing {

// A promise and its future, made where callbacks can reach them.
struct Signal {
  Promise<void> promise;
  Future<void> future = promise.get_future();
};

// Counts the frames, callables and arguments that hold one.
class Alive {
 public:
  explicit Alive(int& number) noexcept : number_(&number) { ++*number_; }
  Alive(Alive&& other) noexcept : number_(std::exchange(other.number_, nullptr)) {}
  Alive& operator=(Alive&&) = delete;
  ~Alive() {
    if (number_ != nullptr) --*number_;
  }

 private:
  int* number_;
};

// Completed, and dropped before anybody has looked at the result.
template <class T>
Future<void> complete_and_drop(Future<T> operation) {
  while (!operation.done()) co_await moment();
}

// What is logged, by any thread, while it lives.
class RecordedLog {
 public:
  RecordedLog() : former_(set_log_handler(&RecordedLog::record)) {
    const std::lock_guard lock(mutex);
    lines.clear();
  }
  ~RecordedLog() { set_log_handler(former_); }
  RecordedLog(const RecordedLog&) = delete;
  RecordedLog& operator=(const RecordedLog&) = delete;

  int count(LogLevel level) const {
    const std::lock_guard lock(mutex);
    int number = 0;
    for (const Line& line : lines) number += line.level == level ? 1 : 0;
    return number;
  }

  std::string text() const {
    const std::lock_guard lock(mutex);
    std::string all;
    for (const Line& line : lines) all += line.text + "\n";
    return all;
  }

  bool mentions(std::string_view part) const { return text().find(part) != std::string::npos; }

 private:
  struct Line {
    LogLevel level;
    std::string text;
  };

  static void record(LogLevel level, std::string_view text, const Location&) {
    const std::lock_guard lock(mutex);
    lines.push_back({level, std::string(text)});
  }

  static inline std::mutex mutex;
  static inline std::vector<Line> lines;  // guarded by mutex
  LogHandler former_;
};

inline bool has_manual_clock() { return IOLoop::current().backend_name() == "manual"; }

// Bytes that differ everywhere, so that a piece that is lost, doubled or moved shows.
inline std::string numbered(std::size_t size) {
  std::string bytes;
  bytes.reserve(size + sizeof(std::uint32_t));
  for (std::uint32_t number = 0; bytes.size() < size; ++number) {
    const std::uint32_t mixed = number * 2654435761U;
    bytes.append(reinterpret_cast<const char*>(&mixed), sizeof mixed);
  }
  bytes.resize(size);
  return bytes;
}

// Keeps the loop for that long, as a slow computation does.
inline void keep_busy(Duration time) {
  IOLoop& loop = IOLoop::current();
  if (has_manual_clock()) return static_cast<ManualBackend&>(loop.backend()).advance(time);
  const TimePoint until = loop.clock() + time;
  while (loop.clock() < until) {
  }
}

}  // namespace twinloop::testing
