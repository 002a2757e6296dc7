#include "twinloop/detail/observers.h"

#include <string>

#include "twinloop/log.h"
#include "twinloop/result.h"

namespace twinloop::detail {
namespace {

std::string described(StepKind kind, const Origin& origin) {
  std::string text = "a ";
  text += name(kind);
  const std::string place = origin.text();
  return place.empty() ? text : text + ", " + place;
}

void log_blocking(const Step& step) {
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(step.ended - step.begun).count();
  std::string text = described(step.kind, step.origin) + ", kept the loop for " + std::to_string(milliseconds) + " ms";
  log(LogLevel::warning, text, step.origin.where());
}

}  // namespace

// An observer may end itself and others.
void Observers::tell(const Step& step) noexcept {
  List<StepObserver> untold;
  untold.append(list_);
  while (StepObserver* observer = untold.pop_front()) {
    list_.push_back(*observer);
    try {
      observer->on_step(step);
    } catch (...) {
      log(LogLevel::error, "exception in an observer: " + Failure(std::current_exception()).message());
    }
  }
}

BlockingWatch::BlockingWatch(Observers& observers, Duration threshold, Function<void(const Step&)> report)
    : threshold_(threshold), report_(std::make_shared<Function<void(const Step&)>>(std::move(report))) {
  observers.add(*this);
}

void BlockingWatch::on_step(const Step& step) {
  if (step.kind == StepKind::sleep || step.ended - step.begun < threshold_) return;
  const auto report = report_;  // it may end this watch
  if (*report) return (*report)(step);
  log_blocking(step);
}

void log_failed_step(StepKind kind, const Origin& origin) noexcept {
  const Failure failure(std::current_exception());
  log(LogLevel::error, "exception in " + described(kind, origin) + ": " + failure.message(), origin.where());
}

}  // namespace twinloop::detail
