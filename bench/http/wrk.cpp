#include "bench/http/wrk.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace bench {
namespace {

[[noreturn]] void die(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::exit(2);
}

// "1.23ms" in µs.
double microseconds(const char* text) {
  char unit[8] = "";
  double value = 0;
  if (std::sscanf(text, "%lf%7s", &value, unit) != 2) die(std::string("wrk said '") + text + "'");
  const std::string name = unit;
  return name == "us" ? value : name == "ms" ? value * 1e3 : value * 1e6;
}

// A server may say that it listens a moment before it does.
int connect_to(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int attempt = 0; attempt < 500; ++attempt) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
    ::close(fd);
    ::usleep(10'000);
  }
  die("the server does not answer");
}

void read_answers(int fd, std::size_t count) {
  std::string received;
  std::array<char, 16 * 1024> memory;
  while (count > 0) {
    const ssize_t size = ::recv(fd, memory.data(), memory.size(), 0);
    if (size <= 0) die("the server ended a connection");
    received.append(memory.data(), static_cast<std::size_t>(size));
    for (std::size_t at; count > 0 && (at = received.find("Hello, World!")) != std::string::npos; --count) {
      received.erase(0, at + 13);
    }
  }
}

}  // namespace

HttpResult run_wrk(std::uint16_t port, const HttpLoad& load, double seconds, const std::string& script) {
  std::string command = "taskset -c 1 wrk --latency -t1 -c" + std::to_string(load.connections) + " -d" +
                        std::to_string(static_cast<int>(std::ceil(seconds))) +
                        "s http://127.0.0.1:" + std::to_string(port) + "/";
  if (load.depth > 1) command += " -s " + script + " -- " + std::to_string(load.depth);
  std::FILE* output = ::popen((command + " 2>&1").c_str(), "r");
  if (output == nullptr) die("wrk cannot be started");
  HttpResult result;
  std::string said;
  std::array<char, 256> line;
  std::array<char, 32> word;
  while (std::fgets(line.data(), static_cast<int>(line.size()), output) != nullptr) {
    said += line.data();
    double count = 0;
    if (std::sscanf(line.data(), " 50%% %31s", word.data()) == 1) result.median = microseconds(word.data());
    if (std::sscanf(line.data(), " 99%% %31s", word.data()) == 1) result.p99 = microseconds(word.data());
    if (std::sscanf(line.data(), " %lf requests in %31[^,s]", &count, word.data()) == 2) {
      result.requests = count;
      result.seconds = std::atof(word.data());
    }
  }
  const bool failed = said.find("Non-2xx") != std::string::npos || said.find("Socket errors") != std::string::npos;
  if (::pclose(output) != 0 || result.requests == 0 || failed) die("wrk: " + said);
  return result;
}

std::size_t ask(std::uint16_t port, const HttpLoad& load, std::size_t rounds) {
  std::string batch;
  for (std::size_t i = 0; i < load.depth; ++i) batch += "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";
  std::vector<int> clients;
  for (std::size_t i = 0; i < load.connections; ++i) clients.push_back(connect_to(port));
  for (std::size_t round = 0; round < rounds; ++round) {
    for (const int fd : clients) {
      if (::send(fd, batch.data(), batch.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(batch.size()))
        die("send failed");
    }
    for (const int fd : clients) read_answers(fd, load.depth);
  }
  for (const int fd : clients) ::close(fd);
  return rounds * load.connections * load.depth;
}

}  // namespace bench
