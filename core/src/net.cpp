#include "twinloop/net.h"

#include "pair.h"
#include "twinloop/detail/builtin.h"
#include "twinloop/detail/handoff.h"
#include "twinloop/locks.h"
#include "twinloop/log.h"
#include "twinloop/timing.h"

namespace twinloop {

using Options = detail::SharedStreamOptions;

struct Listener::Impl {
  virtual ~Impl() = default;
  virtual Future<IOStream> accept() = 0;
  virtual Url url() const = 0;
  virtual void close() noexcept = 0;
};

namespace {

constexpr std::size_t kAccepted = 16;  // connections that wait for accept() before the kernel's backlog does

const detail::SchemeEntry* find_scheme(std::string_view scheme) noexcept {
  for (const detail::SchemeEntry& entry : detail::builtin_schemes()) {
    if (entry.scheme == scheme) return &entry;
  }
  return nullptr;
}

[[noreturn]] void refuse_scheme(const char* verb, const Url& url) {
  throw Error(Errc::unknown_scheme, std::string(verb) + " " + url.to_string() + ": '" + url.scheme +
                                        "' is unknown here; " +
                                        std::string(IOLoop::current().backend().network().alternatives()));
}

const detail::SchemeEntry& find_filter(const char* verb, const Url& url, std::string_view scheme) {
  const detail::SchemeEntry* filter = find_scheme(scheme);
  if (filter == nullptr) refuse_scheme(verb, url);
  if (filter->missing.empty()) return *filter;
  throw Error(Errc::not_supported, std::string(verb) + " " + url.to_string() + ": " + std::string(filter->missing));
}

std::uint16_t default_port(std::string_view scheme) noexcept { return scheme == "ws" ? 80 : scheme == "wss" ? 443 : 0; }

// A filter, what it is told, and what it stands on: ws://host/path on tcp://host, ws+unix:/path on unix:/path.
struct Layers {
  const detail::SchemeEntry& filter;
  Url upper;
  Url lower;
};

// Where there is no host the path is the carrier's, and the peer's name is localhost.
Layers split(const char* verb, const Url& url) {
  const std::size_t plus = url.scheme.find('+');
  const std::string outer = url.scheme.substr(0, plus);
  Layers layers{find_filter(verb, url, outer), url, url};
  const std::string_view below = layers.filter.below;
  layers.upper.scheme = outer;
  layers.lower.scheme = below;
  if (plus != std::string::npos) {
    const std::string carrier = url.scheme.substr(plus + 1);
    layers.lower.scheme = below == "tcp" ? carrier : std::string(below) + "+" + carrier;
  }
  if (url.host.empty() && plus != std::string::npos) {
    layers.upper.host = "localhost";
    layers.upper.path.clear();
  } else {
    layers.lower.path.clear();
  }
  return layers;
}

// Limits are those of the program's stream: a handshake below it is no shorter because the program wants to hold little.
template <class Options>
Options below_filter(Options options) {
  options.stream = StreamOptions();
  return options;
}

// Where there is no socket there is nothing to set.
Result<> set_wished(const Transport& transport, const SocketOptions& options) {
  if (options.empty() || transport.native_handle() == -1) return Unit();
  return detail::platform_set_socket_options(transport.native_handle(), options);
}

void require_wished(const Transport& transport, const SocketOptions& options, const Url& url) {
  const Result<> set = set_wished(transport, options);
  if (!set.ok()) throw Error(set.error(), "connect " + url.to_string() + ": " + set.failure().message());
}

Future<IOStream> connect_url(Url url, const ConnectOptions& options) {
  Network& network = IOLoop::current().backend().network();
  if (url.scheme == "pair") {
    co_return IOStream(co_await detail::connect_pair(url), options.stream);
  }
  if (url.port == 0) url.port = default_port(url.scheme);
  if (network.carries(url.scheme)) {
    std::unique_ptr<Transport> transport = co_await network.connect(url, options);
    if (detail::platform_has_sockets()) require_wished(*transport, options.socket, url);
    co_return IOStream(std::move(transport), options.stream);
  }
  Layers layers = split("connect", url);
  const ConnectOptions lower_options = below_filter(options);
  IOStream lower = co_await connect_url(std::move(layers.lower), lower_options);
  co_return co_await layers.filter.connect(std::move(lower), layers.upper, options);
}

// Connections of a raw carrier.  They are taken ahead of accept(), so that none is lost when an accept() is dropped.
class RawListener final : public Listener::Impl {
 public:
  RawListener(std::unique_ptr<Acceptor> acceptor, Options options, const SocketOptions& socket)
      : acceptor_(std::move(acceptor)), options_(std::move(options)), socket_(socket) {
    pumping_ = pump(*this);
  }
  ~RawListener() override { pumping_ = Future<void>(); }

