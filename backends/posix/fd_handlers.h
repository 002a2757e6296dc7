// The handlers of IOLoop::add_handler, each a level-triggered registration of its descriptor.
#pragma once

#include <memory>
#include <vector>

#include "backends/posix/reactor.h"
#include "twinloop/backend.h"

namespace twinloop::detail {

class FdHandlers final : public FdWatcher {
 public:
  explicit FdHandlers(Reactor& reactor) noexcept;
  ~FdHandlers() override;

  std::error_code add(int fd, Handler handler, FdEvents events, const Origin& origin) override;
  std::error_code update(int fd, FdEvents events) override;
  void remove(int fd) noexcept override;
  void close_descriptors() noexcept override;
  std::size_t size() const noexcept override { return size_; }

 private:
  class Entry;
  std::unique_ptr<Entry>* find(int fd) noexcept;

  Reactor& reactor_;
  std::vector<std::unique_ptr<Entry>> entries_;  // by descriptor
  std::unique_ptr<Entry> removed_;               // by its own handler, which is still running
  std::size_t size_ = 0;
};

}  // namespace twinloop::detail
