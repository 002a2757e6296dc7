#include "twinloop/retry.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>

#include "durations.h"

namespace twinloop {
namespace {

double random_share() {
  static thread_local std::minstd_rand random(
      static_cast<std::minstd_rand::result_type>(std::chrono::steady_clock::now().time_since_epoch().count()));
  return std::uniform_real_distribution<double>(0, 1)(random);
}

}  // namespace

bool Retry::allows_another(unsigned failed_attempts, const Failure& failure) const {
  return failed_attempts < attempts_ && (when_ == nullptr || when_(failure));
}

Duration Retry::pause_after(unsigned failed_attempts) const {
  const double grown = static_cast<double>(delay_.count()) * std::pow(factor_, failed_attempts - 1);
  const double longest = static_cast<double>(max_delay_.count());
  const double pause = std::min(grown, longest) * (1 - jitter_ * random_share());
  return to_duration(pause);
}

}  // namespace twinloop
