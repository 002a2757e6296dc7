// A TCP echo server on every backend, beside what others have: `./dev bench echo`.
//
// Server on one processor, load on the other.  The load generator needs as much of its processor as any fast server of its own, so
// throughput cannot tell those apart: what can is the processor time that a server spends for a million round trips.
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "bench/echo/load.h"
#include "bench/echo/server_process.h"
#include "bench/harness.h"
#include "bench/loop_subject.h"

namespace {

using namespace bench;

struct Server {
  std::string name;
  std::vector<std::string> command;
  bool single_threaded = true;  // one whose system calls can be counted

  std::vector<std::string> with_lines() const {
    std::vector<std::string> words = command;
    words.emplace_back("--lines");
    return words;
  }
};

bool exists(const std::string& path) { return std::ifstream(path).good(); }

// For the servers, too: they inherit it.
void allow_many_descriptors() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

// Ours first.  What this machine lacks is left out.
std::vector<Server> servers() {
  const std::string programs = TWINLOOP_BENCH_PROGRAMS, sources = TWINLOOP_BENCH_SOURCES;
  const auto ours = [&](const char* backend) {
    return std::vector<std::string>{programs + "/echo_server", "--backend", backend, "tcp://127.0.0.1:0"};
  };
  std::vector<Server> all{
      {"twinloop", ours("epoll")}, {"raw epoll", {programs + "/echo_raw_epoll"}}, {"select", ours("select")}};
  if (TWINLOOP_BENCH_LIBUV) all.push_back({"on libuv", ours("libuv")});
  for (const char* peer : {"libuv", "asio"}) {
    const std::string program = programs + "/echo_" + peer;
    if (exists(program)) all.push_back({std::string(peer) == "asio" ? "Asio" : peer, {program}});
  }
  if (runs("node --version")) all.push_back({"Node", {"node", sources + "/node_server.mjs"}, false});
  if (const std::string python = python_with("tornado"); !python.empty()) {
    all.push_back({"Tornado", {python, sources + "/tornado_server.py"}});
  }
  return all;
}

// The certificate and its key, in files that go with the program.
class Certificate {
 public:
  Certificate() {
    if (::mkdtemp(folder_.data()) == nullptr) std::exit(2);
    made_ = runs("openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=localhost -keyout " +
                 key() + " -out " + file());
  }
  Certificate(const Certificate&) = delete;
  Certificate& operator=(const Certificate&) = delete;
  ~Certificate() { std::filesystem::remove_all(folder_); }

  bool made() const noexcept { return made_; }
  std::string file() const { return folder_ + "/cert.pem"; }
  std::string key() const { return folder_ + "/key.pem"; }

