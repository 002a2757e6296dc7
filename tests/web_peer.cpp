// What tests/peers/web.test.mjs talks to: web_peer FOLDER URL...
//
// GET /told gives, as lines, what happened to the handlers that wait: "NAME begun", then "NAME finished" or "NAME gone".
#include <cstdio>
#include <string>
#include <vector>

#include "twinloop/event_stream.h"
#include "twinloop/locks.h"
#include "twinloop/run_main.h"
#include "twinloop/static_files.h"
#include "twinloop/upload_handler.h"
#include "twinloop/websocket_handler.h"

using namespace std::chrono_literals;
using namespace twinloop;

namespace {

class Story {
 public:
  void tell(const std::string& name, const char* what) { lines_ += name + " " + what + "\n"; }
  const std::string& lines() const noexcept { return lines_; }

 private:
  std::string lines_;
};

// Whatever comes of it is told under the request's ?name=.
class Told : public RequestHandler {
 public:
  explicit Told(Story& story) : story_(story) {}
  Future<void> prepare() override {
    name_ = get_query_argument("name");
    story_.tell(name_, "begun");
    return Future<void>::ready();
  }
  void on_finish() override { story_.tell(name_, "finished"); }
  void on_connection_close() override { story_.tell(name_, "gone"); }

 protected:
  const std::string& name() const noexcept { return name_; }

 private:
  Story& story_;
  std::string name_;
};

class Wait : public Told {
 public:
  using Told::Told;
  Future<void> get() override {
    set_cancel_on_connection_close(true);
    co_await sleep_for(1h);
  }
};

// Counts, from behind what the client has seen.
class Ticks : public Told {
 public:
  using Told::Told;
  Future<void> get() override {
    EventStream events(*this);
    const std::string last = events.last_event_id();
    const int first = last.empty() ? 0 : std::stoi(last) + 1;
    const int end = std::stoi(get_query_argument("ends", "1000000"));
    for (int tick = first; tick < end; ++tick) {
      ServerEvent event(name() + "\n" + std::to_string(tick));
      event.set_event("tick").set_id(std::to_string(tick)).set_retry(1ms);
      co_await events.send(event);
      if (tick % 3 == 2) co_return;  // the client connects again
      co_await sleep_for(1ms);
    }
    co_await sleep_for(1h);
  }
};

class Room : public WebSocketHandler {
 public:
  explicit Room(Story& story) : story_(story) {}
  Future<void> open() override {
    name_ = get_query_argument("name");
    story_.tell(name_, "begun");
    co_return;
  }
  Future<void> on_message(WebSocketMessage message) override { return write_message(message.data, message.kind); }
  void on_close() override { story_.tell(name_, close_code() == 1000 ? "finished" : "gone"); }
  bool check_origin(std::string_view) override { return true; }

 private:
  Story& story_;
  std::string name_;
};

class Lines : public RequestHandler {
 public:
  explicit Lines(Story& story) : story_(story) {}
  Future<void> get() override { return finish(story_.lines()); }

 private:
  Story& story_;
};

class Form : public RequestHandler {
  Future<void> post() override {
    write("text=" + get_body_argument("text", "") + "\n");
    for (const auto& [name, file] : files()) {
      write(name + "=" + file.filename + " " + std::to_string(file.body.size()) + "\n");
    }
    co_return;
  }
};

// The same form piece by piece.
class Parts : public UploadHandler {
 public:
  Future<void> begin_part(const MultipartPart& part) override {
    story_ += part.name + "=" + part.filename.value_or("") + " ";
    size_ = 0;
    return Future<void>::ready();
  }
  Future<void> receive_part(std::string_view bytes) override {
    size_ += bytes.size();
    return Future<void>::ready();
  }
  Future<void> end_part() override {
    story_ += std::to_string(size_) + "\n";
    return Future<void>::ready();
  }
  Future<void> post() override { return finish(story_); }

 private:
  std::string story_;
  std::size_t size_ = 0;
};

class Hello : public RequestHandler {
  Future<void> get() override { return finish("Hello, " + get_argument("name", "you") + "!\n"); }
};

class Cookie : public RequestHandler {
  Future<void> get() override {
    const std::string seen = get_cookie("seen").value_or("nothing");
    set_cookie("seen", "yes");
    return finish(seen);
  }
};

Future<void> serve(std::string folder, std::vector<std::string> urls) {
  Story story;
  Application app(ApplicationSettings().set_compress_response(true));
  app.add<StaticFileHandler>("/files/(.*)", folder, std::string("index.html"));
  app.add<Hello>("/hello");
  app.add<Cookie>("/cookie");
  app.add<Form>("/form");
  app.add<Parts>("/parts");
  app.add<Wait>("/wait", std::ref(story));
  app.add<Ticks>("/ticks", std::ref(story));
  app.add<Room>("/room", std::ref(story));
  app.add<Lines>("/told", std::ref(story));
  for (const std::string& url : urls) {
    const std::string real = co_await app.listen(url);
    std::printf("listening %s\n", real.c_str());
  }
  std::fflush(stdout);
  co_await app.stopped();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "web_peer FOLDER URL...\n");
    return 2;
  }
  const std::vector<std::string> urls(argv + 2, argv + argc);
  return run_main([&] { return serve(argv[1], urls); });
}
