#include "backends/posix/acceptor_group.h"

namespace twinloop::detail {

AcceptorGroup::AcceptorGroup(std::vector<std::unique_ptr<Acceptor>> members) : members_(std::move(members)) {
  passing_.reserve(members_.size());
  for (const auto& member : members_) passing_.push_back(pass_on(*this, *member));
}

Future<std::unique_ptr<Transport>> AcceptorGroup::accept() {
  Future<std::unique_ptr<Transport>> next = incoming_.take();
  if (incoming_.awaited()) wanted_.notify_all();
  return next;
}

// Each member's connection waits here while nobody wants it, so that none is favoured.
Future<void> AcceptorGroup::pass_on(AcceptorGroup& self, Acceptor& member) {
  for (;;) {
    Result<std::unique_ptr<Transport>> next = co_await as_result(member.accept());
    if (!next.ok()) {
      self.incoming_.close(next.failure());
      co_return;
    }
    self.incoming_.put(std::move(*next));
    while (!self.incoming_.awaited()) co_await self.wanted_.wait();
  }
}

void AcceptorGroup::close() noexcept {
  passing_.clear();
  for (const auto& member : members_) member->close();
  incoming_.clear();
  incoming_.close(Errc::local);
}

}  // namespace twinloop::detail
