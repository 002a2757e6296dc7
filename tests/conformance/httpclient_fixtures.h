// Servers for the HTTP client that do exactly what a test says, byte for byte.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fixtures.h"
#include "twinloop/httpclient.h"
#include "twinloop/tcpserver.h"

namespace twinloop::testing {

// One request as it came.
struct RawRequest {
  std::string head;  // with the empty line
  std::string body;
  int connection = 0;  // which one it came over, from 1

  bool has(std::string_view text) const { return head.find(text) != std::string::npos; }
  std::string line() const { return head.substr(0, head.find("\r\n")); }
};

// Gives the bytes that answer a request; "" answers nothing.
using Answer = std::function<std::string(const RawRequest&)>;
Answer always(std::string answer);
// One answer, whatever is asked.

// Or does with the connection what it likes.
using Conversation = std::function<Future<void>(IOStream&)>;

class ScriptedServer {
 public:
  static Future<ScriptedServer> answering(Answer answer, std::string url = "tcp://127.0.0.1:0",
                                          ListenOptions options = {});
  // Goes on until the client ends, or the answer says "Connection: close" or has neither length nor chunks.
  static Future<ScriptedServer> talking(Conversation talk, std::string url = "tcp://127.0.0.1:0",
                                        ListenOptions options = {});

  std::string url(std::string_view path = "/") const;
  // "http://127.0.0.1:4711/", or https over TLS.
  HTTPRequest request(std::string_view path = "/") const;
  // To that; over `pair:` by set_connect_to().

  const std::vector<RawRequest>& requests() const { return state_->requests; }
  int connections() const { return state_->connections; }
  std::size_t open() const { return server_->stats().open; }
  void stop() { server_->stop(); }

 private:
  struct State {
    Answer answer;
    Conversation talk;
    std::vector<RawRequest> requests;
    int connections = 0;
  };

  static Future<ScriptedServer> start(std::shared_ptr<State> state, std::string url, ListenOptions options);
  static Future<void> serve(std::shared_ptr<State> state, IOStream stream);
  static Future<void> answer_all(State& state, IOStream& stream, int connection);

  std::shared_ptr<State> state_;
  std::unique_ptr<TCPServer> server_;
  std::string stream_url_;
};

Future<RawRequest> read_request(IOStream& stream);
// Head and body, whose chunks are put together.

Future<void> until_idle(const AsyncHTTPClient& client, std::size_t count);
// As many connections are kept.

std::string ok_with(std::string_view body, std::string_view headers = {});
// A 200 with its Content-Length, and these header lines.

Future<void> expect_message(Future<HTTPResponse> fetching, Errc reason, std::string part,
                            Location where = Location::current());
// It fails with that reason, and its message names the part.

}  // namespace twinloop::testing
