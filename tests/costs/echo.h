// The server whose costs are pinned: it sends back what it receives, as examples/echo_server does.
#pragma once

#include <string_view>

#include "twinloop/iostream.h"

inline twinloop::Future<void> echo_bytes(twinloop::IOStream stream) {
  for (;;) {
    twinloop::Future<std::string_view> bytes = stream.read_some_view();
    co_await twinloop::settled(bytes);
    if (!bytes.ok()) co_return;
    co_await stream.write(bytes.result());
  }
}

inline twinloop::Future<void> echo_lines(twinloop::IOStream stream) {
  for (;;) co_await stream.write(co_await stream.read_until_view("\n"));
}
