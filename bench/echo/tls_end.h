// TLS as somebody has it who needs nothing but OpenSSL: on the socket itself.  For the client side of the benchmarks, and for the
// server that sets the limit.
#pragma once

#include <sys/types.h>

#include <cstddef>

struct ssl_st;

namespace bench {

class TlsEnd {
 public:
  static bool use_certificate(const char* certificate, const char* key);
  // For accept(); files in PEM.  False when they cannot be used.

  static TlsEnd connect(int fd);
  // The whole handshake, on a blocking socket; any certificate will do.  Ends the benchmark with a message when it fails.
  static TlsEnd accept(int fd);
  // What is received makes the handshake.

  TlsEnd(TlsEnd&& other) noexcept;
  TlsEnd& operator=(TlsEnd&&) = delete;
  ~TlsEnd();

  ssize_t receive(char* into, std::size_t size);
  ssize_t send(const char* bytes, std::size_t size);
  // As recv() and send() of a nonblocking socket.
  bool holds_input() const noexcept;
  // That receive() would not have to ask the socket for.

 private:
  explicit TlsEnd(ssl_st* ssl) noexcept : ssl_(ssl) {}
  ssize_t outcome(int result) const noexcept;

  ssl_st* ssl_;
};

}  // namespace bench
