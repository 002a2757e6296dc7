// The forms that the lint refuses, because a compiler that we support makes wrong code of them.  Each is run by itself:
// `dangerous_forms NAME` ends with 0 when this compiler gets it right.  Nobody relies on that; the lint's own test sees to it that
// every line marked `refused` is refused.
#include <cstdio>
#include <cstring>
#include <string>

#include "tracked.h"
#include "twinloop/ioloop.h"
#include "twinloop/testing.h"

namespace {

using namespace twinloop;

struct Settings {
  Tracked label;
  int n = 0;
};

Future<int> configured(Settings settings) {
  co_await moment();
  co_return settings.n;
}

template <class F>
Future<int> called(F work) {
  co_await moment();
  co_return work();
}

Future<void> braced_aggregate_with_a_destructor() {
  co_await configured({.label = Tracked(), .n = 3});  // refused
}

Future<void> capturing_lambda_as_an_argument() {
  Tracked tracked;
  co_await called([tracked] { return tracked.text.empty() ? 0 : 1; });  // refused
}

Future<void> passed(Tracked tracked) {
  co_await moment();
  (void)tracked;
}

Future<void> ternary_of_two_prvalues() {
  const bool first = Tracked::living == 0;
  co_await passed(first ? Tracked("the first of two texts, too long for a small buffer") : Tracked());  // refused
}

struct Form {
  const char* name;
  Future<void> (*run)();
};

constexpr Form kForms[] = {
    {"braced_aggregate_with_a_destructor", &braced_aggregate_with_a_destructor},
    {"capturing_lambda_as_an_argument", &capturing_lambda_as_an_argument},
    {"ternary_of_two_prvalues", &ternary_of_two_prvalues},
};

}  // namespace

int main(int argc, char** argv) {
  for (const Form& form : kForms) {
    if (argc < 2) {
      std::puts(form.name);
    } else if (std::strcmp(argv[1], form.name) == 0) {
      {
        IOLoop loop(std::make_unique<testing::ManualBackend>());
        loop.run_sync(form.run);
      }
      return Tracked::living == 0 && !Tracked::moved_by_bytes ? 0 : 1;
    }
  }
  return argc < 2 ? 0 : 2;
}
