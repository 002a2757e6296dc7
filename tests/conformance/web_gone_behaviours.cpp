// Clients that go: each request ends in exactly one of on_finish and on_connection_close, wherever it was, over every carrier.
#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "carriers.h"
#include "fixtures.h"
#include "twinloop/event_stream.h"
#include "twinloop/upload_handler.h"
#include "web_fixtures.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kNetwork = Needs::tcp | Needs::listen;

// What happened to the handlers of a test.
struct Seen {
  int begun = 0;
  int chunks = 0;
  int ended = 0;  // the verb's frame is gone
  int finished = 0;
  int closed = 0;
  std::error_code reason;
};

class Counting {
 public:
  explicit Counting(int& ended) noexcept : ended_(ended) {}
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;
  ~Counting() { ++ended_; }

 private:
  int& ended_;
};

class Watched : public RequestHandler {
 public:
  explicit Watched(Seen& seen) : seen_(seen) {}
  void on_finish() override { ++seen_.finished; }
  void on_connection_close() override {
    ++seen_.closed;
    seen_.reason = request().close_reason();
    gone_.set_value();
  }

 protected:
  Future<void> wait_for_the_end() {
    Future<void> gone = gone_.get_future();
    co_await std::move(gone);
  }
  Seen& seen_;

 private:
  Promise<void> gone_;
};

// A long poll: it waits for something that does not come.
class Waits : public Watched {
 public:
  using Watched::Watched;
  Future<void> get() override {
    const Counting frame(seen_.ended);
    ++seen_.begun;
    if (get_query_argument("now", "") == "yes") {
      write("at once");
      co_return;
    }
    co_await wait_for_the_end();
    write("too late");
  }
};

class Cancelled : public Watched {
 public:
  using Watched::Watched;
  Future<void> get() override {
    const Counting frame(seen_.ended);
    set_cancel_on_connection_close(true);
    ++seen_.begun;
    co_await sleep_for(1h);
  }
};

// Takes an upload a piece at a time.
class Uploads : public Watched {
 public:
  using Watched::Watched;
  static constexpr bool kStreamRequestBody = true;
  Future<void> data_received(std::string_view) override {
    ++seen_.begun;
    ++seen_.chunks;
    return Future<void>::ready();
  }
  Future<void> post() override {
    write(std::to_string(seen_.chunks));
    co_return;
  }
};

// Says what came of a form, part by part.
class Parts : public UploadHandler {
 public:
  explicit Parts(Seen& seen) : seen_(seen) {}
  MultipartLimits upload_limits() override {
    MultipartLimits limits;
    limits.max_part_size = 100'000;
    limits.max_parts = 3;
    return limits;
  }
  Future<void> begin_part(const MultipartPart& part) override {
    ++seen_.begun;
    co_await moment();
    story_ += part.name + (part.filename ? "=" + *part.filename : "") + ":";
    size_ = 0;
  }
  Future<void> receive_part(std::string_view bytes) override {
    ++seen_.chunks;
    expect(!busy_, "one piece at a time");
    busy_ = true;
    co_await moment();
    busy_ = false;
    size_ += bytes.size();
  }
  Future<void> end_part() override {
    ++seen_.ended;
    story_ += std::to_string(size_) + ";";
    co_return;
  }
  Future<void> post() override { return finish(story_); }
  void on_finish() override { ++seen_.finished; }
  void on_connection_close() override {
    ++seen_.closed;
    seen_.reason = request().close_reason();
  }

 private:
  Seen& seen_;
  std::string story_;
  std::size_t size_ = 0;
  bool busy_ = false;
};

const std::string kFormType = "Content-Type: multipart/form-data; boundary=1234\r\n";

std::string part_of(std::string_view name, std::size_t size) {
  std::string part = "--1234\r\nContent-Disposition: form-data; name=" + std::string(name) + "\r\n\r\n";
  return part.append(size, 'x').append("\r\n");
}

// Sends more than anybody takes.
class Floods : public Watched {
 public:
  using Watched::Watched;
  Future<void> get() override {
    const Counting frame(seen_.ended);
    const std::string megabyte(1024 * 1024, 'x');
    for (;;) {
      write(megabyte);
      ++seen_.begun;
      co_await flush();
    }
  }
};

