// KeepAlive: asks a silent peer of a WebSocket whether it is still there, and gives it up when it does not answer.  One rule for
// both kinds, the stream of bytes and the messages.
//
// Whatever comes from the peer is a sign of life.  After `interval` without one it gets a ping; whatever it then says within
// `timeout` is its answer and begins a new interval, so that a connection nobody uses carries a ping each interval and no proxy
// cuts it.  A peer is silent only where somebody listens: what a slow reader leaves in the system may hold the answer.
#pragma once

#include "twinloop/ioloop.h"
#include "twinloop/net.h"

namespace twinloop::detail {

class KeepAlive final : private Timer {
 public:
  class Owner {
   public:
    virtual bool may_ask_peer() const noexcept = 0;
    // False once a Close is on its way: then nobody looks any more.
    virtual bool hears_peer() const noexcept = 0;
    // Whether what the peer sends is read as it comes.
    virtual void ask_peer() = 0;
    virtual void give_peer_up() = 0;
    // This one may end the KeepAlive.

   protected:
    ~Owner() = default;
  };

  KeepAlive(IOLoop& loop, const WebSocketPing& ping, Owner& owner);
  ~KeepAlive() { stop(); }
  KeepAlive(const KeepAlive&) = delete;
  KeepAlive& operator=(const KeepAlive&) = delete;

  void note_peer() noexcept;
  // Something came from it.

  void stop() noexcept;

 private:
  void fire() override;
  void expire() noexcept override {}
  void look_after(Duration time);

  IOLoop& loop_;
  Owner& owner_;
  WebSocketPing ping_;
  bool heard_ = false;  // since the last look
  bool asked_ = false;  // and not answered yet
};

}  // namespace twinloop::detail
