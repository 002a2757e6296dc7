// Where incoming connections come from: a listening socket.
#pragma once

#include "backends/posix/descriptor.h"
#include "backends/posix/reactor.h"
#include "backends/posix/unix_socket.h"
#include "twinloop/backend.h"
#include "twinloop/detail/handoff.h"
#include "twinloop/detail/task.h"

namespace twinloop::detail {

class PosixAcceptor final : public Acceptor, private FdListener, private CloseHook, private Timer {
 public:
  static Result<std::unique_ptr<Acceptor>> make(Reactor& reactor, Descriptor listening, Url url, SocketFile file = {});
  // `url` is where it really listens.

  ~PosixAcceptor() override { close(); }

  Future<std::unique_ptr<Transport>> accept() override;
  Url url() const override { return url_; }
  void close() noexcept override { end(Errc::local); }

 private:
  PosixAcceptor(IOLoop& loop, Descriptor listening, Url url, SocketFile file);

  enum class Taken { one, none, exhausted };

  void on_fd_events(Ready ready) override;
  void on_reactor_closing() noexcept override { end(Errc::loop_closed); }
  void on_loop_close() noexcept override { end(Errc::loop_closed); }
  void fire() override;
  void expire() noexcept override {}

  Taken take_one();
  void welcome(Descriptor socket);
  void rest();
  void turn_one_away() noexcept;
  void watch(bool on);
  void end(Errc reason) noexcept;

  IOLoop* loop_;
  Url url_;
  SocketFile file_;
  Descriptor listening_;
  Descriptor spare_;  // given up for a moment when there is no other descriptor left
  FdRegistration registration_;
  Handoff<std::unique_ptr<Transport>> incoming_;
  bool exhausted_ = false;
};

}  // namespace twinloop::detail
