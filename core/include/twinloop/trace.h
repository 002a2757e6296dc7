// Seeing what a loop does: the steps it takes, one at a time, and a trace of them for chrome://tracing or Perfetto.
//
// A loop that nobody watches measures no step: watching costs two looks at the clock for each.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "twinloop/backend.h"
#include "twinloop/detail/list.h"
#include "twinloop/origin.h"

namespace twinloop {

class IOLoop;

enum class StepKind { callback, timer, handler, coroutine, sleep };

std::string_view name(StepKind) noexcept;

// One thing a loop did: ran a callback, a timer or a handler of a descriptor (or told one of its streams and the like what is ready:
// "I/O"), resumed a coroutine up to its next co_await (its origin is the co_await where it had waited), or slept.
struct Step {
  StepKind kind;
  Origin origin;
  TimePoint begun;
  TimePoint ended;
};

namespace detail {

class StepObserver : public ListNode {
 public:
  virtual void on_step(const Step& step) = 0;

 protected:
  ~StepObserver() = default;
};

}  // namespace detail

// Records the steps of a loop while it lives.
class LoopTrace final : private detail::StepObserver {
 public:
  static constexpr std::size_t kMaxSteps = 100'000;

  explicit LoopTrace(IOLoop& loop, std::size_t max_steps = kMaxSteps);
  // Begins at once.  Beyond `max_steps` the oldest are forgotten.  It may outlive the loop.

  std::string json() const;
  // In the Trace Event Format: save it as a file and open that in Perfetto or chrome://tracing.

  std::size_t size() const noexcept { return steps_.size(); }

 private:
  void on_step(const Step& step) override;

  const std::string loop_name_;
  const std::size_t max_steps_;
  std::size_t oldest_ = 0;
  std::vector<Step> steps_;
};

}  // namespace twinloop
