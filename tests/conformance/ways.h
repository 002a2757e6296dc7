// What the suite of streams runs over.  A STREAM_BEHAVIOUR is tried once over each way in which bytes can be carried that it is
// meant for: a pair, pairs that misbehave, sockets, filters, a filter over a pair that misbehaves.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "carriers.h"
#include "twinloop/ioloop.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"

namespace twinloop::testing {

enum class Moves {
  whole,
  parts,
  bytes
};  // what one call into the transport moves: all there is room for, some hundred bytes, one

struct Way {
  std::string name;
  Needs needs;
  std::function<Future<Ends>(StreamOptions)> open;
  Moves moves = Moves::whole;
  bool resets = true;  // an abort is not a plain end to the peer
};

const std::vector<Way>& ways();
std::vector<Way> secure_ways();
// Filters over pairs, as far as this build has TLS.

Ends make_faulty_ends(const Faults& faults, const StreamOptions& options = {}, std::uint32_t seed = 1);
// Of a pair whose ends both misbehave, each at other moments.

Future<Ends> open_ends(const Way& way, const StreamOptions& options = {});
// Both with these options.

// ---- which ways a behaviour is meant for

bool every_way(const Way& way);
bool in_bulk(const Way& way);
// A megabyte in single bytes takes too long.
bool in_whole_calls(const Way& way);
bool with_resets(const Way& way);

struct EveryWay {
  EveryWay(std::string_view sentence, bool (*those)(const Way&), Future<void> (*trial)(const Way&));
  // Registers a behaviour for each of those ways: "a sentence, over tls".
};

// STREAM_BEHAVIOUR("a sentence", in_bulk) { Ends ends = co_await open_ends(way); … }
#define STREAM_BEHAVIOUR(sentence, those)                                                               \
  static ::twinloop::Future<void> TWINLOOP_JOIN(behaviour_, __LINE__)(const ::twinloop::testing::Way&); \
  static const ::twinloop::testing::EveryWay TWINLOOP_JOIN(registration_, __LINE__)(                    \
      sentence, those, &TWINLOOP_JOIN(behaviour_, __LINE__));                                           \
  static ::twinloop::Future<void> TWINLOOP_JOIN(behaviour_, __LINE__)(const ::twinloop::testing::Way& way)

// ---- waiting for what must come, however many turns that takes

Future<void> until_buffered(IOStream& stream, std::size_t count, Location where = Location::current());
// Until so much of what was sent is there and unread, while a read waits for more.

template <class Condition>
Future<void> until(Condition& condition, Location where = Location::current());
// Until it is true, which it must become within 10 s.

Future<void> some_turns();
// In which what must not happen could: no proof that it does not.

template <class Condition>
Future<void> until(Condition& condition, Location where) {
  const TimePoint late = IOLoop::current().after(std::chrono::seconds(10));
  while (!condition()) {
    expect(IOLoop::current().clock() < late, "it does not become true", where);
    co_await sleep_for(Duration::zero());
  }
}

}  // namespace twinloop::testing
