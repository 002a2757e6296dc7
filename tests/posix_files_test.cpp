// Files beneath a folder: nothing leads out of it.
#include <sys/stat.h>
#include <unistd.h>
#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <fstream>
#include <string>

#include "twinloop/detail/files.h"

using namespace twinloop;
using namespace twinloop::detail;
namespace fs = std::filesystem;

namespace {

// root/file, root/dir/inner, root/dir/…links, and a secret beside root.
class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "twinloop-files-XXXXXX").string();
    base_ = ::mkdtemp(pattern.data());
    fs::create_directories(base_ / "root/dir");
    write("root/file", "content");
    write("root/dir/inner", "inside");
    write("secret", "secret");
    fs::create_symlink("../file", base_ / "root/dir/within");
    fs::create_symlink("../../secret", base_ / "root/dir/out");
    fs::create_symlink(base_ / "secret", base_ / "root/absolute");
    fs::create_symlink("loop", base_ / "root/loop");
    fs::create_symlink("..", base_ / "root/up");
    fs::create_directory_symlink("dir", base_ / "root/linked");
  }
  ~Folder() { fs::remove_all(base_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string read(std::string_view path) const {
    const Result<std::unique_ptr<OpenFile>> file = platform_open_beneath((base_ / "root").string(), path);
    if (!file.ok()) return std::string(name(file.reason()));
    if (file.peek()->facts().kind != FileKind::regular) return "a directory";
    std::string text(file.peek()->facts().size, '\0');
    const Result<std::size_t> count = file.peek()->read_at(0, text);
    return count.ok() ? text : "unreadable";
  }

  fs::path path(const char* name) const { return base_ / name; }

 private:
  void write(const char* name, const char* text) const { std::ofstream(base_ / name) << text; }
  fs::path base_;
};

}  // namespace

TEST_CASE("a file beneath a folder is opened, also over links that stay inside") {
  const Folder folder;
  CHECK(folder.read("file") == "content");
  CHECK(folder.read("/dir//./inner") == "inside");
  CHECK(folder.read("dir/within") == "content");
  CHECK(folder.read("linked/inner") == "inside");
  CHECK(folder.read("dir/../file") == "content");
  CHECK(folder.read("dir") == "a directory");
  CHECK(folder.read("") == "a directory");
}

TEST_CASE("no path and no link leads out of the folder") {
  const Folder folder;
  for (const char* path :
       {"../secret", "dir/../../secret", "dir/out", "absolute", "up/secret", "loop", "..", "linked/out"}) {
    INFO(path);
    CHECK(folder.read(path) == "denied");
  }
  CHECK(folder.read(folder.path("secret").string()) == "not_found");
}

TEST_CASE("what is not there is not found, whatever is wrong with its name") {
  const Folder folder;
  CHECK(folder.read("nothing") == "not_found");
  CHECK(folder.read("file/below") == "not_found");
  CHECK(folder.read(std::string_view("file\0x", 6)) == "not_found");
  CHECK(folder.read(std::string(5000, 'x')) == "not_found");
  const Result<std::unique_ptr<OpenFile>> nowhere = platform_open_beneath(folder.path("nowhere").string(), "file");
  CHECK(nowhere.reason() == Errc::not_found);
}

TEST_CASE("a FIFO without a writer does not keep the thread that opens it") {
  const Folder folder;
  REQUIRE(::mkfifo(folder.path("root/fifo").c_str(), 0600) == 0);
  const Result<std::unique_ptr<OpenFile>> fifo = platform_open_beneath(folder.path("root").string(), "fifo");
  REQUIRE(fifo.ok());
  CHECK(fifo.peek()->facts().kind == FileKind::other);
}

TEST_CASE("a file is read at any place, and shorter only at its end") {
  const Folder folder;
  const Result<std::unique_ptr<OpenFile>> file = platform_open_beneath(folder.path("root").string(), "file");
  REQUIRE(file.ok());
  std::string memory(4, '\0');
  CHECK(file.peek()->read_at(3, memory).peek() == 4);
  CHECK(memory == "tent");
  CHECK(file.peek()->read_at(5, memory).peek() == 2);
  CHECK(file.peek()->read_at(100, memory).peek() == 0);
}
