// Names to addresses.  Numbers are read at once; names go to getaddrinfo, which blocks, on one thread that is started for the
// first name.  Dropping the future abandons the question.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backends/posix/socket.h"
#include "twinloop/future.h"

namespace twinloop {
class IOLoop;
}

namespace twinloop::detail {

struct Resolution {
  std::vector<Address> addresses;  // in the order in which to try them
  std::string problem;             // why there is none
};

// What an empty host means.
enum class EmptyHost { loopback, every_address };

class Resolver {
 public:
  explicit Resolver(IOLoop& loop);
  ~Resolver();
  // Does not wait for a getaddrinfo that is under way; its answer is thrown away.

  Future<Resolution> resolve(const std::string& host, std::uint16_t port, EmptyHost empty);
  // Fails only when the loop closes.  No address is a Resolution with its problem.

 private:
  struct Worker;
  struct Job;
  class Request;
  static Future<Resolution> ask(IOLoop& loop, std::shared_ptr<Worker> worker, std::shared_ptr<Job> job);

  IOLoop& loop_;
  std::shared_ptr<Worker> worker_;
};

}  // namespace twinloop::detail
