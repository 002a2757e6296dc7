#include <ares.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "backends/posix/socket.h"
#include "twinloop/cares.h"
#include "twinloop/detail/task.h"
#include "twinloop/error.h"
#include "twinloop/ioloop.h"
#include "twinloop/log.h"

namespace twinloop {
namespace {

using detail::Address;

// c-ares says which sockets it wants watched and when it wants to be called next; the loop does both.
class CaresResolver final : public Resolver, private detail::CloseHook {
 public:
  explicit CaresResolver(const std::string& servers);
  ~CaresResolver() override;
  CaresResolver(const CaresResolver&) = delete;
  CaresResolver& operator=(const CaresResolver&) = delete;

  Future<std::vector<std::string>> resolve(std::string host) override;

 private:
  // Whoever asked may have gone: then nobody hears the answer.
  struct Question {
    Promise<std::vector<std::string>> answer;
    const CaresResolver& asked;
  };

  static void on_socket(void* self, ares_socket_t fd, int reads, int writes);
  static void on_answer(void* question, int status, int timeouts, ares_addrinfo* found);
  void on_loop_close() noexcept override { end(Errc::loop_closed); }

  void watch(ares_socket_t fd, FdEvents events);
  void go_on(ares_socket_t readable, ares_socket_t writable);
  void set_timer();
  void end(Errc reason) noexcept;

  IOLoop& loop_;
  ares_channel channel_ = nullptr;
  std::vector<ares_socket_t> watched_;
  Timeout timer_;
  Errc ending_ = Errc::unresolved;
};

void require_success(int status, Errc reason, const std::string& what) {
  if (status != ARES_SUCCESS) throw Error(reason, "cares_resolver: " + what + ares_strerror(status));
}

CaresResolver::CaresResolver(const std::string& servers) : loop_(IOLoop::current()) {
  ares_options options{};
  options.sock_state_cb = &CaresResolver::on_socket;
  options.sock_state_cb_data = this;
  require_success(ares_init_options(&channel_, &options, ARES_OPT_SOCK_STATE_CB), Errc::not_supported, "");
  const int status = servers.empty() ? ARES_SUCCESS : ares_set_servers_ports_csv(channel_, servers.c_str());
  if (status != ARES_SUCCESS) ares_destroy(channel_);
  require_success(status, Errc::invalid_url, "'" + servers + "' is no list of servers: ");
  loop_.add_closer(*this);
}

CaresResolver::~CaresResolver() { end(Errc::cancelled); }

void CaresResolver::end(Errc reason) noexcept {
  if (channel_ == nullptr) return;
  CloseHook::unlink();
  ending_ = reason;
  ares_destroy(std::exchange(channel_, nullptr));  // answers all questions
  for (const ares_socket_t fd : std::exchange(watched_, {})) loop_.remove_handler(fd);
  loop_.remove_timeout(timer_);
}

Future<std::vector<std::string>> CaresResolver::resolve(std::string host) {
  using Answer = Future<std::vector<std::string>>;
  if (channel_ == nullptr) return Answer::failed(Failure(ending_, "resolve " + host));
  if (IOLoop::current_or_null() != &loop_) {
    return Answer::failed(Failure(Errc::not_supported, "resolve " + host + ": this resolver belongs to another loop"));
  }
  auto question = std::make_unique<Question>(Promise<std::vector<std::string>>(), *this);
  Answer answer = question->answer.get_future();
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  ares_getaddrinfo(channel_, host.c_str(), nullptr, &hints, &CaresResolver::on_answer, question.release());
  set_timer();
  return answer;
}

void CaresResolver::on_answer(void* asked, int status, int, ares_addrinfo* found) {
  const std::unique_ptr<Question> question(static_cast<Question*>(asked));
  if (status != ARES_SUCCESS) {
    const bool ended = status == ARES_EDESTRUCTION;
    question->answer.set_error(ended ? Failure(question->asked.ending_)
                                     : Failure(Errc::unresolved, ares_strerror(status)));
    return;
  }
  std::vector<std::string> hosts;
  for (const ares_addrinfo_node* node = found->nodes; node != nullptr; node = node->ai_next) {
    std::string host = Address(node->ai_addr, static_cast<socklen_t>(node->ai_addrlen)).host();
    if (std::ranges::find(hosts, host) == hosts.end()) hosts.push_back(std::move(host));
  }
  ares_freeaddrinfo(found);
  question->answer.set_value(std::move(hosts));
}

// Told with neither before c-ares closes a socket.  No exception may pass through c-ares.
void CaresResolver::on_socket(void* self, ares_socket_t fd, int reads, int writes) {
  const FdEvents events =
      (reads != 0 ? FdEvents::read : FdEvents::none) | (writes != 0 ? FdEvents::write : FdEvents::none);
  try {
    static_cast<CaresResolver*>(self)->watch(fd, events);
  } catch (const Error& error) {
    log(LogLevel::warning, std::string("cares_resolver: a socket goes unwatched: ") + error.what());
  }
}

void CaresResolver::watch(ares_socket_t fd, FdEvents events) {
  const auto known = std::ranges::find(watched_, fd);
  if (events == FdEvents::none) {
    if (known == watched_.end()) return;
    watched_.erase(known);
    return loop_.remove_handler(fd);
  }
  if (known != watched_.end()) return loop_.update_handler(fd, events);
  const auto handler = [this](int ready, FdEvents what) {
    const bool reads = any_of(what, FdEvents::read | FdEvents::error);
    const bool writes = any_of(what, FdEvents::write | FdEvents::error);
    go_on(reads ? ready : ARES_SOCKET_BAD, writes ? ready : ARES_SOCKET_BAD);
  };
  loop_.add_handler(fd, handler, events);
  watched_.push_back(fd);
}

void CaresResolver::go_on(ares_socket_t readable, ares_socket_t writable) {
  ares_process_fd(channel_, readable, writable);
  set_timer();
}

void CaresResolver::set_timer() {
  loop_.remove_timeout(timer_);
  timeval time{};
  if (ares_timeout(channel_, nullptr, &time) == nullptr) return;
  const Duration delay = std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
  timer_ = loop_.call_later(delay, [this] { go_on(ARES_SOCKET_BAD, ARES_SOCKET_BAD); });
}

// c-ares counts its users; this process is one for ever.
void initialize_once() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  require_success(status, Errc::not_supported, "");
}

}  // namespace

std::shared_ptr<Resolver> cares_resolver(const std::string& servers) {
  initialize_once();
  return std::make_shared<CaresResolver>(servers);
}

}  // namespace twinloop
