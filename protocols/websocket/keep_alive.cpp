#include "protocols/websocket/keep_alive.h"

#include <utility>

namespace twinloop::detail {

KeepAlive::KeepAlive(IOLoop& loop, const WebSocketPing& ping, Owner& owner) : loop_(loop), owner_(owner), ping_(ping) {
  look_after(ping_.interval);
}

void KeepAlive::look_after(Duration time) { loop_.add_timer(*this, time); }

void KeepAlive::stop() noexcept {
  if (scheduled()) loop_.remove_timer(*this);
}

// Moving the timer for every byte would cost more than looking once more: only an answer does.
void KeepAlive::note_peer() noexcept {
  heard_ = !asked_;
  if (!std::exchange(asked_, false) || !scheduled()) return;
  loop_.remove_timer(*this);
  look_after(ping_.interval);
}

// Settles the time that has passed since the last look.
void KeepAlive::fire() {
  if (!owner_.may_ask_peer()) return;
  const bool silent = !std::exchange(heard_, false) && owner_.hears_peer();
  const bool asked = std::exchange(asked_, silent);
  if (silent && asked) return owner_.give_peer_up();
  if (silent) owner_.ask_peer();
  look_after(silent ? ping_.timeout : ping_.interval);
}

}  // namespace twinloop::detail
