// PipePairTransport: two pipes as one connection, read from one and written to the other, as between a program and its child.
#pragma once

#include <memory>
#include <utility>

#include "backends/posix/pipe_transport.h"

namespace twinloop::detail {

// Each pipe tells the listener by itself: one of what is to be read, the other of room.
class PipePairTransport final : public Transport {
 public:
  PipePairTransport(std::unique_ptr<Transport> reading, std::unique_ptr<Transport> writing) noexcept
      : reading_(std::move(reading)), writing_(std::move(writing)) {}

  IoResult read(Bytes into) override { return reading_->read(into); }
  IoResult write(std::span<const ConstBytes> pieces) override { return writing_->write(pieces); }
  IoResult shutdown_write() override { return writing_->shutdown_write(); }
  void close(std::error_code reason) noexcept override {
    reading_->close(reason);
    writing_->close(reason);
  }
  void want(bool read, bool write) override {
    reading_->want(read, false);
    writing_->want(false, write);
  }
  void set_listener(TransportListener* listener) noexcept override {
    reading_->set_listener(listener);
    writing_->set_listener(listener);
  }
  bool reports_end_early() const noexcept override { return reading_->reports_end_early(); }
  bool close_may_lose_output() const noexcept override { return false; }
  std::string description() const override { return reading_->description(); }

 private:
  std::unique_ptr<Transport> reading_;
  std::unique_ptr<Transport> writing_;
};

}  // namespace twinloop::detail
