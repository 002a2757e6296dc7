// WebSocket messages echoed, beside Node's ws and beside the same bytes over plain TCP: `./dev bench ws`.
//
// Server on one processor, load on the other, as in `./dev bench echo`.  What a WebSocket adds to our own TCP echo is the codec: a
// header, a mask, a check, two calls.
#include <algorithm>
#include <cstdlib>

#include "bench/echo/load.h"
#include "bench/echo/server_process.h"
#include "bench/harness.h"
#include "bench/loop_subject.h"

namespace {

using namespace bench;

struct Server {
  std::string name;
  std::vector<std::string> command;
  bool websocket = true;
  bool single_threaded = true;
};

std::vector<Server> servers() {
  const std::string programs = TWINLOOP_BENCH_PROGRAMS, sources = TWINLOOP_BENCH_SOURCES;
  std::vector<Server> all{{"twinloop", {programs + "/ws_echo", "0"}},
                          {"TCP echo", {programs + "/echo_server", "tcp://127.0.0.1:0"}, false}};
  const std::string node = "node " + sources + "/node_ws_server.mjs";
  if (std::system(("timeout 1 " + node + " 2>/dev/null | grep -q listening").c_str()) == 0) {
    all.push_back({"Node ws", {"node", sources + "/node_ws_server.mjs"}, true, false});
  }
  return all;
}

std::vector<double> round_trips(const Server& server, LoadPlan plan, double seconds) {
  const OnProcessor second(1);
  const ServerProcess process(server.command);
  plan.websocket = server.websocket;
  Load load(process.port(), plan);
  load.run(seconds / 4);
  const double before = process.processor_time();
  const LoadResult result = load.measure(seconds);
  const auto messages = static_cast<double>(result.messages);
  const double spent = (process.processor_time() - before) / 1000 / messages;
  return {spent, messages / result.seconds, result.median_latency, result.p99_latency};
}

std::vector<double> counted(const Server& server, LoadPlan plan, bool instructions, std::size_t messages) {
  const ServerProcess process(server.command);
  plan.websocket = server.websocket;
  Load load(process.port(), plan);
  const auto work = [&] { load.run_messages(messages); };
  work();
  const std::size_t count = instructions ? process.instructions_during(work) : process.system_calls_during(work);
  return {each(static_cast<double>(count), messages)};
}

void add_scenario(Suite& suite, const std::vector<Server>& all, const std::string& name, const LoadPlan& plan) {
  const double seconds = suite.smoke() ? 0.02 : 0.5;
  const std::size_t calls = suite.count(2'000, plan.connections);
  LoadPlan few = plan;  // for single steps, of which each takes some 20 µs
  few.connections = std::min<std::size_t>(plan.connections, 8);
  const std::size_t steps = few.connections * few.depth * suite.count(2, 1);
  std::vector<Contestant> timed, called, stepped;
  for (const Server& server : all) {
    timed.push_back({server.name, [=, &server] { return round_trips(server, plan, seconds); }});
    if (!server.single_threaded) continue;
    called.push_back({server.name, [=, &server] { return counted(server, plan, false, calls); }});
    stepped.push_back({server.name, [=, &server] { return counted(server, few, true, steps); }});
  }
  const std::string of = name + ": ";
  suite.add({{of + "server's processor time", "µs/message"},
             {of + "throughput", "messages/s", Better::higher},
             {of + "latency, median", "µs"},
             {of + "latency, 99th percentile", "µs"}},
            std::move(timed), How::rounds);
  suite.add({{of + "system calls", "1/message"}}, std::move(called), How::own_process);
  suite.add({{of + "user space", "instructions/message"}}, std::move(stepped), How::own_process);
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  Suite suite("ws", argc, argv);
  const std::vector<Server> all = servers();
  for (std::size_t i = 1; i < all.size(); ++i) suite.peer(all[i].name, {});
  add_scenario(suite, all, "64 B on 64 connections", {.connections = suite.count(64, 2)});
  if (!suite.smoke()) {
    add_scenario(suite, all, "64 B, 16 deep, on 64 connections", {.connections = 64, .depth = 16});
    add_scenario(suite, all, "16 KiB on 64 connections", {.connections = 64, .message = 16 * 1024});
  }
  return suite.run();
}