// Is done at once, but what it said is more than fits between here and its client.
class SaysMuch : public Watched {
 public:
  using Watched::Watched;
  Future<void> get() override {
    const Counting frame(seen_.ended);
    ++seen_.begun;
    write(std::string(20'000'000, 'x'));
    co_return;
  }
};

// Sends a little, again and again.
class Drips : public Watched {
 public:
  using Watched::Watched;
  Future<void> get() override {
    const Counting frame(seen_.ended);
    for (;;) {
      write("drop");
      co_await flush();
      co_await sleep_for(1ms);
    }
  }
};

Future<void> until(const int& count, int wanted) {
  while (count < wanted) co_await sleep_for(1ms);
}

Future<void> until_idle(Application& app) {
  while (app.server().stats().active > 0) co_await sleep_for(1ms);
}

struct Served {
  Application app;
  std::string url;
  ConnectOptions connecting;
};

Future<Served> serve_over(const Carrier& carrier, Seen& seen) {
  Served served;
  served.app.add<Waits>("/wait", std::ref(seen));
  served.app.add<Cancelled>("/cancelled", std::ref(seen));
  served.app.add<Uploads>("/upload", std::ref(seen));
  served.app.add<Parts>("/parts", std::ref(seen));
  served.app.add<Floods>("/flood", std::ref(seen));
  served.app.add<SaysMuch>("/large", std::ref(seen));
  ListenOptions listening;
  carrier.secure(served.connecting, listening);
  std::string url = carrier.url != nullptr ? carrier.url : "pair:gone";
  served.url = stream_url(co_await served.app.listen(std::move(url), std::move(listening)));
  co_return served;
}

// ---- where a request is when its client goes

struct Place {
  const char* name;
  Future<void> (*reach)(IOStream& client, const Seen& seen);
};

Future<void> waiting(IOStream& client, const Seen& seen) {
  co_await client.write(request("GET", "/wait"));
  co_await until(seen.begun, 1);
}

Future<void> cancelled(IOStream& client, const Seen& seen) {
  co_await client.write(request("GET", "/cancelled"));
  co_await until(seen.begun, 1);
}

Future<void> with_pipelined_bytes(IOStream& client, const Seen& seen) {
  co_await client.write(request("GET", "/wait") + request("GET", "/wait") + "GET /wa");
  co_await until(seen.begun, 1);
}

Future<void> behind_keep_alive(IOStream& client, const Seen& seen) {
  const WebReply first = co_await ask(client, request("GET", "/wait?now=yes"));
  expect_equal(first.body, "at once");
  co_await client.write(request("GET", "/wait"));
  co_await until(seen.begun, 2);
}

Future<void> uploading(IOStream& client, const Seen& seen) {
  co_await client.write("POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nfirst piece");
  co_await until(seen.begun, 1);
}

Future<void> within_a_part(IOStream& client, const Seen& seen) {
  const std::string form = part_of("a", 5) + part_of("b", 1000) + "--1234--";
  co_await client.write(request("POST", "/parts", kFormType, form).substr(0, 500));
  co_await until(seen.begun, 2);
}

Future<void> in_a_stuck_flush(IOStream& client, const Seen& seen) {
  co_await client.write(request("GET", "/flood"));
  int before = -1;
  while (before != seen.begun || seen.begun == 0) {  // until it stands still
    before = seen.begun;
    co_await sleep_for(20ms);
  }
}

Future<void> answered_but_not_sent(IOStream& client, const Seen& seen) {
  co_await client.write(request("GET", "/large"));
  co_await until(seen.begun, 1);
}

constexpr std::array<Place, 8> kPlaces = {{
    {"waits", &waiting},
    {"is to be cancelled", &cancelled},
    {"waits in front of pipelined bytes", &with_pipelined_bytes},
    {"waits behind keep-alive", &behind_keep_alive},
    {"is in the middle of an upload", &uploading},
    {"is in the middle of a form's part", &within_a_part},
    {"is in a flush that is stuck", &in_a_stuck_flush},
    {"has its answer, which it does not take,", &answered_but_not_sent},
}};

// ---- how it goes

struct Way {
  const char* name;
  void (*go)(IOStream& client);
};

constexpr std::array<Way, 3> kWays = {{
    {"ends its sending side", [](IOStream& client) { client.shutdown_write().ignore(); }},
    {"closes", [](IOStream& client) { client.close(); }},
    {"resets", [](IOStream& client) { client.abort(); }},
}};

