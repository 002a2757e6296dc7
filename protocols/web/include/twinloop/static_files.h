// StaticFileHandler: the files of a folder (Tornado's).
//
//   app.add<StaticFileHandler>("/static/(.*)", "/srv/www", "index.html");
//
// GET and HEAD with ETag, Last-Modified and 304, one byte range (206, 416, If-Range), content types by the name's ending.  Opening and
// reading happen in the loop's executor, 64 KiB at a time and not faster than the client takes them, so neither a slow disk nor a
// slow client holds up anything else.  On Linux, over plain TCP, the system sends what it has of a file in memory by itself (sendfile);
// SIGPIPE is then ignored in this process, unless it has a handler.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "twinloop/request_handler.h"

namespace twinloop {

namespace detail {
class OpenFile;
struct ByteRange;
}  // namespace detail

// The pattern's first group is the path below the folder.  No `..`, absolute path or symbolic link leads out of it: 403.
class StaticFileHandler : public RequestHandler {
 public:
  explicit StaticFileHandler(std::string folder, std::string default_filename = {});
  // `default_filename` is served for a directory, whose path is made to end in a slash by a redirection; without one a directory
  // is 403.

  Future<void> get() override;

  virtual std::string get_content_type(std::string_view path) const;
  virtual std::chrono::seconds get_cache_time(std::string_view path);
  // Above 0 it is told to caches.  Ten years for an address with ?v=…, which stands for this very content, else 0.
  virtual void set_extra_headers(std::string_view path);

 private:
  Future<void> serve(const std::string& path, std::shared_ptr<detail::OpenFile> file, std::string content);
  Future<void> serve_directory(const std::string& path);
  Future<void> send(std::shared_ptr<detail::OpenFile> file, const detail::ByteRange& range);
  Future<void> send_compressed(std::shared_ptr<detail::OpenFile> file, const detail::ByteRange& range);
  void set_validators(const detail::OpenFile& file, std::string_view path);
  bool client_has_it(const detail::OpenFile& file) const;
  bool answers_with_a_part() const;

  std::string folder_;
  std::string default_filename_;
};

std::string_view content_type_of(std::string_view path) noexcept;
// By the ending of its name; "application/octet-stream" for those that are not known.

}  // namespace twinloop
