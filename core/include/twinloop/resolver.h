// Resolver: from the name of a host to its addresses, where the system's answer is not wanted.  Given to
// ConnectOptions::set_resolver.  A browser resolves by itself.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "twinloop/future.h"

namespace twinloop {

class Resolver {
 public:
  virtual ~Resolver() = default;

  virtual Future<std::vector<std::string>> resolve(std::string host) = 0;
  // Addresses as text ("192.0.2.1", "2001:db8::1"), the one to try first in front.  Not asked for what is an address already.
  // None, or a failure, makes connect() fail with `unresolved` and this failure's words.
};

std::shared_ptr<Resolver> system_resolver();
// The system's (getaddrinfo), in the current loop's executor.

// Tornado's OverrideResolver: some hosts are elsewhere, the others where the resolver below says.
class OverrideResolver final : public Resolver {
 public:
  explicit OverrideResolver(std::map<std::string, std::vector<std::string>, std::less<>> hosts,
                            std::shared_ptr<Resolver> below = system_resolver())
      : hosts_(std::move(hosts)), below_(std::move(below)) {}

  Future<std::vector<std::string>> resolve(std::string host) override {
    const auto found = hosts_.find(host);
    if (found == hosts_.end()) return below_->resolve(std::move(host));
    return Future<std::vector<std::string>>::ready(found->second);
  }

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> hosts_;
  std::shared_ptr<Resolver> below_;
};

}  // namespace twinloop
