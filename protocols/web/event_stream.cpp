#include "twinloop/event_stream.h"

#include "twinloop/httpserver.h"

namespace twinloop {
namespace {

constexpr Duration kUnused = std::chrono::hours(1);  // of a timer that is not started

std::string single_line(std::string_view field, std::string_view text) {
  if (text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
    throw Error(Errc::protocol, "an event's " + std::string(field) + " with a line break in it");
  }
  return std::string(field).append(": ").append(text).append("\n");
}

// A line each: "\r\n", "\r" and "\n" end one (HTML, 9.2.6).
std::string data_lines(std::string_view data) {
  std::string lines;
  for (;;) {
    const std::size_t end = data.find_first_of("\r\n");
    lines.append("data: ").append(data.substr(0, end)).append("\n");
    if (end == std::string_view::npos) return lines;
    data.remove_prefix(end + (data.substr(end).starts_with("\r\n") ? 2 : 1));
  }
}

}  // namespace

std::string ServerEvent::to_string() const {
  std::string text;
  if (!event_.empty()) text += single_line("event", event_);
  if (id_) text += single_line("id", *id_);
  if (retry_) text += "retry: " + std::to_string(retry_->count()) + "\n";
  return text + data_lines(data_) + "\n";
}

EventStream::EventStream(RequestHandler& handler, Duration keep_alive)
    : handler_(handler),
      last_sent_(IOLoop::current().time()),
      interval_(keep_alive),
      timer_([this] { this->keep_alive(); }, keep_alive > Duration::zero() ? keep_alive : kUnused) {
  handler.set_header("Content-Type", "text/event-stream");
  handler.set_header("Cache-Control", "no-cache");
  handler.set_header("X-Accel-Buffering", "no");  // nginx would gather events
  handler.set_cancel_on_connection_close(true);
  if (keep_alive > Duration::zero()) timer_.start();
}

EventStream::~EventStream() = default;

Future<void> EventStream::open() { return transmit({}); }
Future<void> EventStream::send(std::string_view data) { return transmit(data_lines(data) + "\n"); }
Future<void> EventStream::send(const ServerEvent& event) { return transmit(event.to_string()); }

Future<void> EventStream::transmit(std::string_view text) {
  last_sent_ = IOLoop::current().time();
  handler_.write(text);
  return handler_.flush();
}

// A client that still has bytes to take needs no comment.
void EventStream::keep_alive() {
  const bool silent = IOLoop::current().time() - last_sent_ >= interval_ / 2;
  if (!silent || handler_.finished() || handler_.request().stream().unsent() > 0) return;
  comment_ = Future<void>();
  comment_ = transmit(": keep-alive\n\n");
}

std::string EventStream::last_event_id() const {
  return std::string(handler_.request().headers().get("Last-Event-ID"));
}

}  // namespace twinloop
