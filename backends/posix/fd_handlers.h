// The handlers of IOLoop::add_handler, each a level-triggered registration of its descriptor.
#pragma once

#include <memory>
#include <vector>

#include "backends/posix/reactor.h"
#include "twinloop/backend.h"
#include "twinloop/detail/scheduler.h"

namespace twinloop::detail {

class FdHandlers final : public FdWatcher, private Waiter {
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
  using Entries = std::unique_ptr<Entry>;  // each with the next

  void bury(std::unique_ptr<Entry> entry) noexcept;
  static void on_drained(Waiter& waiter) noexcept;
  static void destroy(Entries entries) noexcept;
  std::unique_ptr<Entry>* find(int fd) noexcept;

  Reactor& reactor_;
  std::vector<std::unique_ptr<Entry>> entries_;  // by descriptor
  Entries removed_;                              // perhaps by their own handlers, which still run
  Entries leaving_;                              // when the coroutines have run that are ready now
  std::size_t size_ = 0;
};

}  // namespace twinloop::detail
