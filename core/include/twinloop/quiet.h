// Which failures need no log line when a combinator throws them away.
#pragma once

#include <concepts>
#include <cstdint>

#include "twinloop/result.h"

namespace twinloop {

class Quiet {
 public:
  Quiet() noexcept = default;
  // Covers every failure.

  template <std::same_as<Errc>... Reasons>
    requires(sizeof...(Reasons) > 0)
  explicit Quiet(Reasons... reasons) noexcept : reasons_((bit(reasons) | ...)) {}
  // `Quiet(Errc::refused, Errc::timeout)`: these are expected.  Exceptions that are no Error count as Errc::io.

  static Quiet none() noexcept { return Quiet(std::uint64_t{0}); }
  // Covers nothing: what the combinators do when they are given no Quiet.

  bool covers(const Failure& failure) const noexcept { return (reasons_ & bit(reason_of(failure.code()))) != 0; }

 private:
  explicit Quiet(std::uint64_t reasons) noexcept : reasons_(reasons) {}
  static constexpr std::uint64_t bit(Errc reason) noexcept { return std::uint64_t{1} << static_cast<unsigned>(reason); }
  std::uint64_t reasons_ = ~std::uint64_t{0};
};

}  // namespace twinloop
