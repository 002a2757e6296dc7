// Files over streams: by the system where it can, else by reading and writing, and the same to whoever receives them.
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "carriers.h"
#include "fixtures.h"
#include "twinloop/detail/files.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;
namespace fs = std::filesystem;

namespace {

using twinloop::detail::OpenFile;
using twinloop::detail::platform_open_beneath;
using twinloop::detail::send_file;

constexpr Needs kNetwork = Needs::tcp | Needs::listen | Needs::fds | Needs::threads;
constexpr std::size_t kMuch = 3 * 1024 * 1024 + 5;

// A file of its own, whose content is different everywhere, and what is done with it.
class Content {
 public:
  explicit Content(std::size_t size)
      : path_(fs::current_path() / ("twinloop-content-" + std::to_string(std::random_device()()))) {
    text_.resize(size);
    for (std::size_t i = 0; i < size; ++i) text_[i] = static_cast<char>(i * 31 + i / 4096);
    std::ofstream(path_, std::ios::binary) << text_;
  }
  ~Content() { fs::remove(path_); }
  Content(const Content&) = delete;
  Content& operator=(const Content&) = delete;

  const std::string& text() const noexcept { return text_; }
  void shorten(std::size_t size) const { fs::resize_file(path_, size); }
  std::shared_ptr<OpenFile> open() const {
    return platform_open_beneath(path_.parent_path().string(), path_.filename().string()).value();
  }

 private:
  fs::path path_;
  std::string text_;
};

Future<void> read_all(IOStream& stream, std::string& got, Duration pause) {
  for (;;) {
    Result<std::string> some = co_await as_result(stream.read_some(256 * 1024));
    if (!some.ok()) co_return;
    got += *some;
    if (pause > Duration::zero()) co_await sleep_for(pause);
  }
}

Future<void> send_some(const Carrier& carrier, Duration pause) {
  const Content content(kMuch);
  Ends ends = co_await open_ends(carrier, {});
  std::string got;
  Future<void> receiving = read_all(ends.peer, got, pause);
  ends.ours.write("in front, ").ignore();
  co_await send_file(ends.ours, content.open(), 1, kMuch - 2);
  co_await ends.ours.write(", behind");
  co_await ends.ours.flush();
  ends.ours.close();
  co_await std::move(receiving);
  const std::string expected = "in front, " + content.text().substr(1, kMuch - 2) + ", behind";
  expect(got == expected, std::string(carrier.name) + ": the same bytes, " + std::to_string(got.size()));
}

}  // namespace

BEHAVIOUR("a part of a file arrives whole between what is written before and behind it, over every carrier", kNetwork) {
  for (const Carrier& carrier : carriers()) co_await send_some(carrier, Duration::zero());
}

BEHAVIOUR("a file goes to a plain socket no faster than a slow peer takes it", kNetwork) {
  for (const Carrier& carrier : carriers()) {
    if (is_plain(carrier)) co_await send_some(carrier, 1ms);
  }
}

BEHAVIOUR("a file that nobody takes is not read into memory", kNetwork) {
  for (const Carrier& carrier : carriers()) {
    if (!is_plain(carrier)) continue;
    const Content content(16 * kMuch);
    Ends ends = co_await open_ends(carrier, {});
    Future<void> sending = send_file(ends.ours, content.open(), 0, content.text().size());
    for (int i = 0; i < 50; ++i) co_await sleep_for(1ms);
    expect(!sending.done(), "it waits");
    expect(ends.ours.unsent() <= 256 * 1024, std::to_string(ends.ours.unsent()) + " bytes are held");
  }
}

BEHAVIOUR("a file to a peer that goes in the middle fails, and no signal ends the program", kNetwork) {
  for (const Carrier& carrier : carriers()) {
    if (!is_plain(carrier)) continue;
    const Content content(16 * kMuch);
    Ends ends = co_await open_ends(carrier, {});
    Future<void> sending = send_file(ends.ours, content.open(), 0, content.text().size());
    const std::string first = co_await ends.peer.read_bytes(200'000);
    ends.peer.abort();
    co_await expect_failure(std::move(sending), Errc::reset);
  }
}

BEHAVIOUR("a file that becomes shorter while it is sent fails with truncated, over every carrier", kNetwork) {
  for (const Carrier& carrier : carriers()) {
    const Content content(16 * kMuch);
    Ends ends = co_await open_ends(carrier, {});
    Future<void> sending = send_file(ends.ours, content.open(), 0, content.text().size());
    const std::string first = co_await ends.peer.read_bytes(200'000);
    expect(!sending.done(), "it is under way");
    content.shorten(100'000);
    std::string rest;
    Future<void> receiving = read_all(ends.peer, rest, Duration::zero());
    co_await expect_failure(std::move(sending), Errc::truncated);
    ends.ours.close();
    co_await std::move(receiving);
    expect(first.size() + rest.size() < content.text().size(), "not all of it came");
  }
}

BEHAVIOUR("a file whose sending is dropped has sent a part of it, and the stream goes on", kNetwork) {
  for (const Carrier& carrier : carriers()) {
    const Content content(16 * kMuch);
    Ends ends = co_await open_ends(carrier, {});
    Future<void> sending = send_file(ends.ours, content.open(), 0, content.text().size());
    const std::string first = co_await ends.peer.read_bytes(200'000);
    sending = Future<void>();
    std::string rest;
    Future<void> receiving = read_all(ends.peer, rest, Duration::zero());
    co_await ends.ours.write("the end");
    co_await ends.ours.flush();
    ends.ours.close();
    co_await std::move(receiving);
    const std::string got = first + rest;
    expect(got.ends_with("the end"), carrier.name);
    expect(content.text().starts_with(got.substr(0, got.size() - 7)), "what came before is the file's beginning");
  }
}

namespace {

// One that a peer takes as fast as it comes.
class Swallowed final : public OpenFile {
 public:
  Swallowed() noexcept : OpenFile({}) {}
  Result<std::size_t> read_at(std::uint64_t, std::span<char> into) noexcept override { return into.size(); }
  IoResult send_to(int, std::uint64_t, std::size_t most) noexcept override { return IoResult::done(most); }
};

}  // namespace

BEHAVIOUR("a peer that takes a file as fast as it comes does not keep the loop to itself", kNetwork) {
  for (const Carrier& carrier : carriers()) {
    if (!is_plain(carrier)) continue;
    Ends ends = co_await open_ends(carrier, {});
    Future<void> sending = send_file(ends.ours, std::make_shared<Swallowed>(), 0, 100 * kMuch);
    int turns = 0;
    for (; !sending.done(); ++turns) co_await moment();
    expect(turns >= 100, std::to_string(turns) + " turns");
  }
}
