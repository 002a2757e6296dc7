// A peer that vanishes without a packet, on Linux: a filter drops all that arrives at its socket, acknowledgements are never sent,
// and no end ever comes.  To this end it is as if the cable had been pulled.
#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "fixtures.h"
#include "twinloop/net.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kSockets = Needs::tcp | Needs::listen | Needs::fds;

class VanishingPeer {
 public:
  explicit VanishingPeer(const std::string& url) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(Url::parse(url).value().port);
    expect(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "the peer connects");
  }
  ~VanishingPeer() { ::close(fd_); }
  VanishingPeer(const VanishingPeer&) = delete;
  VanishingPeer& operator=(const VanishingPeer&) = delete;

  void vanish() {
    sock_filter drop_all{BPF_RET | BPF_K, 0, 0, 0};
    const sock_fprog program{1, &drop_all};
    expect(::setsockopt(fd_, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0, "the filter is there");
  }

 private:
  int fd_;
};

struct Vanished {
  std::unique_ptr<VanishingPeer> peer;
  IOStream ours;
};

Future<Vanished> lose_a_peer() {
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  Vanished vanished{std::make_unique<VanishingPeer>(listener.url()), IOStream()};
  vanished.ours = co_await listener.accept();
  vanished.peer->vanish();
  co_return vanished;
}

void set(IOStream& stream, const SocketOptions& options) {
  const Result<> done = stream.set_socket_options(options);
  expect(done.ok(), done.ok() ? "" : done.failure().message());
}

}  // namespace

BEHAVIOUR("a peer that vanishes is not noticed by itself; a limit of the program's own ends the read", kSockets) {
  Vanished vanished = co_await lose_a_peer();
  co_await expect_failure(with_timeout(50ms, vanished.ours.read_bytes(1)), Errc::timeout);
  expect(!vanished.ours.is_closed() && !vanished.ours.input_ended(), "the stream knows of nothing");
}

BEHAVIOUR("a peer that vanishes is noticed by the idle timeout, in the order of every close", kSockets) {
  Vanished vanished = co_await lose_a_peer();
  vanished.ours.set_idle_timeout(50ms);
  co_await expect_failure(vanished.ours.read_bytes(1), Errc::idle_timeout);
  co_await vanished.ours.peer_ended();
  co_await vanished.ours.closed();
}

BEHAVIOUR("a peer that vanishes is noticed by the user timeout of what was sent, while nobody reads", kSockets) {
  Vanished vanished = co_await lose_a_peer();
  set(vanished.ours, SocketOptions().user_timeout(100ms));
  co_await vanished.ours.write("is anybody there?");
  co_await vanished.ours.closed();
  expect(reason_of(vanished.ours.error()) == Errc::timeout, name(reason_of(vanished.ours.error())));
  co_await expect_failure(vanished.ours.read_bytes(1), Errc::timeout);
  co_await expect_failure(vanished.ours.write("?"), Errc::timeout);
}

BEHAVIOUR("a peer that vanishes is noticed by keep-alive, while nothing is sent", kSockets) {
  Vanished vanished = co_await lose_a_peer();
  set(vanished.ours, SocketOptions().keep_alive(1s, 1s, 1));
  co_await expect_failure(vanished.ours.read_bytes(1), Errc::timeout);
  expect(vanished.ours.is_closed(), "it is over");
}
