// Asio's awaitable<T>, twice: as it comes for one thread, and with the hint that its io_context needs no locks at all (then nothing
// may be posted from another thread).
#include <asio.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/experimental/channel.hpp>

#include "bench/coro_peers.h"
#include "bench/harness.h"

namespace {

using namespace bench;
using asio::awaitable;
using asio::use_awaitable;
using namespace asio::experimental::awaitable_operators;

using Program = awaitable<void> (*)(std::size_t count);

awaitable<int> finished() { co_return 1; }

awaitable<void> finished_coroutine(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) keep(co_await finished());
}

awaitable<void> hop(std::size_t count) {
  const auto executor = co_await asio::this_coro::executor;
  for (std::size_t i = 0; i < count; ++i) co_await asio::post(executor, use_awaitable);
}

awaitable<int> hop_once() {
  const auto executor = co_await asio::this_coro::executor;
  co_await asio::post(executor, use_awaitable);
  co_return 1;
}

awaitable<void> child_that_hops(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) keep(co_await hop_once());
}

awaitable<void> nothing() { co_return; }

awaitable<void> spawn(std::size_t count) {
  const auto executor = co_await asio::this_coro::executor;
  for (std::size_t i = 1; i <= count; ++i) {
    asio::co_spawn(executor, &nothing, asio::detached);
    if (i % 100 == 0) co_await asio::post(executor, use_awaitable);
  }
}

awaitable<void> timeout(std::size_t count) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor);
  for (std::size_t i = 0; i < count; ++i) {
    timer.expires_after(std::chrono::hours(1));
    auto limited = hop_once() || timer.async_wait(use_awaitable);
    keep(co_await std::move(limited));
  }
}

using Channel = asio::experimental::channel<void(asio::error_code, int)>;

awaitable<void> take(Channel& channel, std::size_t count, long& sum) {
  for (std::size_t i = 0; i < count; ++i) sum += co_await channel.async_receive(use_awaitable);
}

awaitable<void> queue(std::size_t count) {
  const auto executor = co_await asio::this_coro::executor;
  Channel channel(executor);
  long sum = 0;
  auto both = take(channel, count, sum) && [](Channel& to, std::size_t left) -> awaitable<void> {
    for (; left > 0; --left) co_await to.async_send(asio::error_code(), 1, use_awaitable);
  }(channel, count);
  co_await std::move(both);
  keep(sum);
}

template <int kHint, Program kProgram>
double measure(std::size_t count) {
  asio::io_context io(kHint);
  asio::co_spawn(io, kProgram(count), asio::detached);
  const CpuTime time;
  io.run();
  return time.nanoseconds();
}

template <int kHint>
CoroPeer peer(const char* name) {
  return {.name = name,
          .version = std::to_string(ASIO_VERSION / 100000) + "." + std::to_string(ASIO_VERSION / 100 % 1000) + "." +
                     std::to_string(ASIO_VERSION % 100),
          .finished_coroutine = &measure<kHint, &finished_coroutine>,
          .hop = &measure<kHint, &hop>,
          .child_that_hops = &measure<kHint, &child_that_hops>,
          .spawn = &measure<kHint, &spawn>,
          .timeout = &measure<kHint, &timeout>,
          .queue = &measure<kHint, &queue>};
}

}  // namespace

std::vector<CoroPeer> bench::coro_asio() {
  return {peer<1>("Asio"), peer<ASIO_CONCURRENCY_HINT_UNSAFE>("Asio, no locks")};
}
