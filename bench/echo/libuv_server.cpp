// The echo server in libuv's own style: one read buffer for all, uv_try_write first.  Usage: echo_libuv [--lines]
#include <uv.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

namespace {

bool lines_only = false;
std::array<char, 64 * 1024> memory;

struct Connection {
  uv_tcp_t tcp;
  std::string partial;  // the beginning of a line, with --lines
};

struct Write {
  uv_write_t request;
  std::string bytes;
};

uv_stream_t* stream_of(Connection* connection) { return reinterpret_cast<uv_stream_t*>(&connection->tcp); }

void end(Connection* connection) {
  uv_close(reinterpret_cast<uv_handle_t*>(&connection->tcp),
           [](uv_handle_t* handle) { delete static_cast<Connection*>(handle->data); });
}

void send(Connection* connection, std::string_view bytes) {
  uv_buf_t piece = uv_buf_init(const_cast<char*>(bytes.data()), static_cast<unsigned>(bytes.size()));
  const int sent = uv_try_write(stream_of(connection), &piece, 1);
  if (sent >= 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
  if (bytes.empty()) return;
  auto* write = new Write{{}, std::string(bytes)};
  write->request.data = write;
  piece = uv_buf_init(write->bytes.data(), static_cast<unsigned>(write->bytes.size()));
  uv_write(&write->request, stream_of(connection), &piece, 1,
           [](uv_write_t* request, int) { delete static_cast<Write*>(request->data); });
}

void answer_lines(Connection* connection, std::string_view bytes) {
  const std::size_t last = bytes.rfind('\n');
  if (last == std::string_view::npos) return connection->partial.append(bytes), void();
  if (connection->partial.empty()) {
    send(connection, bytes.substr(0, last + 1));
  } else {
    connection->partial.append(bytes.substr(0, last + 1));
    send(connection, connection->partial);
  }
  connection->partial = bytes.substr(last + 1);
}

void on_alloc(uv_handle_t*, std::size_t, uv_buf_t* buffer) {
  *buffer = uv_buf_init(memory.data(), static_cast<unsigned>(memory.size()));
}

void on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
  auto* connection = static_cast<Connection*>(stream->data);
  if (count == 0) return;
  if (count < 0) return end(connection);
  const std::string_view bytes(buffer->base, static_cast<std::size_t>(count));
  if (lines_only) return answer_lines(connection, bytes);
  send(connection, bytes);
}

void on_connection(uv_stream_t* server, int status) {
  if (status < 0) return;
  auto* connection = new Connection;
  uv_tcp_init(server->loop, &connection->tcp);
  connection->tcp.data = connection;
  if (uv_accept(server, stream_of(connection)) != 0) return end(connection);
  uv_tcp_nodelay(&connection->tcp, 1);
  uv_read_start(stream_of(connection), &on_alloc, &on_read);
}

}  // namespace

int main(int argc, char** argv) {
  lines_only = argc > 1 && std::strcmp(argv[1], "--lines") == 0;
  uv_loop_t* loop = uv_default_loop();
  uv_tcp_t server;
  uv_tcp_init(loop, &server);
  sockaddr_in address;
  uv_ip4_addr("127.0.0.1", 0, &address);
  uv_tcp_bind(&server, reinterpret_cast<sockaddr*>(&address), 0);
  if (uv_listen(reinterpret_cast<uv_stream_t*>(&server), 1024, &on_connection) != 0) return 1;
  int size = sizeof address;
  uv_tcp_getsockname(&server, reinterpret_cast<sockaddr*>(&address), &size);
  std::printf("listening tcp://127.0.0.1:%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return uv_run(loop, UV_RUN_DEFAULT);
}
