// What the command lines of the native example programs have in common: --backend, --help and the exit statuses.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <utility>

#include "twinloop/ioloop.h"
#include "twinloop/run_main.h"

inline std::string backend_names() {
  std::string names;
  for (const twinloop::BackendInfo& backend : twinloop::IOLoop::available_backends()) {
    if (backend.available) names += (names.empty() ? "" : ", ") + backend.name;
  }
  return names;
}

// Parses the command line and runs the program's coroutine on the backend that it names.  The exit status: 0, 1 after a
// failure, 2 for a command line that makes no sense.
template <class F>
int run_command(CLI::App& app, int argc, char** argv, F program) {
  std::string backend;
  app.add_option("--backend", backend, "The event loop to run on: " + backend_names())->type_name("NAME");
  try {
    app.parse(argc, argv);
    if (!backend.empty()) twinloop::IOLoop::configure(backend);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const twinloop::Error& error) {
    std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), error.what());
    return 2;
  }
  return twinloop::run_main(std::move(program));
}

// Tells whoever started this program where it listens; port 0 has become the real one.
inline void announce(const std::string& url) {
  std::printf("listening %s\n", url.c_str());
  std::fflush(stdout);
}
