// Sends back what it receives, on any number of URLs: echo_server tcp://127.0.0.1:0 ws://127.0.0.1:9000/echo
//
// With --threads 4 that many loops serve them, each in a thread of its own; the system deals the connections out.
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "command_line.h"
#include "twinloop/loop_threads.h"
#include "twinloop/systemd.h"
#include "twinloop/tcpserver.h"

using namespace twinloop;

struct Service {
  bool lines = false;
  bool names_peers = false;
  ListenOptions listening;
};

// Both run until the peer has gone, and with the coroutine ends the stream, which still delivers what was written.  A view is what
// was read where it lies: nobody needs it longer than until the next read.  Where connections come and go all the time it pays to
// ask whether a read has failed; in the second the exception ends the coroutine.
Future<void> echo_bytes(IOStream stream) {
  for (;;) {
    Future<std::string_view> bytes = stream.read_some_view();
    co_await settled(bytes);
    if (!bytes.ok()) co_return;
    co_await stream.write(bytes.result());
  }
}

Future<void> echo_lines(IOStream stream) {
  for (;;) co_await stream.write(co_await stream.read_until_view("\n"));
}

Future<void> name_and_echo(IOStream stream) {
  co_await stream.write("you are " + stream.peer_address() + "\n");
  co_await echo_bytes(std::move(stream));
}

// Gives where it listens.
Future<std::vector<std::string>> open_all(TCPServer& server, std::vector<std::string> urls, Service service) {
  for (const std::string& url : urls) co_await server.listen(url, service.listening);
  co_return server.urls();
}

TCPServer make_server(const Service& service) {
  return TCPServer(service.names_peers ? name_and_echo : service.lines ? echo_lines : echo_bytes);
}

Future<void> serve_beside(std::vector<std::string> urls, Service service, Future<void> stop) {
  TCPServer server = make_server(service);
  co_await open_all(server, std::move(urls), service);
  co_await std::move(stop);
}

void check(const std::vector<std::string>& urls, bool inherits, unsigned threads) {
  if (urls.empty() && inherits) throw Error(Errc::invalid_url, "echo_server: systemd has handed over no sockets");
  if (urls.empty()) throw Error(Errc::invalid_url, "echo_server: tell it where to listen");
  for (const std::string& url : urls) {
    if (threads > 1 && url.starts_with("unix:"))
      throw Error(Errc::not_supported, url + ": no two threads can listen there");
  }
}

// Where another thread listens: at the port that was found, or at a descriptor of its own for a socket that somebody else opened.
std::vector<std::string> share(const std::vector<std::string>& given, std::vector<std::string> found) {
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (given[i].starts_with("fd:")) found[i] = "fd:" + std::to_string(::dup(std::stoi(given[i].substr(3))));
  }
  return found;
}

// This thread is one of them, and the first: it finds the ports that the others share.
Future<void> serve_urls(std::vector<std::string> urls, Service service, unsigned threads) {
  if (threads > 1) service.listening.set_reuse_port(true);
  TCPServer server = make_server(service);
  const std::vector<std::string> found = co_await open_all(server, urls, service);
  for (const std::string& url : found) announce(url);
  if (threads <= 1) co_return co_await server.stopped();
  std::vector<std::vector<std::string>> shares;
  while (shares.size() < threads - 1) shares.push_back(share(urls, found));
  LoopThreads others(threads - 1, [shares, service](unsigned index, Future<void> stop) {
    return serve_beside(shares[index], service, std::move(stop));
  });
  co_await others.finished();
}

int main(int argc, char** argv) {
  CLI::App app("Sends back what it receives.", "echo_server");
  std::vector<std::string> urls;
  Service service;
  unsigned threads = 1;
  bool inherits = false;
  bool behind_proxies = false;
  app.add_option("URL", urls, "Where to listen, as tcp://127.0.0.1:0 (port 0: any free one)");
  app.add_flag("--lines", service.lines, "Answer line by line");
  app.add_flag("--name-peers", service.names_peers, "Begin by telling each peer its address");
  app.add_option("--threads", threads, "Loops, each in a thread of its own, that serve together")
      ->check(CLI::PositiveNumber);
  app.add_flag("--systemd", inherits, "Serve the sockets that systemd hands over");
  app.add_flag("--proxy-protocol", behind_proxies, "Expect a header of the PROXY protocol on every connection");
  return run_command(app, argc, argv, [&] {
    if (inherits) {
      for (const InheritedListener& listener : systemd_listeners()) urls.push_back(listener.url);
    }
    check(urls, inherits, threads);
    service.listening.set_proxy_protocol(behind_proxies);
    return serve_urls(urls, service, threads);
  });
}