Future<void> goes(const Carrier& carrier, const Place& place, const Way& way) {
  const RecordedLog log;
  Seen seen;
  Served served = co_await serve_over(carrier, seen);
  IOStream client = co_await connect(served.url, std::move(served.connecting));
  co_await place.reach(client, seen);
  const int finished_before = seen.finished;
  way.go(client);
  co_await until(seen.closed, 1);
  co_await until_idle(served.app);
  co_await moment();
  expect_equal(seen.closed, 1);
  expect_equal(seen.finished, finished_before);
  expect(static_cast<bool>(seen.reason), "there is a reason");
  expect_equal(log.count(LogLevel::error), 0);
}

const std::vector<std::unique_ptr<Registration>> registered = [] {
  std::vector<std::unique_ptr<Registration>> all;
  for (const Carrier& carrier : carriers()) {
    const std::string_view name = carrier.name;
    if (name == "ws" || name == "wss") continue;
    for (const Place& place : kPlaces) {
      for (const Way& way : kWays) {
        const std::string sentence = std::string("a client of a request that ") + place.name + " " + way.name +
                                     ": on_connection_close, once, over " + carrier.name;
        all.push_back(std::make_unique<Registration>(sentence, carrier.needs | Needs::http,
                                                     [&carrier, &place, &way] { return goes(carrier, place, way); }));
      }
    }
  }
  return all;
}();

// ---- who declares no interest

class Slow : public RequestHandler {
 public:
  explicit Slow(int& ended) : ended_(ended) {}
  Future<void> get() override {
    co_await sleep_for(10ms);
    write("all the same");
    ++ended_;
  }

 private:
  int& ended_;
};

class Sleeps : public RequestHandler {
 public:
  Sleeps(int& begun, int& ended) : begun_(begun), ended_(ended) {}
  Future<void> get() override {
    const Counting frame(ended_);
    ++begun_;
    co_await sleep_for(1h);
  }

 private:
  int& begun_;
  int& ended_;
};

class Finishes : public Slow {
 public:
  Finishes(int& ended, int& finished) : Slow(ended), finished_(finished) {}
  void on_finish() override { ++finished_; }

 private:
  int& finished_;
};

class Ticks : public RequestHandler {
 public:
  explicit Ticks(Seen& seen, Duration keep_alive = 0s) : seen_(seen), keep_alive_(keep_alive) {}
  Future<void> get() override {
    const Counting frame(seen_.ended);
    EventStream events(*this, keep_alive_);
    co_await events.open();
    if (!events.last_event_id().empty()) co_await events.send("after " + events.last_event_id());
    ++seen_.begun;
    if (keep_alive_ > 0s) co_await sleep_for(1h);
    ServerEvent event("tick\ntock");
    event.set_event("time").set_id("1");
    co_await events.send(event);
    co_await sleep_for(1h);
  }
  void on_finish() override { ++seen_.finished; }
  void on_connection_close() override { ++seen_.closed; }

 private:
  Seen& seen_;
  Duration keep_alive_;
};

// Waits until the application drains.
class Leaves : public RequestHandler {
 public:
  explicit Leaves(Seen& seen) : seen_(seen) {}
  Future<void> get() override {
    ++seen_.begun;
    Future<void> leave = leave_.get_future();
    co_await std::move(leave);
    write("the server is going");
  }
  void on_drain() override { leave_.set_value(); }

 private:
  Seen& seen_;
  Promise<void> leave_;
};

}  // namespace

BEHAVIOUR("a client that only ends its sending side gets its answer from a handler that declared no interest",
          kNetwork) {
  int ended = 0;
  Application app;
  app.add<Slow>("/", std::ref(ended));
  const std::string url = stream_url(co_await app.listen("http://127.0.0.1:0"));
  IOStream client = co_await connect(url);
  co_await client.write(request("GET", "/"));
  co_await client.shutdown_write();
  const WebReply reply = co_await read_reply(client);
  expect_equal(reply.body, "all the same");
  const std::string rest = co_await client.read_until_close();
  expect_equal(rest, "");
}

