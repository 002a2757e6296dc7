// What the tests of the descriptor backends share.
#pragma once

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backends/posix/posix_backend.h"
#include "twinloop/detail/builtin.h"
#include "twinloop/ioloop.h"
#include "twinloop/timing.h"

namespace twinloop::testing {

inline std::vector<std::string> backend_names() {
  std::vector<std::string> names;
  for (const twinloop::detail::BackendEntry& entry : twinloop::detail::builtin_backends())
    names.emplace_back(entry.name);
  return names;
}

inline std::string each_backend() { return GENERATE(from_range(backend_names())); }

inline std::unique_ptr<Backend> make(const std::string& name) {
  for (const twinloop::detail::BackendEntry& entry : twinloop::detail::builtin_backends()) {
    if (entry.name == name) return entry.make();
  }
  throw Error(Errc::unknown_backend, name);
}

inline twinloop::detail::Reactor& reactor_of(IOLoop& loop) {
  return static_cast<twinloop::detail::PosixBackend&>(loop.backend()).reactor();
}

template <class T>
T run(IOLoop& loop, Future<T> work) {
  return loop.run_sync([&work] { return with_timeout(std::chrono::seconds(20), std::move(work)); });
}

// Errc::end: it did not fail.
inline Errc reason_of_failure(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.reason();
  }
  return Errc::end;
}

}  // namespace twinloop::testing
