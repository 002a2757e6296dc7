// Fetches URLs one after the other and prints what came: status, headers, body.  Compiled twice and unchanged: natively over
// connections that are kept, and to WebAssembly, where the host's fetch() carries the requests.
//   http_get [-X METHOD] [-d BODY] [-x PROXY] URL...
#include <cstdio>
#include <string>
#include <vector>

#include "twinloop/httpclient.h"
#include "twinloop/net.h"
#include "twinloop/run_main.h"

using namespace twinloop;

struct Command {
  std::string method;
  std::string proxy;
  std::string body;
  bool has_body = false;
  std::vector<std::string> urls;
};

Command parse(const std::vector<std::string>& words) {
  Command command;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool has_value = i + 1 < words.size();
    if (words[i] == "-X" && has_value) {
      command.method = words[++i];
    } else if (words[i] == "-x" && has_value) {
      command.proxy = words[++i];
    } else if (words[i] == "-d" && has_value) {
      command.body = words[++i];
      command.has_body = true;
    } else {
      command.urls.push_back(words[i]);
    }
  }
  if (command.method.empty()) command.method = command.has_body ? "POST" : "GET";
  return command;
}

HTTPRequest request_for(const Command& command, const std::string& url) {
  HTTPRequest request(url);
  request.set_method(command.method);
  if (command.has_body) request.set_body(command.body);
  if (!command.proxy.empty()) request.set_proxy(command.proxy);
  return request;
}

std::string shown_head(const HTTPResponse& head) {
  std::string text = std::to_string(head.status) + " " + head.reason + "\n";
  for (const HTTPHeaders::Field& field : head.headers) text += field.name + ": " + field.value + "\n";
  return text + "\n";
}

// The body goes to the terminal as it comes, and comes no faster than that takes it.
Future<void> show(AsyncHTTPClient& client, IOStream& terminal, HTTPRequest request) {
  HTTPStreamedResponse response = co_await client.fetch_streamed(std::move(request));
  co_await terminal.write(shown_head(response.head()));
  while (auto chunk = co_await response.next_chunk()) co_await terminal.write(*chunk);
  co_await terminal.write("\n");
}

Future<int> http_get(std::vector<std::string> words) {
  const Command command = parse(words);
  IOStream terminal = co_await connect("stdio:");
  AsyncHTTPClient client;
  int status = 0;
  for (const std::string& url : command.urls) {
    const Result<void> shown = co_await as_result(show(client, terminal, request_for(command, url)));
    if (shown.ok()) continue;
    co_await terminal.write("http_get: " + shown.failure().message() + "\n");
    status = 1;
  }
  co_await terminal.flush();
  co_return status;
}

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty()) {
    std::fputs("usage: http_get [-X METHOD] [-d BODY] [-x PROXY] URL...\n", stderr);
    return 2;
  }
  return run_main([words] { return http_get(words); });
}