BEHAVIOUR("on_finish alone declares no interest in a client's FIN", kNetwork) {
  int ended = 0;
  int finished = 0;
  Application app;
  app.add<Finishes>("/", std::ref(ended), std::ref(finished));
  const std::string url = stream_url(co_await app.listen("http://127.0.0.1:0"));
  IOStream client = co_await connect(url);
  co_await client.write(request("GET", "/"));
  co_await client.shutdown_write();
  const WebReply reply = co_await read_reply(client);
  expect_equal(reply.body, "all the same");
  co_await until(finished, 1);
  expect_equal(finished, 1);
}

BEHAVIOUR("on_finish waits until the response was handed over whole", kNetwork) {
  Seen seen;
  Application app;
  app.add<SaysMuch>("/", std::ref(seen));
  const std::string url = stream_url(co_await app.listen("http://127.0.0.1:0"));
  IOStream client = co_await connect(url);
  co_await client.write(request("GET", "/"));
  co_await until(seen.begun, 1);
  co_await sleep_for(20ms);
  expect_equal(seen.finished, 0);
  const WebReply reply = co_await read_reply(client);
  expect_equal(reply.body.size(), 20'000'000u);
  co_await until(seen.finished, 1);
  expect_equal(seen.closed, 0);
}

namespace {

// Finishes, and works on until its client has gone.
class WorksOn : public Watched {
 public:
  WorksOn(Seen& seen, bool cancels) : Watched(seen), cancels_(cancels) {}
  Future<void> get() override {
    const Counting frame(seen_.ended);
    if (cancels_) set_cancel_on_connection_close(true);
    co_await finish("all of it");
    co_await request().stream().peer_ended();
    co_await sleep_for(2ms);
    ++seen_.begun;
  }

 private:
  bool cancels_;
};

Future<void> work_on(bool cancels) {
  Seen seen;
  Application app;
  app.add<WorksOn>("/", std::ref(seen), cancels);
  const std::string url = stream_url(co_await app.listen("http://127.0.0.1:0"));
  IOStream client = co_await connect(url);
  const WebReply reply = co_await ask(client, request("GET", "/"));
  expect_equal(reply.body, "all of it");
  co_await until(seen.finished, 1);
  expect_equal(seen.ended, 0);
  client.close();
  co_await until_idle(app);
  expect_equal(seen.begun, 1);
  expect_equal(seen.finished, 1);
  expect_equal(seen.closed, 0);
}

}  // namespace

BEHAVIOUR(
    "on_finish comes when the response has left, also to a verb that works on, and a client that then goes is none",
    kNetwork) {
  co_await work_on(false);
}

BEHAVIOUR("a verb that works on behind its response is not dropped when its client goes", kNetwork) {
  co_await work_on(true);
}

BEHAVIOUR("half_closing_clients = wait: a FIN is no reason to stop, a write that fails is", kNetwork) {
  Seen seen;
  Application app({}, HTTPServerOptions().set_half_closing_clients(HalfClosingClients::wait));
  app.add<Drips>("/", std::ref(seen));
  const std::string url = stream_url(co_await app.listen("http://127.0.0.1:0"));
  IOStream client = co_await connect(url);
  co_await client.write(request("GET", "/"));
  co_await client.shutdown_write();
  for (int i = 0; i < 3; ++i) co_await client.read_until("drop");
  expect_equal(seen.closed, 0);
  client.abort();
  co_await until(seen.closed, 1);
  co_await until_idle(app);
  expect_equal(seen.closed, 1);
  expect_equal(seen.finished, 0);
}

BEHAVIOUR("a handler that is to be cancelled when its client goes ends where it waits", kNetwork) {
  Seen seen;
  Application app;
  app.add<Cancelled>("/", std::ref(seen));
  const std::string url = stream_url(co_await app.listen("http://127.0.0.1:0"));
  IOStream client = co_await connect(url);
  co_await client.write(request("GET", "/"));
  co_await until(seen.begun, 1);
  client.close();
  co_await until(seen.ended, 1);
  co_await until_idle(app);
  expect_equal(seen.closed, 1);
  expect_equal(seen.finished, 0);
}

BEHAVIOUR("a route may ask for cancellation in place of its handler", kNetwork) {
  int begun = 0;
  int ended = 0;
  Application app;
  app.add<Sleeps>("/", std::ref(begun), std::ref(ended)).cancel_on_connection_close();
  const std::string url = stream_url(co_await app.listen("http://127.0.0.1:0"));
  IOStream client = co_await connect(url);
  co_await client.write(request("GET", "/"));
  co_await until(begun, 1);
  client.close();
  co_await until(ended, 1);
  co_await until_idle(app);
}

