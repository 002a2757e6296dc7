// A browser resolves names by itself and tells nobody.
#include "twinloop/cares.h"
#include "twinloop/resolver.h"

namespace twinloop {
namespace {

class NoResolver final : public Resolver {
 public:
  Future<std::vector<std::string>> resolve(std::string host) override {
    return Future<std::vector<std::string>>::failed(Failure(Errc::not_supported, "resolve " + host));
  }
};

}  // namespace

std::shared_ptr<Resolver> system_resolver() { return std::make_shared<NoResolver>(); }

std::shared_ptr<Resolver> cares_resolver(const std::string&) {
  throw Error(Errc::not_supported, "cares_resolver: a browser resolves names by itself");
}

}  // namespace twinloop
