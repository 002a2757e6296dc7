// UploadHandler: a form of multipart/form-data whose parts are taken as they arrive, for files that do not fit into memory.
//
//   class Photos : public UploadHandler {
//     Future<void> begin_part(const MultipartPart& part) override { … open a file …; }
//     Future<void> receive_part(std::string_view bytes) override { return file_.write(bytes); }
//     Future<void> post() override { return finish("thank you\n"); }
//   };
//
// prepare() runs when the headers have arrived, the verb when the form is complete.  A form that is malformed is 400, one with a part
// beyond the limits 413.  (Where forms are small: RequestHandler::get_body_argument and files().)
#pragma once

#include <optional>
#include <string_view>

#include "twinloop/web.h"

namespace twinloop {

class UploadHandler : public RequestHandler {
 public:
  static constexpr bool kStreamRequestBody = true;

  // ---- what a program overrides

  virtual Future<void> begin_part(const MultipartPart& part);
  virtual Future<void> receive_part(std::string_view bytes) = 0;
  // A piece of it, valid until this returns its result.  Nothing more is read from the client before that.
  virtual Future<void> end_part();
  // One after the other; a part that is cut off has no end.

  virtual MultipartLimits upload_limits();
  // The body as a whole has HTTPServerOptions::set_max_body_size, or what prepare() sets: request().set_max_body_size().

  Future<void> data_received(std::string_view chunk) final;
  void data_ended() final;

 private:
  MultipartParser& parser();
  std::optional<MultipartParser> parser_;
};

}  // namespace twinloop