 private:
  std::string folder_ = (std::filesystem::temp_directory_path() / "twinloop-bench-XXXXXX").string();
  bool made_ = false;
};

// Under the names of those without TLS: the same columns.
std::vector<Server> tls_servers(const Certificate& certificate) {
  const std::string programs = TWINLOOP_BENCH_PROGRAMS, sources = TWINLOOP_BENCH_SOURCES;
  if (!certificate.made() || !exists(programs + "/tls_echo")) return {};
  const std::string file = certificate.file(), key = certificate.key();
  std::vector<Server> all{
      {"twinloop",
       {programs + "/tls_echo", "--backend", "epoll", "--certificate", file, "--key", key, "tls://127.0.0.1:0"}},
      {"raw epoll", {programs + "/echo_raw_tls", file, key}}};
  if (runs("node --version"))
    all.push_back({"Node", {"node", sources + "/node_server.mjs", "--tls", file, key}, false});
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

struct Scenario {
  std::string name;
  LoadPlan plan;
  bool lines = false;
};

std::vector<double> round_trips(const Server& server, const Scenario& scenario, double seconds) {
  const OnProcessor second(1);
  const ServerProcess process(scenario.lines ? server.with_lines() : server.command);
  Load load(process.port(), scenario.plan);
  load.run(seconds / 4);
  const double before = process.processor_time();
  const LoadResult result = load.measure(seconds);
  const double spent = process.processor_time() - before;
  const auto messages = static_cast<double>(result.messages);
  return {spent / 1000 / messages, messages / result.seconds, result.median_latency, result.p99_latency,
          result.fairness};
}

std::vector<double> counted(const Server& server, const Scenario& scenario, bool instructions, std::size_t messages) {
  const ServerProcess process(scenario.lines ? server.with_lines() : server.command);
  Load load(process.port(), scenario.plan);
  const auto work = [&] { load.run_messages(messages); };
  work();
  const std::size_t count = instructions ? process.instructions_during(work) : process.system_calls_during(work);
  return {each(static_cast<double>(count), messages)};
}

void add_scenario(Suite& suite, const std::vector<Server>& all, const Scenario& scenario) {
  const double seconds = suite.smoke() ? 0.02 : 0.5;
  // select has room for 1,024 descriptors.
  const auto can = [&](const Server& server) { return server.name != "select" || scenario.plan.connections < 1000; };
  const auto single = [=](const Server& server) { return can(server) && server.single_threaded; };
  const std::string of = scenario.name + ": ";
  add(
      suite, all,
      {{of + "server's processor time", "µs/message"},
       {of + "throughput", "messages/s", Better::higher},
       {of + "latency, median", "µs"},
       {of + "latency, 99th percentile", "µs"},
       {of + "worst-served connection / best", "ratio", Better::higher}},
      [=](const Server& server) { return round_trips(server, scenario, seconds); }, can);
  const std::size_t calls = suite.count(2'000, scenario.plan.connections);
  add(
      suite, all, {{of + "system calls", "1/message"}},
      [=](const Server& server) { return counted(server, scenario, false, calls); }, single, How::own_process);
  if (scenario.plan.tls) return;  // single-stepping through OpenSSL takes minutes
  // Single-stepped: each connection has a turn, and that is enough where there are many.
  const std::size_t round = scenario.plan.connections * scenario.plan.depth;
  const std::size_t steps = round * suite.count(std::max<std::size_t>(1, 256 / round), 1);
  const auto compiled = [=](const Server& server) { return single(server) && server.name != "Tornado"; };
  add(
      suite, all, {{of + "user space", "instructions/message"}},
      [=](const Server& server) { return counted(server, scenario, true, steps); }, compiled, How::own_process);
}

void add_churn(Suite& suite, const std::vector<Server>& all) {
  const double seconds = suite.smoke() ? 0.02 : 0.5;
  const auto churned = [=](const Server& server) -> std::vector<double> {
    const OnProcessor second(1);
    const ServerProcess process(server.command);
    churn(process.port(), seconds / 4, 16);
    const double before = process.processor_time();
    const std::size_t count = churn(process.port(), seconds, 16);
    const double spent = process.processor_time() - before;
    return {spent / 1000 / static_cast<double>(count), static_cast<double>(count) / seconds};
  };
  add(suite, all,
      {{"connect, 64 B, close: server's processor time", "µs"}, {"connect, 64 B, close", "1/s", Better::higher}},
      churned, [](const Server&) { return true; });
}

void add_idle(Suite& suite, const std::vector<Server>& all) {
  const std::size_t connections = suite.count(10'000, 50);
  const auto idle = [=](const Server& server) -> std::vector<double> {
    const ServerProcess process(server.command);
    hold_idle(process.port(), 1, [] {});
    const auto before = static_cast<double>(process.resident_bytes());
    double after = 0;
    hold_idle(process.port(), connections, [&] { after = static_cast<double>(process.resident_bytes()); });
    return {each(after - before, connections)};
  };
  add(
      suite, all, {{"resident memory per idle connection, of " + with_separators(connections), "bytes"}}, idle,
      [](const Server& server) { return server.name != "select"; }, How::own_process);
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  allow_many_descriptors();
  Suite suite("echo", argc, argv);
  const std::vector<Server> all = servers();
  for (std::size_t i = 1; i < all.size(); ++i) suite.peer(all[i].name, {});
  std::vector<Scenario> scenarios{{"64 B on 64 connections", {.connections = suite.count(64, 2)}}};
  if (!suite.smoke()) {
    scenarios.push_back({"lines of 32 B, 16 deep, on 64 connections", {64, 32, 16}, true});
    scenarios.push_back({"64 B on 1 connection", {.connections = 1}});
    scenarios.push_back({"64 B on 1,000 connections", {.connections = 1000}});
    scenarios.push_back({"16 KiB on 64 connections", {.connections = 64, .message = 16 * 1024}});
  }
  for (const Scenario& scenario : scenarios) add_scenario(suite, all, scenario);
  const Certificate certificate;
  const std::vector<Server> secure = tls_servers(certificate);
  if (!secure.empty()) {
    add_scenario(suite, secure, {"64 B on 64 connections over TLS", {.connections = suite.count(64, 2), .tls = true}});
  }
  add_churn(suite, all);
  add_idle(suite, all);
  return suite.run();
}
