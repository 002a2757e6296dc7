// An echo server in a process of its own, on the first processor: started, measured from outside, ended.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace bench {

bool runs(const std::string& command);
// Whether the shell ends it with success.

std::string python_with(const std::string& module);
// A Python that has it: the one of PATH, else the system's own, whose packages PATH's may not see; "" when neither has.

class ServerProcess {
 public:
  explicit ServerProcess(const std::vector<std::string>& command);
  // Waits until it prints "listening tcp://127.0.0.1:PORT".  Ends the benchmark with a message when it does not.
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;
  ~ServerProcess();

  std::uint16_t port() const noexcept { return port_; }

  double processor_time() const;  // ns, all threads, user and kernel
  std::size_t resident_bytes() const;

  std::size_t system_calls_during(const std::function<void()>& work) const;
  std::size_t instructions_during(const std::function<void()>& work) const;
  // Of its main thread, in user space, while `work` runs in a thread of this process.  Traced, so the server is many times slower.

 private:
  template <class Count>
  std::size_t traced(const std::function<void()>& work, Count count) const;

  pid_t pid_ = 0;
  int output_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace bench
