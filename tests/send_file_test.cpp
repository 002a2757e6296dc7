// What of a file the system sends by itself, on Linux.
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>
#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/posix_fixtures.h"
#include "twinloop/detail/files.h"
#include "twinloop/net.h"
#include "twinloop/timing.h"

using namespace twinloop;
using namespace twinloop::testing;
namespace fs = std::filesystem;

namespace {

using twinloop::detail::OpenFile;

// Counts what is read from a file, and what of it is sent without that.
class Counted final : public OpenFile {
 public:
  explicit Counted(std::unique_ptr<OpenFile> file) : OpenFile(file->facts()), file_(std::move(file)) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> into) noexcept override {
    read_ += into.size();
    return file_->read_at(offset, into);
  }
  IoResult send_to(int socket, std::uint64_t offset, std::size_t most) noexcept override {
    const IoResult result = file_->send_to(socket, offset, most);
    sent_ += result.count;
    ++attempts_;
    return result;
  }
  std::size_t read() const noexcept { return read_; }
  std::size_t sent() const noexcept { return sent_; }
  std::size_t attempts() const noexcept { return attempts_; }

 private:
  std::unique_ptr<OpenFile> file_;
  std::atomic<std::size_t> read_ = 0;  // in the executor
  std::size_t sent_ = 0;
  std::size_t attempts_ = 0;
};

// In the folder of the build: a file system in memory may not be able to tell what it has there.
class Scratch {
 public:
  explicit Scratch(std::size_t size) : path_(fs::current_path() / ("twinloop-scratch-" + std::to_string(::getpid()))) {
    std::ofstream(path_, std::ios::binary) << std::string(size, 'x');
  }
  ~Scratch() { fs::remove(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  bool is_told_of() const {  // whether its file system can say what of it is in memory
    const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    char byte = 0;
    iovec piece{&byte, 1};
    const ssize_t count = ::preadv2(fd, &piece, 1, 0, RWF_NOWAIT);
    const bool told = count >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS);
    ::close(fd);
    return told;
  }

  std::shared_ptr<Counted> open() const {
    return std::make_shared<Counted>(
        twinloop::detail::platform_open_beneath(path_.parent_path().string(), path_.filename().string()).value());
  }

 private:
  fs::path path_;
};

Future<std::size_t> count_bytes(IOStream& stream) {
  std::size_t count = 0;
  for (;;) {
    const Result<std::string_view> some = co_await as_result(stream.read_some_view());
    if (!some.ok()) co_return count;
    count += some.peek().size();
  }
}

Future<std::size_t> send_over(std::string url, std::shared_ptr<Counted> file, std::uint64_t size) {
  Listener listener = co_await listen(std::move(url));
  IOStream client = co_await connect(listener.url());
  IOStream server = co_await listener.accept();
  Future<std::size_t> counting = count_bytes(client);
  co_await twinloop::detail::send_file(server, std::move(file), 0, size);
  server.close();
  co_return co_await std::move(counting);
}

// The peer reads nothing: so it is when no more goes out.
Future<void> until_the_window_is_full(const Counted& file) {
  std::size_t before = 0;
  do {
    before = file.sent();
    co_await sleep_for(std::chrono::milliseconds(20));
  } while (file.sent() > before);
}

// How often the system is asked while the peer reads nothing, behind what its window takes.
Future<std::size_t> attempts_at_a_full_window(std::shared_ptr<Counted> file, std::uint64_t size) {
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  IOStream client = co_await connect(listener.url());
  IOStream server = co_await listener.accept();
  Future<void> sending = twinloop::detail::send_file(server, file, 0, size);
  co_await until_the_window_is_full(*file);
  const std::size_t attempts = file->attempts();
  co_await sleep_for(std::chrono::milliseconds(50));
  const std::size_t more = file->attempts() - attempts;
  CHECK_FALSE(sending.done());
  Future<std::size_t> counting = count_bytes(client);
  co_await std::move(sending);
  server.close();
  const std::size_t count = co_await std::move(counting);
  CHECK(count == size);
  co_return more;
}

}  // namespace

TEST_CASE("a file in the system's memory goes out over TCP without being read, over a pair it is read") {
  constexpr std::size_t kSize = 5'000'000;
  const Scratch scratch(kSize);
  const std::string backend = each_backend();
  IOLoop loop(make(backend));
  const auto read = scratch.open();
  CHECK(run(loop, send_over("pair:send-file", read, kSize)) == kSize);
  CHECK(read->sent() == 0);
  CHECK(read->read() == kSize);

  const auto sent = scratch.open();
  CHECK(run(loop, send_over("tcp://127.0.0.1:0", sent, kSize)) == kSize);
  if (!scratch.is_told_of()) SKIP("this file system cannot tell what it has in memory");
  CHECK(sent->read() == 0);
  CHECK(sent->sent() == kSize);
}

TEST_CASE("a file that a full window stops waits for room and does not ask the system again and again") {
  constexpr std::size_t kSize = 30'000'000;
  const Scratch scratch(kSize);
  if (!scratch.is_told_of()) SKIP("this file system cannot tell what it has in memory");
  const std::string backend = each_backend();
  IOLoop loop(make(backend));
  const auto file = scratch.open();
  CHECK(run(loop, attempts_at_a_full_window(file, kSize)) <= 5);
  CHECK(file->sent() == kSize);
}

namespace {

// How often the system is asked by another who wants to send into a window that is full.
Future<std::size_t> attempts_of_the_next(std::shared_ptr<Counted> file, std::uint64_t size) {
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  IOStream client = co_await connect(listener.url());
  IOStream server = co_await listener.accept();
  Future<void> sending = twinloop::detail::send_file(server, file, 0, size);
  co_await until_the_window_is_full(*file);
  sending = Future<void>();
  const std::size_t attempts = file->attempts();
  sending = twinloop::detail::send_file(server, file, file->sent(), size - file->sent());
  co_await sleep_for(std::chrono::milliseconds(20));
  CHECK_FALSE(sending.done());
  const std::size_t more = file->attempts() - attempts;
  Future<std::size_t> counting = count_bytes(client);
  co_await std::move(sending);
  server.close();
  const std::size_t count = co_await std::move(counting);
  CHECK(count == size);
  co_return more;
}

}  // namespace

TEST_CASE("who sends a file into a window that is known to be full waits, and the system is not asked") {
  constexpr std::size_t kSize = 30'000'000;
  const Scratch scratch(kSize);
  if (!scratch.is_told_of()) SKIP("this file system cannot tell what it has in memory");
  const std::string backend = each_backend();
  IOLoop loop(make(backend));
  const std::size_t most = backend == "epoll" ? 0 : 1;  // the others forget it with the one who waited
  CHECK(run(loop, attempts_of_the_next(scratch.open(), kSize)) <= most);
}
