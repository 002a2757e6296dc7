// What a program does, counted exactly: its instructions and its system calls, by tracing a process of its own (Linux).
//
// Instructions are counted by stepping through them one by one.  That is slow (up to 25 µs each in a virtual machine), but it needs no
// hardware counters, which virtual machines often lack, and unlike an emulator it sees the vDSO and what the kernel really answers.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace bench {

bool can_trace();
// Whether this system allows it; what follows ends the process where it does not.

void mark();
// Called by a traced program: counting begins at the first call, and ends at the second.

std::uint64_t user_instructions(const std::function<void()>& program);
// Those it executed in user space between its two marks; it is ended at the second.

std::vector<long> system_calls(const std::function<void()>& program);
// The numbers (SYS_read …) of those it made between its two marks, those with which it marks included.

double system_calls_per_second(const std::function<void()>& program, double seconds);
// Those of a program that has come to rest, for so long, from its mark on; then it is ended.

}  // namespace bench
