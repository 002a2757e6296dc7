// The echo server as Asio's coroutine examples write it.  Usage: echo_asio [--lines]
#include <array>
#include <asio.hpp>
#include <cstdio>
#include <cstring>
#include <string>

namespace {

using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;

awaitable<void> echo_bytes(tcp::socket socket) {
  std::array<char, 16 * 1024> memory;
  for (;;) {
    const std::size_t count = co_await socket.async_read_some(asio::buffer(memory), use_awaitable);
    co_await asio::async_write(socket, asio::buffer(memory, count), use_awaitable);
  }
}

awaitable<void> echo_lines(tcp::socket socket) {
  std::string received;
  for (;;) {
    const std::size_t line =
        co_await asio::async_read_until(socket, asio::dynamic_buffer(received), '\n', use_awaitable);
    co_await asio::async_write(socket, asio::buffer(received, line), use_awaitable);
    received.erase(0, line);
  }
}

awaitable<void> accept_all(tcp::acceptor acceptor, bool lines) {
  for (;;) {
    tcp::socket socket = co_await acceptor.async_accept(use_awaitable);
    socket.set_option(tcp::no_delay(true));
    const auto executor = socket.get_executor();
    asio::co_spawn(executor, lines ? echo_lines(std::move(socket)) : echo_bytes(std::move(socket)),
                   [](const std::exception_ptr&) {});
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool lines = argc > 1 && std::strcmp(argv[1], "--lines") == 0;
  asio::io_context io(1);
  tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  std::printf("listening tcp://127.0.0.1:%d\n", acceptor.local_endpoint().port());
  std::fflush(stdout);
  asio::co_spawn(io, accept_all(std::move(acceptor), lines), asio::detached);
  io.run();
}
