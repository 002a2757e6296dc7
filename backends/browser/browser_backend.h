// The browser's event loop, or Node's, as a hosted backend: it asks the host for turns (a MessageChannel, or setImmediate in Node)
// and for one timer, and never waits itself.
#pragma once

#include <memory>

#include "twinloop/backend.h"
#include "twinloop/ioloop.h"

namespace twinloop::detail {

// WebSockets and the page's `stdio:`; nothing else leaves a browser.
class BrowserNetwork final : public Network {
 public:
  bool carries(std::string_view scheme) const noexcept override;
  Future<std::unique_ptr<Transport>> connect(Url url, const ConnectOptions& options) override;
  Future<std::unique_ptr<Acceptor>> listen(Url url, const ListenOptions& options) override;
  std::string_view alternatives() const noexcept override;
};

class BrowserBackend final : public Backend {
 public:
  explicit BrowserBackend(std::unique_ptr<Network> network);
  ~BrowserBackend() override;

  std::string_view name() const noexcept override { return "browser"; }
  TimePoint now() const noexcept override;
  void wait(TimePoint) override {}  // what the host brought is in the loop's hooks already
  void wake() noexcept override {}
  Network& network() override { return *network_; }
  bool hosted() const noexcept override { return true; }
  void attach(IOLoop& loop) override { loop_ = &loop; }
  void request_turn(TimePoint when) override;

  static void turn() noexcept;
  // What the host calls when a turn is due.

 private:
  std::unique_ptr<Network> network_;
  IOLoop* loop_ = nullptr;
};

}  // namespace twinloop::detail
