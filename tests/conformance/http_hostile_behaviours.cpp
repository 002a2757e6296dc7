// Malformed and hostile requests: each gets a clear status or a close, and nothing else happens.  tests/http_corpus has them, one a
// file; its first line is the expected statuses.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "http_fixtures.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kNetwork = Needs::tcp | Needs::listen;

Future<void> answer_body(HTTPServerRequest& request) {
  std::string body = co_await request.body();
  co_await request.respond(200, {}, std::move(body));
}

struct Hostile {
  std::string name;
  std::string statuses;  // "200 400", or "close"
  std::string bytes;
};

// In the files \r, \n, \t, \xNN and \\ are escapes, and real line ends mean nothing.
std::string unescape(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') continue;
    if (text[i] != '\\') {
      bytes += text[i];
      continue;
    }
    const char kind = text.at(++i);
    if (kind == 'r') bytes += '\r';
    if (kind == 'n') bytes += '\n';
    if (kind == 't') bytes += '\t';
    if (kind == '\\') bytes += '\\';
    if (kind == 'x') {
      bytes += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    }
  }
  return bytes;
}

std::vector<Hostile> read_corpus() {
  std::vector<Hostile> all;
  for (const auto& entry : std::filesystem::directory_iterator(TWINLOOP_HTTP_CORPUS)) {
    std::ifstream file(entry.path());
    Hostile hostile;
    hostile.name = entry.path().filename().string();
    std::getline(file, hostile.statuses);
    std::stringstream rest;
    rest << file.rdbuf();
    hostile.bytes = unescape(rest.str());
    all.push_back(std::move(hostile));
  }
  std::sort(all.begin(), all.end(), [](const Hostile& a, const Hostile& b) { return a.name < b.name; });
  return all;
}

// The statuses of what the server answers until it ends the connection.
Future<std::string> statuses_for(RawClient client, std::string bytes, std::size_t piece) {
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    if (client.stream().is_closed() || client.stream().input_ended()) break;
    client.send(std::string_view(bytes).substr(at, piece)).ignore();
    if (piece < bytes.size()) co_await moment();
  }
  if (!client.stream().is_closed()) client.stream().shutdown_write().ignore();
  std::string statuses;
  for (;;) {
    const Result<Reply> reply = co_await as_result(client.reply());
    if (!reply.ok()) break;
    statuses += (statuses.empty() ? "" : " ") + std::to_string(reply.peek().status);
  }
  co_return statuses.empty() ? "close" : statuses;
}

HTTPServerOptions small_limits() {
  return HTTPServerOptions().set_max_header_size(2000).set_max_header_count(20).set_max_body_size(10'000);
}

// Over this URL, in pieces of these sizes.
Future<void> try_corpus(std::string url, std::vector<std::size_t> sizes) {
  Site site(answer_body, small_limits());
  const std::vector<Hostile> corpus = read_corpus();
  expect(corpus.size() >= 60, "the corpus is there");
  for (const Hostile& hostile : corpus) {
    for (const std::size_t size : sizes) {
      const std::size_t piece = hostile.bytes.size() > 4000 ? std::max(size, std::size_t{997}) : size;
      RawClient client = co_await site.open(url);
      const std::string statuses = co_await statuses_for(std::move(client), hostile.bytes, piece);
      expect(statuses == hostile.statuses, hostile.name + " in pieces of " + std::to_string(piece) + ": got '" +
                                               statuses + "', expected '" + hostile.statuses + "'");
    }
  }
  co_await until(site.server(), nobody_is_connected);
  expect_equal(site.server().stats().active, 0u);
}

}  // namespace

BEHAVIOUR("HTTP hostile: each request of the corpus gets its statuses, whole and in pieces", Needs::http) {
  const std::vector<std::size_t> sizes{100'000, 7, 1};
  co_await try_corpus(kPair, sizes);
}

// What is refused before all of it was read must arrive, although a socket that is closed with unread input resets the connection.
BEHAVIOUR("HTTP hostile: each request of the corpus gets its statuses over sockets, too", kNetwork) {
  const std::vector<std::size_t> sizes{100'000, 7};
  co_await try_corpus(kTcp, sizes);
}

BEHAVIOUR("HTTP hostile: a request that is cut off at any byte is not served", Needs::http) {
  int served = 0;
  Site site([&served](HTTPServerRequest& request) -> Future<void> {
    const std::string body = co_await request.body();
    ++served;
    co_await request.respond(200, {}, "");
  });
  const std::string request = post_chunked("/", "5;x=y\r\nhello\r\n3\r\nabc\r\n0\r\nTrailer: 1\r\n\r\n", "X: y\r\n");
  for (std::size_t size = 0; size < request.size(); ++size) {
    RawClient client = co_await site.open();
    co_await client.send(request.substr(0, size));
    co_await client.stream().shutdown_write();
    const std::string rest = co_await client.rest();
    expect(rest.empty(), "cut at " + std::to_string(size) + ": " + rest);
  }
  expect_equal(served, 0);
  co_await until(site.server(), nobody_is_connected);
}

BEHAVIOUR("HTTP hostile: a body's bytes are never taken for a request, whatever the handler does", kNetwork) {
  const std::string inner = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
  std::vector<std::string> seen;
  Site site([&seen](HTTPServerRequest& request) -> Future<void> {
    seen.push_back(request.uri());
    if (request.uri() == "/some") co_await request.next_chunk();
    if (request.uri() == "/all") co_await request.body();
    co_await request.respond(200, {}, "");
  });
  RawClient client = co_await site.open(kTcp);
  co_await client.send(post("/none", inner) + post("/some", inner) + post("/all", inner) +
                       post_chunked("/none", "23\r\n" + inner + "\r\n0\r\n\r\n") + get("/last"));
  std::string statuses;
  for (int i = 0; i < 5; ++i) {
    const Reply reply = co_await client.reply();
    statuses += std::to_string(reply.status) + " ";
  }
  expect_equal(statuses, "200 200 200 200 200 ");
  std::string targets;
  for (const std::string& target : seen) targets += target + " ";
  expect_equal(targets, "/none /some /all /none /last ");
}

BEHAVIOUR("HTTP hostile: clients that connect and say nothing, or little, do not stay", kNetwork) {
  Site site(answer_body,
            HTTPServerOptions().set_idle_connection_timeout(500ms).set_header_timeout(30ms).set_body_timeout(30ms));
  std::vector<RawClient> clients;
  const std::vector<std::string> beginnings = {
      "",
      "\r\n",
      "G",
      "GET / HTTP/1.1\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nX:",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"};
  for (int i = 0; i < 5; ++i) {
    for (const std::string& beginning : beginnings) {
      clients.push_back(co_await site.open(kTcp));
      co_await clients.back().send(beginning);
    }
  }
  co_await until(site.server(), nobody_is_connected);
  for (std::size_t i = 0; i < clients.size(); ++i) {
    const std::string rest = co_await clients[i].rest();
    const bool silent = i % beginnings.size() < 2;
    expect(silent ? rest.empty() : rest.starts_with("HTTP/1.1 408 "), rest);
  }
}
