// stdin and stdout as a stream, whatever is behind them.
#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <string>

#include "backends/posix/descriptor.h"
#include "backends/posix/stdio_transport.h"
#include "tests/posix_fixtures.h"
#include "twinloop/iostream.h"

namespace {

using namespace twinloop;
using namespace twinloop::detail;
using namespace twinloop::testing;

// An open file whose name is gone already.
Descriptor file_with(const std::string& text) {
  char name[] = "/tmp/twinloop-test-XXXXXX";
  Descriptor file(::mkstemp(name));
  ::unlink(name);
  REQUIRE(::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

IOStream stdio_on(IOLoop& loop, int input, int output) {
  auto transport = std::make_unique<StdioTransport>(input, output);
  StdioClaim claim;
  REQUIRE_FALSE(transport->begin(reactor_of(loop), claim));
  return IOStream(std::move(transport));
}

// Everything that reading `fd` as stdin gives.
std::string read_as_stdin(const std::string& name, int fd) {
  IOLoop loop(make(name));
  const Descriptor out = open_null(O_WRONLY);
  IOStream stream = stdio_on(loop, fd, out.get());
  return run(loop, stream.read_until_close());
}

}  // namespace

TEST_CASE("stdin from a file gives all of it and then the end") {
  const std::string name = each_backend();
  const std::string text(300'000, 'x');
  const Descriptor file = file_with(text);
  CHECK(read_as_stdin(name, file.get()) == text);
}

TEST_CASE("stdin from /dev/null ends at once") {
  const std::string name = each_backend();
  const Descriptor null = open_null(O_RDONLY);
  CHECK(read_as_stdin(name, null.get()).empty());
}

TEST_CASE("a closed stdin ends at once") {
  const std::string name = each_backend();
  int closed;
  {
    const Descriptor null(::fcntl(0, F_DUPFD_CLOEXEC, 900));
    closed = null.get();
  }
  CHECK(read_as_stdin(name, closed).empty());
}

TEST_CASE("an inherited pipe is read without being made nonblocking") {
  const std::string name = each_backend();
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  REQUIRE(::write(writing.get(), "pipe\n", 5) == 5);
  writing.reset();
  CHECK(read_as_stdin(name, reading.get()) == "pipe\n");
  CHECK((::fcntl(reading.get(), F_GETFL) & O_NONBLOCK) == 0);
}

TEST_CASE("a second stdio: at once is busy, whatever is behind it, and after the first one it is not") {
  const std::string name = each_backend();
  IOLoop loop(make(name));
  const Descriptor in = open_null(O_RDONLY);
  const Descriptor out = open_null(O_WRONLY);
  StdioClaim claim;
  StdioTransport first(in.get(), out.get());
  StdioTransport second(in.get(), out.get());
  REQUIRE_FALSE(first.begin(reactor_of(loop), claim));
  CHECK(second.begin(reactor_of(loop), claim) == Errc::busy);
  first.close(Errc::local);
  CHECK_FALSE(second.begin(reactor_of(loop), claim));
}

TEST_CASE("a stdout whose reader has gone is a reset connection and raises no signal") {
  const std::string name = each_backend();
  IOLoop loop(make(name));
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const Descriptor writing(ends[1]);
  ::close(ends[0]);
  const Descriptor null = open_null(O_RDONLY);
  IOStream stream = stdio_on(loop, null.get(), writing.get());
  const auto test = [](IOStream& out) -> Future<void> {
    co_await out.write("nobody reads this\n");
    Future<void> flushing = out.flush();
    const Result<void> flushed = co_await as_result(std::move(flushing));
    CHECK(flushed.reason() == Errc::reset);
  };
  run(loop, test(stream));
}

TEST_CASE("ending a stdout that is a pipe tells its reader and leaves the descriptor's number taken") {
  const std::string name = each_backend();
  IOLoop loop(make(name));
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const Descriptor reading(ends[0]);
  const Descriptor writing(ends[1]);
  const Descriptor null = open_null(O_RDONLY);
  IOStream stream = stdio_on(loop, null.get(), writing.get());
  const auto test = [](IOStream& out) -> Future<void> {
    co_await out.write("last words");
    co_await out.shutdown_write();
  };
  run(loop, test(stream));

  char bytes[64];
  CHECK(::read(reading.get(), bytes, sizeof bytes) == 10);
  CHECK(::read(reading.get(), bytes, sizeof bytes) == 0);
  CHECK(::fcntl(writing.get(), F_GETFD) != -1);
}
