// The forms around co_await that the library, its examples and its users rely on, each run by itself: `safe_forms NAME`.  Every
// one of them was miscompiled by some compiler, or stands beside a form that is; see docs/decisions.md.
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "tracked.h"
#include "twinloop/ioloop.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"

namespace {

using namespace twinloop;
using namespace std::chrono_literals;

// ---- what is awaited: things that really suspend

Future<void> pause() { return moment(); }

Future<bool> below(int& count, int limit) {
  co_await pause();
  co_return ++count <= limit;
}

Future<int> number(int value) {
  co_await pause();
  co_return value;
}

Future<std::string> text_of(Tracked tracked) {
  co_await pause();
  co_return tracked.text;
}

Future<Tracked> tracked_later() {
  co_await pause();
  co_return Tracked();
}

class Options {
 public:
  Options& label(Tracked value) { return label_ = std::move(value), *this; }
  const Tracked& label() const { return label_; }

 private:
  Tracked label_;
};

Future<std::size_t> use(Options options) {
  co_await pause();
  co_return options.label().text.size();
}

struct Point {
  int x;
  int y;
};

Future<int> sum(Point point) {
  co_await pause();
  co_return point.x + point.y;
}

Future<int> failing() {
  co_await pause();
  co_return Errc::protocol;
}

// ---- the forms; each gives true when all is well

Future<bool> condition_of_if_without_locals() {
  int count = 0;
  if (co_await below(count, 1)) count += 10;
  co_return count == 11;
}

Future<bool> condition_of_if_else() {
  int count = 5;
  if (co_await below(count, 1))
    co_return false;
  else
    co_return count == 6;
}

Future<bool> condition_of_while_without_locals() {
  int count = 0;
  while (co_await below(count, 3)) co_await pause();
  co_return count == 4;
}

Future<bool> condition_of_do() {
  int count = 0;
  do {
    co_await pause();
  } while (co_await below(count, 3));
  co_return count == 4;
}

Future<bool> condition_of_switch() {
  switch (co_await number(2)) {
    case 2:
      co_await pause();
      co_return true;
    default:
      co_return false;
  }
}

Future<bool> initializer_in_while() {
  int count = 0;
  while (bool more = co_await below(count, 2)) {
    co_await pause();
    if (!more) co_return false;
  }
  co_return count == 3;
}

Future<bool> temporary_as_argument_of_a_coroutine() {
  const std::string text = co_await text_of(Tracked("one text that is too long for the small buffer"));
  co_return text == "one text that is too long for the small buffer";
}

Future<bool> temporary_within_a_call() {
  const std::string text = co_await with_timeout(1h, text_of(Tracked(std::string("two texts, one inside the other"))));
  co_return text == "two texts, one inside the other";
}

Future<bool> concatenated_argument() {
  const std::string name = "a name that is too long for the small buffer";
  const std::string text = co_await text_of(Tracked("a" + name + "b"));
  co_return text == "a" + name + "b";
}

Future<bool> moved_argument() {
  Tracked tracked;
  const std::string expected = tracked.text;
  co_return co_await text_of(std::move(tracked)) == expected;
}

Future<bool> options_with_setters() { co_return co_await use(Options().label(Tracked("seven c"))) == 7; }

Future<bool> empty_braces_for_options() { co_return co_await use({}) == Tracked().text.size(); }

Future<bool> trivial_aggregate() { co_return co_await sum(Point{3, 4}) == 7; }

Future<bool> ternary_of_awaits() {
  const bool first = co_await number(1) == 1;
  const int value = first ? co_await number(4) : co_await number(5);
  co_return value == 4;
}

Future<bool> await_as_an_argument() { co_return co_await number(co_await number(co_await number(9))) == 9; }

Future<bool> range_for_with_awaits() {
  const std::vector<int> values{1, 2, 3};
  int total = 0;
  for (const int value : values) total += co_await number(value);
  co_return total == 6;
}

Future<bool> lambda_with_parameters() {
  const auto work = [](Tracked tracked) -> Future<std::string> { co_return co_await text_of(std::move(tracked)); };
  co_return co_await work(Tracked("by a lambda that captures nothing")) == "by a lambda that captures nothing";
}

Future<bool> result_that_is_destroyed_once() {
  {
    Tracked tracked = co_await tracked_later();
    if (tracked.text.empty()) co_return false;
  }
  co_await tracked_later();
  co_return Tracked::living == 0;
}

Future<bool> result_in_a_loop() {
  for (int i = 0; i < 3; ++i) {
    const Result<int> result = co_await as_result(failing());
    if (result.ok()) co_return false;
  }
  co_return true;
}

Future<bool> caught_in_a_loop() {
  int caught = 0;
  for (int i = 0; i < 3; ++i) {
    try {
      co_await failing();
    } catch (const Error&) {
      ++caught;
    }
  }
  co_return caught == 3;
}

Future<bool> await_after_a_catch() {
  bool caught = false;
  try {
    co_await failing();
  } catch (const Error&) {
    caught = true;
  }
  co_await pause();
  co_return caught;
}

struct Form {
  const char* name;
  Future<bool> (*run)();
};

#define FORM(name) {#name, &name}
constexpr Form kForms[] = {
    FORM(condition_of_if_without_locals),
    FORM(condition_of_if_else),
    FORM(condition_of_while_without_locals),
    FORM(condition_of_do),
    FORM(condition_of_switch),
    FORM(initializer_in_while),
    FORM(temporary_as_argument_of_a_coroutine),
    FORM(temporary_within_a_call),
    FORM(concatenated_argument),
    FORM(moved_argument),
    FORM(options_with_setters),
    FORM(empty_braces_for_options),
    FORM(trivial_aggregate),
    FORM(ternary_of_awaits),
    FORM(await_as_an_argument),
    FORM(range_for_with_awaits),
    FORM(lambda_with_parameters),
    FORM(result_that_is_destroyed_once),
    FORM(result_in_a_loop),
    FORM(caught_in_a_loop),
    FORM(await_after_a_catch),
};
#undef FORM

bool holds(const Form& form) {
  IOLoop loop(std::make_unique<testing::ManualBackend>());
  const bool right = loop.run_sync(form.run);
  loop.close();
  if (!right) std::printf("%s: a wrong value\n", form.name);
  if (Tracked::living != 0) std::printf("%s: %d objects left\n", form.name, Tracked::living);
  if (Tracked::moved_by_bytes) std::printf("%s: an object was moved by its bytes\n", form.name);
  return right && Tracked::living == 0 && !Tracked::moved_by_bytes;
}

}  // namespace

// Without an argument: their names.
int main(int argc, char** argv) {
  for (const Form& form : kForms) {
    if (argc < 2) {
      std::puts(form.name);
    } else if (std::strcmp(argv[1], form.name) == 0) {
      return holds(form) ? 0 : 1;
    }
  }
  return argc < 2 ? 0 : 2;
}
