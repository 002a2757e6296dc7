// "Hello, World!" over HTTP/1.1 on every backend, beside what others have: `./dev bench http`.
//
// Server on one processor, wrk on the other.  wrk needs as much of its processor as any fast server of its own, so throughput alone
// cannot tell those apart: what can is the processor time that a server spends for a request.
#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "bench/echo/server_process.h"
#include "bench/harness.h"
#include "bench/http/wrk.h"
#include "bench/loop_subject.h"

namespace {

using namespace bench;

struct Server {
  std::string name;
  std::vector<std::string> command;
  bool single_threaded = true;  // one whose system calls can be counted
};

// Ours first.  What this machine lacks is left out.
std::vector<Server> servers() {
  const std::string programs = TWINLOOP_BENCH_PROGRAMS, sources = TWINLOOP_BENCH_SOURCES;
  const auto ours = [&](const char* backend) {
    return std::vector<std::string>{programs + "/hello_http", "--backend", backend, "0"};
  };
  std::vector<Server> all{
      {"twinloop", ours("epoll")}, {"raw epoll", {programs + "/http_raw_epoll"}}, {"select", ours("select")}};
  if (TWINLOOP_BENCH_LIBUV) all.push_back({"on libuv", ours("libuv")});
  if (runs("PATH=$PATH:/usr/sbin nginx -v")) all.push_back({"nginx", {sources + "/nginx.sh"}});
  if (runs("node --version")) all.push_back({"Node", {"node", sources + "/node_server.mjs"}, false});
  if (const std::string python = python_with("tornado"); !python.empty()) {
    all.push_back({"Tornado", {python, sources + "/tornado_server.py"}});
  }
  return all;
}

using Measure = std::function<std::vector<double>(const Server&)>;

void add(Suite& suite, const std::vector<Server>& all, std::vector<Figure> figures, const Measure& measure,
         const std::function<bool(const Server&)>& takes_part, How how = How::rounds) {
  std::vector<Contestant> contestants;
  for (const Server& server : all) {
    if (takes_part(server)) contestants.push_back({server.name, [&server, measure] { return measure(server); }});
  }
  suite.add(std::move(figures), std::move(contestants), how);
}

std::vector<double> requests(const Server& server, const HttpLoad& load, double seconds) {
  const ServerProcess process(server.command);
  ask(process.port(), {load.connections, load.depth}, 20);
  const double before = process.processor_time();
  const HttpResult result =
      run_wrk(process.port(), load, seconds, std::string(TWINLOOP_BENCH_SOURCES) + "/pipeline.lua");
  const double spent = process.processor_time() - before;
  return {spent / 1000 / result.requests, result.requests / result.seconds, result.median, result.p99};
}

std::vector<double> counted(const Server& server, const HttpLoad& load, bool instructions, std::size_t rounds) {
  const ServerProcess process(server.command);
  ask(process.port(), load, 20);
  std::size_t asked = 0;
  const auto work = [&] { asked = ask(process.port(), load, rounds); };
  const std::size_t count = instructions ? process.instructions_during(work) : process.system_calls_during(work);
  return {each(static_cast<double>(count), asked)};
}

// For single steps, of which each takes some 20 µs.  They still come several to a turn of the loop.
HttpLoad few(HttpLoad load) {
  load.connections = std::min<std::size_t>(load.connections, 8);
  return load;
}

void add_scenario(Suite& suite, const std::vector<Server>& all, const std::string& name, const HttpLoad& load) {
  const double seconds = 1;  // the least that wrk can
  const auto everyone = [](const Server&) { return true; };
  const auto single = [](const Server& server) { return server.single_threaded; };
  const auto compiled = [](const Server& server) { return server.single_threaded && server.name != "Tornado"; };
  const std::string of = name + ": ";
  if (!suite.smoke()) {
    add(
        suite, all,
        {{of + "server's processor time", "µs/request"},
         {of + "throughput", "requests/s", Better::higher},
         {of + "latency, median", "µs"},
         {of + "latency, 99th percentile", "µs"}},
        [=](const Server& server) { return requests(server, load, seconds); }, everyone);
  }
  const std::size_t rounds = suite.count(200, 1);
  add(
      suite, all, {{of + "system calls", "1/request"}},
      [=](const Server& server) { return counted(server, load, false, rounds); }, single, How::own_process);
  add(
      suite, all, {{of + "user space", "instructions/request"}},
      [=](const Server& server) { return counted(server, few(load), true, suite.count(32 / load.depth, 1)); }, compiled,
      How::own_process);
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  Suite suite("http", argc, argv);
  if (!suite.smoke() && !runs("command -v wrk")) {
    std::fprintf(stderr, "http_bench needs wrk; scripts/setup-native.sh bench installs it\n");
    return 2;
  }
  const std::vector<Server> all = servers();
  for (std::size_t i = 1; i < all.size(); ++i) suite.peer(all[i].name, {});
  add_scenario(suite, all, "64 connections", {.connections = suite.count(64, 2)});
  if (!suite.smoke()) add_scenario(suite, all, "16 deep on 64 connections", {.connections = 64, .depth = 16});
  return suite.run();
}
