// Makes each behaviour one Catch2 test per backend: "epoll: a read that times out leaves its bytes for the next read".
#include <catch2/catch_session.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/internal/catch_test_registry.hpp>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "drivers.h"
#include "twinloop/detail/builtin.h"
#include "twinloop/ioloop.h"
#include "twinloop/log.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"

namespace {

using namespace twinloop;
using testing::Behaviour;
using testing::Needs;

constexpr Needs kSystem = Needs::tcp | Needs::listen | Needs::fds | Needs::threads | Needs::signals;

struct Driver {
  std::string name;
  Needs have;
  std::function<void(const Behaviour&)> run;
};

// A loop of our own, which turns until the behaviour is done.
std::function<void(const Behaviour&)> own_loop(std::unique_ptr<Backend> (*make)()) {
  return [make](const Behaviour& behaviour) {
    IOLoop loop(make());
    loop.run_sync([&] { return with_timeout(kLimit, behaviour.run()); });
  };
}

std::vector<Driver> drivers() {
  std::vector<Driver> all;
  Needs best = Needs::nothing;
  for (const detail::BackendEntry& entry : detail::builtin_backends()) {
    if (entry.available()) all.push_back({std::string(entry.name), entry.capabilities, own_loop(entry.make)});
    best = best | entry.capabilities;
  }
  for (const HostedDriver& host : hosted_drivers()) all.push_back({host.name, best, host.run});
  all.insert(all.begin(), {"manual", best - kSystem, own_loop([] {
                             return std::unique_ptr<Backend>(std::make_unique<testing::ManualBackend>());
                           })});
  const char* chosen = detail::platform_environment("TWINLOOP_BACKEND");
  if (chosen != nullptr && *chosen != '\0')
    std::erase_if(all, [&](const Driver& driver) { return driver.name != chosen; });
  return all;
}

// What scripts/behaviour_table.py reads: which backends have what, and which behaviours need it.
int print_needs(const std::vector<Driver>& all) {
  for (const Driver& driver : all)
    std::printf("backend\t%s\t%s\n", driver.name.c_str(), testing::words(driver.have, " ").c_str());
  for (const Behaviour& behaviour : testing::behaviours()) {
    std::printf("behaviour\t%s\t%s\n", behaviour.name.c_str(), testing::words(behaviour.needs, " ").c_str());
  }
  return 0;
}

class Invoker final : public Catch::ITestInvoker {
 public:
  Invoker(const Driver& driver, const Behaviour& behaviour) : driver_(driver), behaviour_(behaviour) {}

  void invoke() const override {
    std::string failure;
    try {
      driver_.run(behaviour_);
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
  if (argc == 2 && std::string_view(argv[1]) == "--needs") return print_needs(all);
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
