// AcceptorGroup: the sockets of a listener that has several addresses, as one.
#pragma once

#include <memory>
#include <vector>

#include "twinloop/backend.h"
#include "twinloop/detail/handoff.h"
#include "twinloop/locks.h"

namespace twinloop::detail {

class AcceptorGroup final : public Acceptor {
 public:
  explicit AcceptorGroup(std::vector<std::unique_ptr<Acceptor>> members);
  // All at the same port; at least one.
  ~AcceptorGroup() override { close(); }

  Future<std::unique_ptr<Transport>> accept() override;
  Url url() const override { return members_.front()->url(); }
  void close() noexcept override;

 private:
  static Future<void> pass_on(AcceptorGroup& self, Acceptor& member);

  std::vector<std::unique_ptr<Acceptor>> members_;
  Handoff<std::unique_ptr<Transport>> incoming_;
  Condition wanted_;                   // somebody waits in accept()
  std::vector<Future<void>> passing_;  // uses all of these
};

}  // namespace twinloop::detail
