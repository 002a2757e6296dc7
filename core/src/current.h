// Which loop a thread finds by IOLoop::current(), for a while.
#pragma once

#include "twinloop/ioloop.h"

namespace twinloop::detail {

// Makes a loop the thread's current one while it lives.  What somebody else made current meanwhile stays.
class Current {
 public:
  explicit Current(IOLoop& loop) noexcept : former_(IOLoop::current_or_null()), loop_(loop) { loop.make_current(); }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;
  ~Current() {
    if (IOLoop::current_or_null() != &loop_) return;
    if (former_ != nullptr)
      former_->make_current();
    else
      IOLoop::clear_current();
  }

 private:
  IOLoop* former_;
  IOLoop& loop_;
};

}  // namespace twinloop::detail
