// Makes each behaviour one Catch2 test per backend: "epoll: a read that times out leaves its bytes for the next read".
#include <catch2/catch_session.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/internal/catch_test_registry.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "twinloop/detail/builtin.h"
#include "twinloop/ioloop.h"
#include "twinloop/log.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"

namespace {

using namespace twinloop;
using testing::Behaviour;
using testing::Needs;

constexpr Needs kNative = Needs::tcp | Needs::listen | Needs::fds | Needs::threads | Needs::signals;

struct Driver {
  std::string name;
  Needs have;
  std::unique_ptr<Backend> (*make)();
};

std::vector<Driver> drivers() {
  std::vector<Driver> all;
  all.push_back(
      {"manual", Needs::nothing, [] { return std::unique_ptr<Backend>(std::make_unique<testing::ManualBackend>()); }});
  for (const detail::BackendEntry& entry : detail::builtin_backends()) {
    if (entry.available()) all.push_back({std::string(entry.name), kNative, entry.make});
  }
  const char* chosen = detail::platform_environment("TWINLOOP_BACKEND");
  if (chosen != nullptr && *chosen != '\0')
    std::erase_if(all, [&](const Driver& driver) { return driver.name != chosen; });
  return all;
}

class Invoker final : public Catch::ITestInvoker {
 public:
  Invoker(const Driver& driver, const Behaviour& behaviour) : driver_(driver), behaviour_(behaviour) {}

  void invoke() const override {
    IOLoop loop(driver_.make());
    std::string failure;
    try {
      loop.run_sync([this] { return with_timeout(std::chrono::seconds(60), behaviour_.run()); });
    } catch (const std::exception& error) {
      failure = error.what();
    }
    INFO(failure);
    REQUIRE(failure.empty());
  }

 private:
  const Driver& driver_;
  const Behaviour& behaviour_;
};

}  // namespace

int main(int argc, char** argv) {
  const std::vector<Driver> all = drivers();
  for (const Driver& driver : all) {
    for (const Behaviour& behaviour : testing::behaviours()) {
      if (!covers(driver.have, behaviour.needs)) continue;  // the manual loop has no network, threads or descriptors
      const std::string name = driver.name + ": " + behaviour.name;
      const std::string tags = "[" + driver.name + "]" + (covers(behaviour.needs, Needs::threads) ? "[threads]" : "");
      const Catch::AutoReg registered(Catch::Detail::make_unique<Invoker>(driver, behaviour),
                                      Catch::SourceLineInfo(__FILE__, __LINE__), Catch::StringRef(),
                                      Catch::NameAndTags(name, tags));
      (void)registered;
    }
  }
  return Catch::Session().run(argc, argv);
}
