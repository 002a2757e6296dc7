// cares_resolver: names asked of DNS servers by c-ares, without a thread.  Where many names are resolved at once, or a name server that
// does not answer must not hold a thread of the executor.  It knows /etc/hosts and DNS, not the system's other sources (mDNS, LDAP).
//
//   connect(url, ConnectOptions().set_resolver(cares_resolver()));
#pragma once

#include <memory>
#include <string>

#include "twinloop/resolver.h"

namespace twinloop {

std::shared_ptr<Resolver> cares_resolver(const std::string& servers = {});
// Asks the system's name servers, or those given: "192.0.2.53,[2001:db8::53]:5353".  It belongs to the current loop, whose coroutines
// may share it.  c-ares asks each server several times, some seconds apart: the deadline is that of who waits (connect's, with_timeout).
//
// Throws Error(invalid_url) for servers that are no such list, and Error(not_supported) in a build without c-ares and in a browser.

}  // namespace twinloop
