#include "twinloop/trace.h"

#include <array>
#include <charconv>
#include <string_view>

#include "twinloop/ioloop.h"

namespace twinloop {
namespace {

void append_quoted(std::string& json, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  json += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      json.append(1, '\\').append(1, c);
    } else if (byte < 0x20) {
      json.append("\\u00").append(1, kHex[byte >> 4]).append(1, kHex[byte & 15]);
    } else {
      json += c;
    }
  }
  json += '"';
}

// The format's unit is the microsecond; nanoseconds are its decimals.
void append_microseconds(std::string& json, Duration time) {
  const auto nanoseconds = time.count();
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), nanoseconds / 1000).ptr;
  json.append(digits.data(), end).append(".");
  const std::string decimals = std::to_string(1000 + nanoseconds % 1000);
  json.append(decimals, 1);
}

std::string title(const Step& step) {
  if (step.kind == StepKind::sleep) return "sleep";
  std::string text = step.origin.text();
  return text.empty() ? std::string(name(step.kind)) : text;
}

void append_step(std::string& json, const Step& step) {
  json += ",\n{\"name\":";
  append_quoted(json, title(step));
  json += ",\"cat\":";
  append_quoted(json, name(step.kind));
  json += ",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":";
  append_microseconds(json, step.begun.time_since_epoch());
  json += ",\"dur\":";
  append_microseconds(json, step.ended - step.begun);
  if (*step.origin.where().function_name() != '\0') {
    json += ",\"args\":{\"function\":";
    append_quoted(json, step.origin.where().function_name());
    json += '}';
  }
  json += '}';
}

}  // namespace

std::string_view name(StepKind kind) noexcept {
  switch (kind) {
    case StepKind::callback:
      return "callback";
    case StepKind::timer:
      return "timer";
    case StepKind::handler:
      return "handler";
    case StepKind::coroutine:
      return "coroutine";
    case StepKind::sleep:
      return "sleep";
  }
  return "step";
}

LoopTrace::LoopTrace(IOLoop& loop, std::size_t max_steps)
    : loop_name_("IOLoop on " + std::string(loop.backend_name())), max_steps_(std::max<std::size_t>(max_steps, 1)) {
  loop.add_observer(*this);
}

void LoopTrace::on_step(const Step& step) {
  if (steps_.size() < max_steps_) return steps_.push_back(step);
  steps_[oldest_] = step;
  oldest_ = (oldest_ + 1) % max_steps_;
}

std::string LoopTrace::json() const {
  std::string json =
      "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":1,";
  json += "\"args\":{\"name\":";
  append_quoted(json, loop_name_);
  json += "}}";
  for (std::size_t i = 0; i < steps_.size(); ++i) append_step(json, steps_[(oldest_ + i) % steps_.size()]);
  return json += "\n]}\n";
}

}  // namespace twinloop
