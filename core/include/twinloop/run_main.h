// run_main: a program that is one coroutine.  The same main() blocks natively until the coroutine ends and returns at once in a
// browser, where the page's own loop drives it.
#pragma once

#include <utility>

#include "twinloop/detail/function.h"
#include "twinloop/future.h"
#include "twinloop/ioloop.h"

namespace twinloop {

namespace detail {
int run_program(Function<Future<int>()> program);
inline Future<int> with_status(Future<void> work) {
  co_await work;
  co_return 0;
}
}  // namespace detail

template <class F>
int run_main(F program) {
  if constexpr (std::is_same_v<std::invoke_result_t<F&>, Future<int>>) {
    return detail::run_program(std::move(program));
  } else {
    static_assert(std::is_same_v<std::invoke_result_t<F&>, Future<void>>,
                  "run_main takes a coroutine: Future<void> or Future<int>");
    return detail::run_program([program = std::move(program)]() mutable { return detail::with_status(program()); });
  }
}
// Makes the loop, runs the coroutine and gives the process's exit status: 0, the coroutine's own, or 1 after an exception, which
// is printed in one line, or when somebody stopped or closed the loop before.  SIGTERM and SIGINT cancel the coroutine (status 0): it and what it spawned end at their co_await, their
// destructors run, and what closed streams had accepted is still delivered, for a second at most; a second signal ends the process,
// unless fork_processes made it: then the original process decides when it has waited long enough.
//
// In a page it gives 0 at once, and the host hears the status when the coroutine ends.  A page runs one program: a second run_main
// there prints why it cannot run and gives 1, also when the first has ended.
//
// The environment variable TWINLOOP_TRACE=FILE writes a trace of the loop there at the end (see trace.h), and
// TWINLOOP_BLOCKING_MS=50 logs what keeps the loop for 50 ms or longer.

}  // namespace twinloop
