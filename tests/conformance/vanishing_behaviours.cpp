// A peer that vanishes without a packet, on Linux: a filter drops all that arrives at its socket, acknowledgements are never sent,
// and no end ever comes.  To this end it is as if the cable had been pulled.  Over everything that stands on TCP.
#include <linux/filter.h>
#include <sys/socket.h>

#include <string>

#include "carriers.h"
#include "fixtures.h"
#include "twinloop/net.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kSockets = Needs::tcp | Needs::listen | Needs::fds;

void vanish(const IOStream& peer) {
  sock_filter drop_all{BPF_RET | BPF_K, 0, 0, 0};
  const sock_fprog program{1, &drop_all};
  const int set = ::setsockopt(peer.native_handle(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
  expect(set == 0, "the filter is there");
}

// A connection over which something has gone each way.
Future<Ends> lose_a_peer(const Carrier& carrier, ConnectOptions options = {}) {
  Ends ends = co_await connect_ends(carrier, std::move(options));
  co_await ends.peer.write("here I am");
  co_await ends.ours.write("and I");
  co_await ends.ours.read_bytes(9);
  co_await ends.peer.read_bytes(5);
  vanish(ends.peer);
  co_return ends;
}

void set(IOStream& stream, const SocketOptions& options) {
  const Result<> done = stream.set_socket_options(options);
  expect(done.ok(), done.ok() ? "" : done.failure().message());
}

Future<void> expect_all_over(IOStream& stream, Errc reason) {
  co_await stream.peer_ended();
  co_await stream.closed();
  expect(reason_of(stream.error()) == reason, name(reason_of(stream.error())));
  co_await expect_failure(stream.read_bytes(1), reason);
  co_await expect_failure(stream.write("?"), reason);
}

Future<void> try_a_limit_of_our_own(const Carrier& carrier) {
  Ends ends = co_await lose_a_peer(carrier);
  co_await ends.ours.write("is anybody there?");
  co_await expect_failure(with_timeout(50ms, ends.ours.read_bytes(1)), Errc::timeout);
  expect(!ends.ours.is_closed() && !ends.ours.input_ended(), "the stream knows of nothing");
}

Future<void> try_idle_timeout(const Carrier& carrier) {
  Ends ends = co_await lose_a_peer(carrier);
  ends.ours.set_idle_timeout(50ms);
  co_await expect_failure(ends.ours.read_bytes(1), Errc::idle_timeout);
  co_await expect_all_over(ends.ours, Errc::idle_timeout);
}

// Its buffers, and then ours, take some MiB; what stands behind them never moves.
Future<void> try_idle_timeout_while_writing(const Carrier& carrier) {
  Ends ends = co_await lose_a_peer(carrier);
  ends.ours.set_idle_timeout(50ms);
  co_await expect_failure(ends.ours.write(std::string(8 * 1024 * 1024, 'w')), Errc::idle_timeout);
  co_await expect_all_over(ends.ours, Errc::idle_timeout);
}

Future<void> try_user_timeout(const Carrier& carrier) {
  Ends ends = co_await lose_a_peer(carrier);
  set(ends.ours, SocketOptions().user_timeout(100ms));
  co_await ends.ours.write("is anybody there?");
  co_await expect_all_over(ends.ours, Errc::timeout);
}

Future<void> try_keep_alive(const Carrier& carrier) {
  Ends ends = co_await lose_a_peer(carrier);
  set(ends.ours, SocketOptions().keep_alive(1s, 1s, 1));
  co_await expect_failure(ends.ours.read_bytes(1), Errc::timeout);
  co_await expect_all_over(ends.ours, Errc::timeout);
}

Future<void> try_ping(const Carrier& carrier) {
  Ends ends = co_await lose_a_peer(carrier, ConnectOptions().set_websocket_ping(30ms, 30ms));
  co_await expect_failure(ends.ours.read_bytes(1), Errc::idle_timeout);
  co_await expect_all_over(ends.ours, Errc::idle_timeout);
}

Future<void> try_ping_without_a_reader(const Carrier& carrier) {
  Ends ends = co_await lose_a_peer(carrier, ConnectOptions().set_websocket_ping(30ms, 30ms));
  co_await expect_all_over(ends.ours, Errc::idle_timeout);
}

Future<void> try_finish(const Carrier& carrier) {
  Ends ends = co_await lose_a_peer(carrier);
  co_await ends.ours.write("is anybody there?");
  co_await expect_failure(ends.ours.finish(50ms), Errc::timeout);
  expect(ends.ours.is_closed(), "it is over all the same");
}

}  // namespace

BEHAVIOUR("a peer that vanishes is not noticed by itself; a limit of the program's own ends the read", kSockets) {
  co_await try_over(is_on_tcp, try_a_limit_of_our_own);
}

BEHAVIOUR("a peer that vanishes is noticed by the idle timeout, in the order of every close", kSockets) {
  co_await try_over(is_on_tcp, try_idle_timeout);
}

BEHAVIOUR("a peer that vanishes is noticed by the idle timeout, while much waits to be sent", kSockets) {
  co_await try_over(is_on_tcp, try_idle_timeout_while_writing);
}

BEHAVIOUR("a peer that vanishes is noticed by the user timeout of what was sent, while nobody reads", kSockets) {
  co_await try_over(is_on_tcp, try_user_timeout);
}

BEHAVIOUR("a peer that vanishes is noticed by keep-alive, while nothing is sent", kSockets) {
  co_await try_over(is_on_tcp, try_keep_alive);
}

BEHAVIOUR("a peer that vanishes is noticed by a WebSocket's ping, whether or not anybody reads", kSockets) {
  co_await try_over(is_websocket, try_ping);
  co_await try_over(is_websocket, try_ping_without_a_reader);
}

BEHAVIOUR("finish() waits for a peer that has vanished until its deadline, and closes", kSockets) {
  co_await try_over(is_on_tcp, try_finish);
}
