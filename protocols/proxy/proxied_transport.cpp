#include "protocols/proxy/proxied_transport.h"

#include <algorithm>
#include <cstring>

namespace twinloop::detail {

IoResult ProxiedTransport::read(Bytes into) {
  if (initial_input_.empty()) return lower_->read(into);
  const std::size_t count = std::min(into.size(), initial_input_.size());
  std::memcpy(into.data(), initial_input_.data(), count);
  initial_input_.erase(0, count);
  if (initial_input_.empty()) initial_input_ = std::string();
  return IoResult::done(count);
}

void ProxiedTransport::close(std::error_code reason) noexcept {
  unlink();
  listener_ = nullptr;
  initial_input_ = std::string();
  lower_->close(reason);
}

void ProxiedTransport::want(bool read, bool write) {
  want_read_ = read;
  lower_->want(read, write);
  arrange();
}

void ProxiedTransport::set_listener(TransportListener* listener) noexcept {
  listener_ = listener;
  lower_->set_listener(listener);
  arrange();
}

void ProxiedTransport::arrange() noexcept {
  if (listener_ != nullptr && want_read_ && !initial_input_.empty()) loop_.add_hook(*this);
}

// The listener may close or destroy this transport.
void ProxiedTransport::on_turn() {
  if (listener_ != nullptr && want_read_ && !initial_input_.empty()) listener_->on_ready(true, false);
}

std::string ProxiedTransport::address(End end) const {
  const std::string& told = end == End::peer ? header_.source : header_.destination;
  return told.empty() ? lower_->address(end) : told;
}

std::string ProxiedTransport::description() const {
  return header_.source.empty() ? lower_->description() : header_.source + " through " + lower_->description();
}

}  // namespace twinloop::detail
