// There are no datagrams in a browser, and so no addresses of them.
#include "twinloop/udp.h"

namespace twinloop {

UdpAddress::UdpAddress(const void*, std::size_t) noexcept {}
std::string UdpAddress::url() const { return {}; }

}  // namespace twinloop
