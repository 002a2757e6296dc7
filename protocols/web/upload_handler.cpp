#include "twinloop/upload_handler.h"

namespace twinloop {
namespace {

using Event = MultipartParser::Event;

[[noreturn]] void refuse(const Failure& why) {
  throw HTTPError(reason_of(why.code()) == Errc::protocol ? 400 : 413, why.message());
}

}  // namespace

Future<void> UploadHandler::begin_part(const MultipartPart&) { return Future<void>::ready(); }
Future<void> UploadHandler::end_part() { return Future<void>::ready(); }
MultipartLimits UploadHandler::upload_limits() { return {}; }

MultipartParser& UploadHandler::parser() {
  if (!parser_) parser_.emplace(request().headers().get("Content-Type"), upload_limits());
  return *parser_;
}

Future<void> UploadHandler::data_received(std::string_view chunk) {
  while (!finished()) {
    const MultipartParser::Step step = parser().next(chunk);
    chunk.remove_prefix(step.consumed);
    if (step.event == Event::more) co_return;
    if (step.event == Event::error) refuse(parser().why());
    if (step.event == Event::part) co_await begin_part(parser().part());
    if (step.event == Event::data) co_await receive_part(step.data);
    if (step.event == Event::part_end) co_await end_part();
  }
}

void UploadHandler::data_ended() {
  if (parser().finish().event == Event::error) refuse(parser().why());
}

}  // namespace twinloop