// ---- uploads

BEHAVIOUR("an upload arrives piece by piece, and its verb is called behind the last", Needs::http) {
  Seen seen;
  Application app;
  app.add<Uploads>("/", std::ref(seen));
  co_await app.listen("pair:upload");
  IOStream client = co_await connect("pair:upload");
  co_await client.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\none");
  co_await until(seen.chunks, 1);
  co_await client.write("two");
  const WebReply reply = co_await read_reply(client);
  expect_equal(reply.body, "2");
  co_await until(seen.finished, 1);
  expect_equal(seen.closed, 0);
}

namespace {

// Takes long over each piece.
class SlowUploads : public RequestHandler {
 public:
  static constexpr bool kStreamRequestBody = true;
  Future<void> prepare() override { return step("prepare "); }
  Future<void> data_received(std::string_view chunk) override {
    expect(!busy_, "one piece at a time");
    busy_ = true;
    bytes_ += chunk.size();
    co_await sleep_for(1ms);
    busy_ = false;
  }
  Future<void> post() override {
    write(steps_ + std::to_string(bytes_));
    co_return;
  }

 private:
  Future<void> step(std::string what) {
    co_await sleep_for(1ms);
    steps_ += what;
  }
  std::string steps_;
  std::size_t bytes_ = 0;
  bool busy_ = false;
};

class Refuses : public RequestHandler {
 public:
  explicit Refuses(bool throws) : throws_(throws) {}
  static constexpr bool kStreamRequestBody = true;
  Future<void> prepare() override {
    if (throws_) throw HTTPError(401);
    co_await finish("no need");
  }
  Future<void> data_received(std::string_view) override { throw std::logic_error("nobody asked for it"); }

 private:
  bool throws_;
};

}  // namespace

BEHAVIOUR("pieces of an upload never overlap, counted or chunked", Needs::http) {
  Application app;
  app.add<SlowUploads>("/");
  co_await app.listen("pair:upload");
  const std::string body(300'000, 'x');
  const WebReply counted = co_await fetch("pair:upload", request("POST", "/", {}, body));
  expect_equal(counted.body, "prepare 300000");
  std::string chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 10; ++i) chunked.append("1000\r\n").append(4096, 'y').append("\r\n");
  const WebReply in_chunks = co_await fetch("pair:upload", chunked + "0\r\n\r\n");
  expect_equal(in_chunks.body, "prepare 40960");
}

