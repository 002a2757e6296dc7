// What carries the bytes of the tables of endings and beginnings.
#pragma once

#include <memory>
#include <vector>

#include "twinloop/net.h"
#include "twinloop/testing.h"

namespace twinloop::testing {

struct Carrier {
  const char* name;
  Needs needs;
  const char* url;                                                        // null: a pair
  bool filter;                                                            // it stands on tcp://
  void (*secure)(ConnectOptions&, ListenOptions&) = [](auto&, auto&) {};  // certificates, where it takes some
  bool resets = true;                                                     // an abort is not a plain end to the peer
};

const std::vector<Carrier>& carriers();
std::vector<Carrier> secure_carriers();
// Those over TLS, as far as this build has it.

struct Ends {
  IOStream ours;
  IOStream peer;
};

Future<Ends> open_ends(const Carrier& carrier, const StreamOptions& ours);
Future<Ends> connect_ends(const Carrier& carrier, ConnectOptions ours, ListenOptions peers = {});
// Over anything but a pair, with more than a stream's options.

bool is_plain(const Carrier& carrier);  // a socket and nothing above it
bool is_on_tcp(const Carrier& carrier);
bool is_websocket(const Carrier& carrier);

Future<void> try_over(bool (*those)(const Carrier&), Future<void> (*trial)(const Carrier&));
// At once over all of them, because some trials wait for a clock; a failure names its carrier.

// Two ends of a filter with a relay between them that can be told to misbehave.
class Relay {
 public:
  Future<Ends> open_ends(const Carrier& carrier, const StreamOptions& ours);

  void cut();
  // Ends the connection below our end, without the filter's goodbye.
  void send_garbage();
  // To our end, in place of what the peer says.

 private:
  void stop();
  IOStream near_;  // its other end is ours
  IOStream far_;
  std::vector<Future<void>> passing_;
};

}  // namespace twinloop::testing
