#include "bench/coro_peers.h"

std::vector<bench::CoroPeer> bench::coro_asio() { return {}; }
