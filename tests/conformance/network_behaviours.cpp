// connect and listen, over everything that carries a stream here: hashes of what arrives, typed errors, many connections.
#include <random>
#include <string>
#include <vector>

#include "carriers.h"
#include "fixtures.h"
#include "twinloop/net.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kNetwork = Needs::tcp | Needs::listen;

std::uint64_t fnv1a(std::uint64_t hash, std::string_view bytes) noexcept {
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211u;
  return hash;
}
constexpr std::uint64_t kFnvStart = 14695981039346656037u;

// Random bytes in random chunk sizes, the same for the same seed.
class Source {
 public:
  explicit Source(std::size_t bytes) : left_(bytes) {}
  std::string next() {
    const std::size_t size = std::min<std::size_t>(left_, 1 + random_() % 40'000);
    std::string chunk(size, '\0');
    for (char& byte : chunk) byte = static_cast<char>(random_() >> 11);
    left_ -= size;
    hash = fnv1a(hash, chunk);
    return chunk;
  }
  bool done() const noexcept { return left_ == 0; }
  std::uint64_t hash = kFnvStart;

 private:
  std::minstd_rand random_{42};
  std::size_t left_;
};

Future<void> echo(IOStream stream) {
  for (;;) {
    Result<std::string> chunk = co_await as_result(stream.read_some());
    if (!chunk.ok()) co_return;
    co_await stream.write(std::move(*chunk));
  }
}

Future<void> count_all(IOStream stream, std::size_t& count) {
  for (;;) {
    const Result<std::string> chunk = co_await as_result(stream.read_some());
    if (!chunk.ok()) co_return;
    count += chunk.peek().size();
  }
}

Future<void> fail_at_an_exclamation_mark(IOStream stream) {
  for (;;) {
    const std::string line = co_await stream.read_until("\n");
    if (line == "!\n") throw_error(Errc::protocol, "an exclamation mark");
    co_await stream.write(line);
  }
}

Future<void> send_all(IOStream& stream, Source& source) {
  while (!source.done()) {
    std::string chunk = source.next();
    co_await stream.write(std::move(chunk));
  }
  co_await stream.flush();
}

Future<void> echo_ten_megabytes(std::string where) {
  constexpr std::size_t kBytes = 10'000'000;
  Listener listener = co_await listen(where);
  const std::string url = listener.url();
  Future<void> serving = serve(std::move(listener), &echo);
  IOStream stream = co_await connect(url);
  Source source(kBytes);
  Future<void> sending = send_all(stream, source);
  std::uint64_t hash = kFnvStart;
  for (std::size_t received = 0; received < kBytes;) {
    const std::string chunk = co_await stream.read_some();
    received += chunk.size();
    hash = fnv1a(hash, chunk);
  }
  co_await sending;
  expect(hash == source.hash, "the bytes that came back are those that were sent");
}

Future<void> write_megabyte(IOStream stream) {
  std::string text(1'000'000, 'x');
  co_await stream.write(std::move(text));
}

Future<void> deliver_megabyte(std::string where) {
  Listener listener = co_await listen(where);
  const std::string url = listener.url();
  Future<void> serving = serve(std::move(listener), &write_megabyte);
  IOStream stream = co_await connect(url);
  const std::string all = co_await stream.read_until_close();
  expect_equal(all.size(), 1'000'000u);
}

Future<void> answer_at_end(IOStream stream) {
  const std::string request = co_await stream.read_until_close();
  std::string answer = std::to_string(request.size());
  co_await stream.write(std::move(answer));
}

Future<void> answer_half_closed(std::string where) {
  Listener listener = co_await listen(where);
  const std::string url = listener.url();
  Future<void> serving = serve(std::move(listener), &answer_at_end);
  IOStream stream = co_await connect(url);
  co_await stream.write(std::string(300'000, 'q'));
  co_await stream.shutdown_write();
  const std::string answer = co_await stream.read_until_close();
  expect_equal(answer, "300000");
}

// Says no in the middle of an upload and leaves.
Future<void> refuse_upload(IOStream stream) {
  const std::string head = co_await stream.read_bytes(1000);
  co_await stream.write("413 too large\n");
}

Future<void> upload(IOStream& stream) {
  for (int i = 0; i < 40; ++i) {
    std::string chunk(50'000, 'u');
    const Result<void> sent = co_await as_result(stream.write(std::move(chunk)));
    if (!sent.ok()) co_return;
  }
}

Future<void> refuse_in_the_middle(std::string where) {
  Listener listener = co_await listen(where);
  const std::string url = listener.url();
  Future<void> serving = serve(std::move(listener), &refuse_upload);
  IOStream stream = co_await connect(url);
  Future<void> sending = upload(stream);
  const std::string answer = co_await stream.read_until("\n");
  expect_equal(answer, "413 too large\n");
}

struct PeerNotice {
  Promise<void> seen;
};

Future<void> wait_unread(IOStream stream, PeerNotice& notice) {
  co_await stream.peer_ended();
  notice.seen.set_value();
}

Future<void> notice_unread(std::string where) {
  Listener listener = co_await listen(where);
  const std::string url = listener.url();
  PeerNotice notice;
  IOStream client = co_await connect(url);
  IOStream server = co_await listener.accept();
  Future<void> waiting = wait_unread(std::move(server), notice);
  co_await client.write("nobody reads this");
  client.close();
  co_await with_timeout(10s, notice.seen.get_future());
}

Future<std::string> message_of(Future<IOStream> attempt, Errc reason) {
  const Result<IOStream> result = co_await as_result(std::move(attempt));
  expect(!result.ok(), "it must fail");
  expect_equal(name(result.reason()), name(reason));
  co_return result.failure().message();
}

void expect_mentions(const std::string& message, std::string_view part) {
  expect(message.find(part) != std::string::npos, "'" + message + "' should mention '" + std::string(part) + "'");
}

Future<void> speak_garbage(IOStream stream) { co_await stream.write("220 mail.example ESMTP\r\n\r\n"); }

Future<void> ping(std::string url, int& answered) {
  IOStream stream = co_await connect(url);
  co_await stream.write("ping");
  const std::string back = co_await stream.read_bytes(4);
  if (back == "ping") ++answered;
  co_await stream.read_bytes(1);
}

}  // namespace

// A filter may have taken all of a write and hold more of it than the high-water mark: then nothing is left to be handed down.
BEHAVIOUR("a write goes on when what the transport took has left it, over every carrier", kNetwork) {
  constexpr std::size_t kCount = 50;
  const std::string piece(100'000, 'x');
  for (const Carrier& carrier : carriers()) {
    Ends ends = co_await open_ends(carrier, StreamOptions().high_water_mark(1024));
    std::size_t arrived = 0;
    Future<void> receiving = count_all(std::move(ends.peer), arrived);
    for (std::size_t i = 0; i < kCount; ++i) co_await ends.ours.write(piece);
    ends.ours.close();
    co_await std::move(receiving);
    expect_equal(arrived, kCount * piece.size());
  }
}

BEHAVIOUR("10 MB in random chunks come back unchanged over pair:", Needs::nothing) {
  co_await echo_ten_megabytes("pair:big");
}
BEHAVIOUR("10 MB in random chunks come back unchanged over tcp", kNetwork) {
  co_await echo_ten_megabytes("tcp://127.0.0.1:0");
}
BEHAVIOUR("10 MB in random chunks come back unchanged over ws", kNetwork) {
  co_await echo_ten_megabytes("ws://127.0.0.1:0/");
}

BEHAVIOUR("a handler that writes 1 MB and returns delivers 1 MB over tcp", kNetwork) {
  co_await deliver_megabyte("tcp://127.0.0.1:0");
}
BEHAVIOUR("a handler that writes 1 MB and returns delivers 1 MB over ws", kNetwork) {
  co_await deliver_megabyte("ws://127.0.0.1:0/");
}

BEHAVIOUR("a handler's failure is logged with its listener and ends that connection only", kNetwork) {
  const RecordedLog log;
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  const std::string url = listener.url();
  IOLoop::current().spawn(serve(std::move(listener), &fail_at_an_exclamation_mark));
  IOStream failing = co_await connect(url);
  IOStream other = co_await connect(url);
  co_await failing.write("!\n");
  co_await expect_failure(failing.read_until("\n"), Errc::end);
  co_await other.write("still here\n");
  const std::string answer = co_await other.read_until("\n");
  expect_equal(answer, "still here\n");
  expect_equal(log.count(LogLevel::error), 1);
  expect(log.mentions("a handler of " + url + ", failed, after network_behaviours.cpp:") &&
             log.mentions("an exclamation mark"),
         log.text());
}

BEHAVIOUR("a client that half-closes gets its whole answer over tcp", kNetwork) {
  co_await answer_half_closed("tcp://127.0.0.1:0");
}
BEHAVIOUR("a client that half-closes gets its whole answer over ws", kNetwork) {
  co_await answer_half_closed("ws://127.0.0.1:0/");
}

BEHAVIOUR("a refusal in the middle of an upload arrives whole over tcp", kNetwork) {
  co_await refuse_in_the_middle("tcp://127.0.0.1:0");
}

BEHAVIOUR("the peer's end is noticed while nobody reads over tcp", kNetwork) {
  co_await notice_unread("tcp://127.0.0.1:0");
}
BEHAVIOUR("the peer's end is noticed while nobody reads over ws", kNetwork) {
  co_await notice_unread("ws://127.0.0.1:0/");
}

BEHAVIOUR("a URL that is none is refused with what is wrong with it", Needs::nothing) {
  expect_mentions(co_await message_of(connect("nonsense"), Errc::invalid_url), "nonsense");
  expect_mentions(co_await message_of(connect("tcp://host:99999"), Errc::invalid_url), "99999");
}

BEHAVIOUR("ws+unix:, tls+pair: and the like stack a filter on any carrier", kNetwork) {
  const std::string path = "/tmp/twinloop-stacked-" + std::to_string(std::random_device()()) + ".socket";
  std::vector<std::string> urls = {"ws+unix:" + path, "ws+pair:stacked", "ws+tcp://127.0.0.1:0/"};
  void (*secure)(ConnectOptions&, ListenOptions&) = [](auto&, auto&) {};
  if (const std::vector<Carrier> with_tls = secure_carriers(); !with_tls.empty()) {
    secure = with_tls.front().secure;
    for (const char* filter : {"tls+", "wss+"}) {
      urls.push_back(filter + ("unix:" + path));
      urls.push_back(filter + std::string("pair:stacked"));
    }
    urls.emplace_back("ws+tls://127.0.0.1:0/");
  }
  for (const std::string& url : urls) {
    ConnectOptions connecting;
    ListenOptions listening;
    secure(connecting, listening);
    Listener listener = co_await listen(url, std::move(listening));
    const std::string found = listener.url();
    expect(found.starts_with(url.substr(0, url.find(':') + 1)), found);
    expect(url.ends_with(":0/") || found == url, found);
    Future<IOStream> accepting = listener.accept();
    IOStream ours = co_await connect(found, std::move(connecting));
    IOStream peer = co_await std::move(accepting);
    co_await ours.write("ping\n");
    const std::string heard = co_await peer.read_until("\n");
    expect_equal(heard, "ping\n");
    co_await peer.write("pong\n");
    const std::string answer = co_await ours.read_until("\n");
    expect_equal(answer, "pong\n");
  }
}

BEHAVIOUR("a stack of what does not go together is refused in its own words", kNetwork) {
  for (const char* url : {"tcp+unix:/run/a", "ws+:/a", "+unix:/a", "ws+nothing:/a", "ws+unix+tcp:/a"}) {
    co_await expect_failure(listen(url), Errc::unknown_scheme);
    co_await expect_failure(connect(url), Errc::unknown_scheme);
  }
}

BEHAVIOUR("an unknown scheme is refused with what there is", Needs::nothing) {
  expect_mentions(co_await message_of(connect("gopher://127.0.0.1:70"), Errc::unknown_scheme), "gopher");
}

BEHAVIOUR("a refused port names the URL and the reason", kNetwork) {
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  const std::string url = listener.url();
  listener.close();
  expect_mentions(co_await message_of(connect(url), Errc::refused), url);
}

BEHAVIOUR("connect without a port is refused, and says how to write it", kNetwork) {
  expect_mentions(co_await message_of(connect("tcp://127.0.0.1"), Errc::invalid_url), "tcp://host:port");
}

BEHAVIOUR("a name that does not resolve is unresolved and named", kNetwork) {
  expect_mentions(co_await message_of(connect("tcp://no-such-host.invalid:1"), Errc::unresolved),
                  "no-such-host.invalid");
}

BEHAVIOUR("a peer that speaks no WebSocket is a protocol error that shows its words", kNetwork) {
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  std::string url = listener.url();
  url.replace(0, 3, "ws");
  Future<void> serving = serve(std::move(listener), &speak_garbage);
  expect_mentions(co_await message_of(connect(url), Errc::protocol), "220 mail");
}

BEHAVIOUR("a listener that is gone fails accept with local", kNetwork) {
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  Future<IOStream> accepted = listener.accept();
  listener.close();
  expect_mentions(co_await message_of(std::move(accepted), Errc::local), "closed");
}

BEHAVIOUR("a taken port is in_use", kNetwork) {
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  const Result<Listener> second = co_await as_result(listen(listener.url()));
  expect_equal(name(second.reason()), name(Errc::in_use));
}

BEHAVIOUR("a dropped accept loses no connection", kNetwork) {
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  IOStream client = co_await connect(listener.url());
  co_await expect_failure(with_timeout(0s, sleep_for(1h)), Errc::timeout);
  {
    Future<IOStream> dropped = listener.accept();
    co_await sleep_for(5ms);
  }
  IOStream server = co_await listener.accept();
  co_await client.write("hello");
  const std::string text = co_await server.read_bytes(5);
  expect_equal(text, "hello");
}

BEHAVIOUR("a thousand connections at once are all served, four hundred on select", kNetwork | Needs::fds) {
  // Both ends are in this process, and select stops at FD_SETSIZE, 1,024 descriptors.
  const int connections = IOLoop::current().backend_name() == "select" ? 400 : 1000;
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  const std::string url = listener.url();
  Future<void> serving = serve(std::move(listener), &echo);
  int answered = 0;
  std::vector<Future<void>> clients;
  for (int i = 0; i < connections; ++i) clients.push_back(ping(url, answered));
  while (answered < connections) co_await sleep_for(1ms);
  for (const Future<void>& client : clients) expect(!client.done(), "all are open at once");
}
