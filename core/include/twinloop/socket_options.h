// SocketOptions: how the system is to treat the socket under a stream.  Set for connections to be made (ConnectOptions::set_socket),
// for all that a listener accepts (ListenOptions::set_socket), or on a live stream (IOStream::set_socket_options); through tls://
// and ws:// they reach the socket below.  What is not set stays as the system has it.
//
// Two ways to learn that a peer has vanished without a word, both by the system itself, where the application's own ping cannot be
// had: keep_alive while nothing is being sent, user_timeout while something is.  Either ends the stream with `timeout`.
// StreamOptions::idle_timeout needs no socket.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

namespace twinloop {

class SocketOptions {
 public:
  using Duration = std::chrono::nanoseconds;

  struct KeepAlive {
    Duration idle;      // without a byte, before the first probe
    Duration interval;  // between probes
    int count;          // of probes without an answer, then the connection is over
    bool operator==(const KeepAlive&) const = default;
  };

  SocketOptions& no_delay(bool on) { return no_delay_ = on, *this; }
  // TCP: bytes leave when they are written.  Every stream begins with true, because IOStream gathers a turn's writes itself.
  SocketOptions& keep_alive(Duration idle, Duration interval, int count) {
    return keep_alive_ = KeepAlive{idle, interval, count}, *this;
  }
  // TCP.  The system counts in whole seconds: times are rounded up.
  SocketOptions& no_keep_alive() { return keep_alive_ = KeepAlive{Duration::zero(), Duration::zero(), 0}, *this; }
  SocketOptions& user_timeout(Duration time) { return user_timeout_ = time, *this; }
  // TCP: how long bytes that were sent may stay without an acknowledgement; zero: as the system thinks right (some 15 minutes).
  SocketOptions& send_buffer(std::size_t bytes) { return send_buffer_ = bytes, *this; }
  SocketOptions& receive_buffer(std::size_t bytes) { return receive_buffer_ = bytes, *this; }
  // The system's own; it may take less, or (Linux) reserve twice as much.

  const std::optional<bool>& no_delay() const noexcept { return no_delay_; }
  const std::optional<KeepAlive>& keep_alive() const noexcept { return keep_alive_; }
  const std::optional<Duration>& user_timeout() const noexcept { return user_timeout_; }
  const std::optional<std::size_t>& send_buffer() const noexcept { return send_buffer_; }
  const std::optional<std::size_t>& receive_buffer() const noexcept { return receive_buffer_; }

  bool operator==(const SocketOptions&) const = default;
  bool empty() const noexcept { return *this == SocketOptions(); }

 private:
  std::optional<bool> no_delay_;
  std::optional<KeepAlive> keep_alive_;
  std::optional<Duration> user_timeout_;
  std::optional<std::size_t> send_buffer_;
  std::optional<std::size_t> receive_buffer_;
};

}  // namespace twinloop
