// Where behaviours run natively other than on a loop of their own: inside somebody else's.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "twinloop/testing.h"

inline constexpr std::chrono::seconds kLimit{60};  // for one behaviour

struct HostedDriver {
  std::string name;
  std::function<void(const twinloop::testing::Behaviour&)> run;  // throws what the behaviour throws
};

std::vector<HostedDriver> hosted_drivers();