  Future<IOStream> accept() override {
    Future<IOStream> next = ready_.take();
    if (paused_) paused_->set_value();
    return next;
  }
  Url url() const override { return acceptor_->url(); }
  void close() noexcept override {
    pumping_ = Future<void>();
    acceptor_->close();
    ready_.clear();
    ready_.close(Errc::local);
  }

 private:
  static Future<void> pump(RawListener& self) {
    for (;;) {
      Result<std::unique_ptr<Transport>> next = co_await as_result(self.acceptor_->accept());
      if (!next.ok()) {
        self.ready_.close(next.failure());
        co_return;
      }
      const Result<> set = set_wished(**next, self.socket_);
      if (!set.ok())
        log(LogLevel::warning, "a connection to " + self.url().to_string() + ": " + set.failure().message());
      self.ready_.put(IOStream(std::move(*next), self.options_));
      if (self.ready_.size() >= kAccepted) {
        Promise<void>& paused = self.paused_.emplace();
        co_await paused.get_future();
        self.paused_.reset();
      }
    }
  }

  std::unique_ptr<Acceptor> acceptor_;
  Options options_;
  SocketOptions socket_;
  detail::Handoff<IOStream> ready_;
  std::optional<Promise<void>> paused_;
  Future<void> pumping_;
};

// Connections of a filter: each does its handshake by itself, beside the accept loop, within a deadline.
class FilterListener final : public Listener::Impl {
 public:
  FilterListener(Listener below, const detail::SchemeEntry& filter, std::string scheme, Url told, ListenOptions options)
      : state_(std::make_shared<State>(filter, std::move(told), std::move(options))),
        scheme_(std::move(scheme)),
        below_(std::move(below)) {
    pumping_ = pump(*this);
  }
  ~FilterListener() override { close(); }

  Future<IOStream> accept() override {
    Future<IOStream> next = state_->ready.take();
    state_->changed.notify_all();
    return next;
  }

  Url url() const override {
    Url real = Url::parse(below_.url()).value();
    real.scheme = scheme_;
    if (!real.host.empty()) real.path = state_->url.path;
    return real;
  }

  void close() noexcept override {
    pumping_ = Future<void>();
    below_.close();
    state_->ready.clear();
    state_->ready.close(Errc::local);
  }

 private:
  struct State {
    State(const detail::SchemeEntry& f, Url u, ListenOptions o) : filter(f), url(std::move(u)), options(std::move(o)) {}
    const detail::SchemeEntry& filter;
    Url url;
    ListenOptions options;
    detail::Handoff<IOStream> ready;
    std::size_t handshakes = 0;
    bool told = false;  // that there are too many, until they are half as many
    Condition changed;  // a handshake has ended, or somebody accepts

    bool too_many_handshakes() const noexcept { return handshakes >= options.max_handshakes; }
    // Nobody takes connections: then few are made ready.
    bool enough() const noexcept { return !ready.awaited() && handshakes + ready.size() >= kAccepted; }
  };

  struct Count {
    explicit Count(State& s) noexcept : state(s) { ++state.handshakes; }
    ~Count() {
      if (--state.handshakes <= state.options.max_handshakes / 2) state.told = false;
      state.changed.notify_all();
    }
    Count(const Count&) = delete;
    Count& operator=(const Count&) = delete;
    State& state;
  };

  static Future<void> shake_hands(std::shared_ptr<State> state, IOStream lower) {
    const Count count(*state);
    const std::string peer = lower.description();
    Result<IOStream> stream = co_await as_result(with_timeout(
        state->options.handshake_timeout, state->filter.accept(std::move(lower), state->url, state->options)));
    if (!stream.ok()) {
      log(LogLevel::info, "handshake with " + peer + " failed: " + stream.failure().message());
    } else if (!state->ready.closed()) {
      state->ready.put(std::move(*stream));
    }
  }