BEHAVIOUR("pieces of a compressed upload arrive decompressed", Needs::http) {
  Application app({}, HTTPServerOptions().set_decompress_requests(true));
  app.add<SlowUploads>("/");
  co_await app.listen("pair:upload");
  constexpr std::string_view kHeaders = "Content-Encoding: gzip\r\n";
  const WebReply reply =
      co_await fetch("pair:upload", request("POST", "/", kHeaders, gzipped(std::string(100'000, 'x'))));
  expect_equal(reply.body, "prepare 100000");
}

BEHAVIOUR("the parts of a form arrive as they come, and the verb behind the last", Needs::http) {
  Seen seen;
  Application app;
  app.add<Parts>("/", std::ref(seen));
  co_await app.listen("pair:parts");
  const std::string body = part_of("a", 100'000) + part_of("b; filename=x.txt", 0) + part_of("c", 5) + "--1234--";
  const WebReply whole = co_await fetch("pair:parts", request("POST", "/", kFormType, body));
  expect_equal(whole.body, "a:100000;b=x.txt:0;c:5;");
  IOStream client = co_await connect("pair:parts");
  const std::string bytes = request("POST", "/", kFormType, part_of("a", 3) + part_of("b", 4) + "--1234--");
  seen = Seen();
  co_await client.write(std::string_view(bytes).substr(0, bytes.size() - 50));
  co_await until(seen.ended, 1);
  co_await client.write(std::string_view(bytes).substr(bytes.size() - 50));
  const WebReply slow = co_await read_reply(client);
  expect_equal(slow.body, "a:3;b:4;");
  co_await until(seen.finished, 1);
}

BEHAVIOUR("a form in parts that is malformed is 400, one beyond its limits 413, and its verb is not called",
          Needs::http) {
  const RecordedLog log;
  Seen seen;
  Application app;
  app.add<Parts>("/", std::ref(seen));
  co_await app.listen("pair:parts");
  const auto status = [](std::string type, std::string body) -> Future<int> {
    const WebReply reply = co_await fetch("pair:parts", request("POST", "/", type, body));
    co_return reply.status;
  };
  const int no_type = co_await status("", part_of("a", 1) + "--1234--");
  const int no_end = co_await status(kFormType, part_of("a", 1));
  const int no_body = co_await status(kFormType, "");
  const int no_name = co_await status(kFormType, "--1234\r\nX: y\r\n\r\n\r\n--1234--");
  const int large = co_await status(kFormType, part_of("a", 100'001) + "--1234--");
  const int many =
      co_await status(kFormType, part_of("a", 1) + part_of("a", 1) + part_of("a", 1) + part_of("a", 1) + "--1234--");
  expect_equal(no_type, 400);
  expect_equal(no_end, 400);
  expect_equal(no_body, 400);
  expect_equal(no_name, 400);
  expect_equal(large, 413);
  expect_equal(many, 413);
}

BEHAVIOUR("an upload that prepare answers is not read", kNetwork) {
  const RecordedLog log;
  Application app;
  app.add<Refuses>("/error", true);
  app.add<Refuses>("/answer", false);
  const std::string url = stream_url(co_await app.listen("http://127.0.0.1:0"));
  for (const char* target : {"/error", "/answer"}) {
    IOStream client = co_await connect(url);
    co_await client.write(std::string("POST ") + target +
                          " HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\nsome");
    const WebReply reply = co_await read_reply(client);
    expect_equal(reply.status, std::string_view(target) == "/error" ? 401 : 200);
    co_await client.peer_ended();
  }
}

BEHAVIOUR("a body beyond the limit is 413", Needs::http) {
  const RecordedLog log;
  int ended = 0;
  Application app({}, HTTPServerOptions().set_max_body_size(100));
  app.add<Slow>("/", std::ref(ended));
  co_await app.listen("pair:upload");
  const WebReply reply = co_await fetch("pair:upload", request("POST", "/", {}, std::string(101, 'x')));
  expect_equal(reply.status, 413);
}

// ---- requests that the server's side ends

namespace {

// Ends as its path says.
class EndsBadly : public Watched {
 public:
  using Watched::Watched;
  Future<void> get() override {
    const std::string& how = path_args()[0];
    if (how == "throws") throw std::runtime_error("as it was told");
    if (how == "throws_behind_flush") co_return co_await throw_behind_flush();
    if (how == "throws_behind_finish") co_return co_await throw_behind_finish();
    if (how == "says_less") co_return co_await say(5);
    if (how == "says_more") co_return co_await say(20);
    if (how == "closes") request().stream().close();
    if (how == "aborts") co_return co_await abort_behind_flush();
    if (how == "page_fails") throw HTTPError(418);
  }
  Future<void> post() override {
    write("it is well");
    co_return;
  }
  Future<void> write_error(int status, const Failure& why) override {
    if (status == 418) throw std::runtime_error("no page either");
    return Watched::write_error(status, why);
  }

 private:
  Future<void> throw_behind_flush() {
    write("half");
    co_await flush();
    throw std::runtime_error("as it was told");
  }
  Future<void> throw_behind_finish() {
    co_await finish("whole");
    throw std::runtime_error("as it was told");
  }
  Future<void> say(std::size_t bytes) {
    set_header("Content-Length", 10);
    write(std::string(bytes, 'x'));
    co_await flush();
    co_await finish();
  }
  Future<void> abort_behind_flush() {
    write("half");
    co_await flush();
    request().stream().abort();
    co_await finish();
  }
};

struct BadEnd {
  std::string request;
  bool answered;  // on_finish, else on_connection_close
};

std::vector<BadEnd> bad_ends() {
  const auto to = [](std::string_view path) { return request("GET", path); };
  std::vector<BadEnd> all = {
      {to("/throws"), true},     {to("/throws_behind_flush"), false}, {to("/throws_behind_finish"), true},
      {to("/says_less"), false}, {to("/says_more"), false},           {to("/closes"), false},
      {to("/aborts"), false},    {to("/page_fails"), true},
  };
  all.push_back({request("POST", "/well", {}, "a body"), true});
  all.push_back({request("POST", "/too_large", {}, std::string(1001, 'x')), true});
  all.push_back({"POST /malformed HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n", true});
  return all;
}

}  // namespace

BEHAVIOUR("a request that its server ends is one of on_finish and on_connection_close, too, whatever was wrong",
          kNetwork) {
  const RecordedLog log;
  for (const BadEnd& end : bad_ends()) {
    Seen seen;
    Application app({}, HTTPServerOptions().set_max_body_size(1000));
    app.add<EndsBadly>("/(.*)", std::ref(seen));
    const std::string url = stream_url(co_await app.listen("http://127.0.0.1:0"));
    IOStream client = co_await connect(url);
    co_await client.write(end.request);
    while (app.server().stats().requests == 0) co_await sleep_for(1ms);
    co_await until_idle(app);
    client.close();
    co_await moment();
    const std::string what = end.request.substr(0, end.request.find(" HTTP"));
    expect(
        seen.finished == (end.answered ? 1 : 0) && seen.closed == (end.answered ? 0 : 1),
        what + ": on_finish " + std::to_string(seen.finished) + ", on_connection_close " + std::to_string(seen.closed));
  }
}

// ---- server-sent events

BEHAVIOUR("server-sent events arrive as they are sent, and their stream ends when the client goes", kNetwork) {
  Seen seen;
  Application app;
  app.add<Ticks>("/", std::ref(seen));
  const std::string url = stream_url(co_await app.listen("http://127.0.0.1:0"));
  IOStream client = co_await connect(url);
  co_await client.write(request("GET", "/", "Last-Event-ID: 0\r\n"));
  const std::string head = co_await client.read_until("\r\n\r\n");
  expect(head.find("Content-Type: text/event-stream\r\n") != std::string::npos, head);
  const std::string events = co_await client.read_until("tock\n\n");
  expect(events.find("data: after 0\n\n") != std::string::npos, events);
  expect(events.find("event: time\nid: 1\ndata: tick\ndata: tock\n\n") != std::string::npos, events);
  client.close();
  co_await until(seen.closed, 1);
  co_await until_idle(app);
  expect_equal(seen.ended, 1);
  expect_equal(seen.closed, 1);
  expect_equal(seen.finished, 0);
}

BEHAVIOUR("a silent event stream sends comments", Needs::http) {
  Seen seen;
  Application app;
  app.add<Ticks>("/", std::ref(seen), Duration(5ms));
  co_await app.listen("pair:events");
  IOStream client = co_await connect("pair:events");
  co_await client.write(request("GET", "/"));
  const std::string text = co_await client.read_until(": keep-alive\n\n");
  expect(text.starts_with("HTTP/1.1 200"), text);
  client.close();
  co_await until(seen.closed, 1);
}

// ---- the end of an application

BEHAVIOUR("drain tells the handlers that stay, lets them finish, and accepts nobody", kNetwork) {
  Seen seen;
  Application app;
  app.add<Leaves>("/", std::ref(seen));
  const std::string url = stream_url(co_await app.listen("http://127.0.0.1:0"));
  IOStream client = co_await connect(url);
  IOStream idle = co_await connect(url);
  co_await client.write(request("GET", "/"));
  co_await until(seen.begun, 1);
  Future<void> draining = app.drain(10s);
  const WebReply reply = co_await read_reply(client);
  expect_equal(reply.body, "the server is going");
  expect_equal(reply.header("Connection"), "close");
  co_await std::move(draining);
  co_await idle.peer_ended();
  const Result<IOStream> late = co_await as_result(connect(url));
  expect(late.reason() == Errc::refused, "nobody listens");
}

BEHAVIOUR("at its limit drain cancels what is left: on_connection_close, once", kNetwork) {
  Seen seen;
  Application app;
  app.add<Waits>("/", std::ref(seen));
  const std::string url = stream_url(co_await app.listen("http://127.0.0.1:0"));
  IOStream client = co_await connect(url);
  co_await client.write(request("GET", "/"));
  co_await until(seen.begun, 1);
  co_await app.drain(10ms);
  co_await client.peer_ended();
  expect_equal(seen.ended, 1);
  expect_equal(seen.closed, 1);
  expect_equal(seen.finished, 0);
}