  static void tell_of_too_many(FilterListener& self) {
    if (std::exchange(self.state_->told, true)) return;
    log(LogLevel::warning, self.url().to_string() + ": " + std::to_string(self.state_->handshakes) +
                               " handshakes are under way (max_handshakes); further connections wait");
  }

  static Future<void> wait_for_room(FilterListener& self) {
    State& state = *self.state_;
    while (state.too_many_handshakes() || state.enough()) {
      if (state.too_many_handshakes()) tell_of_too_many(self);
      co_await state.changed.wait();
    }
  }

  static Future<void> pump(FilterListener& self) {
    for (;;) {
      co_await wait_for_room(self);
      Result<IOStream> lower = co_await as_result(self.below_.accept());
      if (!lower.ok()) {
        self.state_->ready.close(lower.failure());
        co_return;
      }
      IOLoop::current().spawn(&FilterListener::shake_hands, self.state_, std::move(*lower));
    }
  }

  std::shared_ptr<State> state_;
  std::string scheme_;
  Listener below_;
  Future<void> pumping_;
};

// What a load balancer says about a connection stands below everything else that is spoken over it.
const detail::SchemeEntry* find_proxy_protocol(const Url& url, const ListenOptions& options) {
  if (!options.proxy_protocol) return nullptr;
  const detail::SchemeEntry* proxy = find_scheme("proxy");
  if (proxy != nullptr) return proxy;
  throw Error(Errc::not_supported, "listen " + url.to_string() + ": the PROXY protocol is not spoken here");
}

Future<Listener> listen_raw(Url url, const ListenOptions& options) {
  std::unique_ptr<Acceptor> acceptor;
  if (url.scheme == "pair") {
    acceptor = detail::listen_pair(std::move(url));
  } else {
    acceptor = co_await IOLoop::current().backend().network().listen(std::move(url), options);
  }
  co_return Listener(std::make_unique<RawListener>(std::move(acceptor), Options(options.stream), options.socket));
}

Future<Listener> listen_url(Url url, ListenOptions options) {
  if (url.scheme == "pair" || IOLoop::current().backend().network().carries(url.scheme)) {
    const detail::SchemeEntry* proxy = find_proxy_protocol(url, options);
    if (proxy == nullptr) co_return co_await listen_raw(std::move(url), options);
    const ListenOptions lower_options = below_filter(options);
    Listener raw = co_await listen_raw(url, lower_options);
    co_return Listener(std::make_unique<FilterListener>(std::move(raw), *proxy, url.scheme, url, std::move(options)));
  }
  Layers layers = split("listen", url);
  if (layers.filter.check_listener != nullptr) layers.filter.check_listener(layers.upper, options);
  Listener below = co_await listen_url(std::move(layers.lower), below_filter(options));
  co_return Listener(std::make_unique<FilterListener>(std::move(below), layers.filter, url.scheme,
                                                      std::move(layers.upper), std::move(options)));
}

}  // namespace

Future<IOStream> connect(std::string text, ConnectOptions options) {
  Url url = Url::parse(text).value();
  Result<IOStream> stream = co_await as_result(with_timeout(options.timeout, connect_url(url, options)));
  if (!stream.ok() && stream.reason() == Errc::timeout) throw TimeoutError(Errc::timeout, "connect " + url.to_string());
  co_return std::move(stream).value();
}

Future<Listener> listen(std::string text, ListenOptions options) {
  Url url = Url::parse(text).value();
  co_return co_await listen_url(std::move(url), std::move(options));
}

Listener::Listener() noexcept = default;
Listener::Listener(Listener&&) noexcept = default;
Listener& Listener::operator=(Listener&&) noexcept = default;
Listener::~Listener() = default;
Listener::Listener(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

Future<IOStream> Listener::accept() { return impl_->accept(); }
std::string Listener::url() const { return impl_->url().to_string(); }
void Listener::close() noexcept { impl_->close(); }

}  // namespace twinloop
