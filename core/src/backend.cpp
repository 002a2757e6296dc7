// What a platform cannot do unless its backend says otherwise.  Nothing else is here, so that a program for a browser links nothing
// for it.
#include "twinloop/backend.h"

#include "twinloop/process.h"
#include "twinloop/udp.h"

namespace twinloop {

Future<std::unique_ptr<DatagramSocket>> Network::open_datagrams(const Url& url, DatagramEnd, const UdpOptions&) {
  return Future<std::unique_ptr<DatagramSocket>>::failed(
      Failure(Errc::not_supported, url.to_string() + ": no datagrams here (" + std::string(alternatives()) + ")"));
}

StartedProcess Backend::start_process(const std::vector<std::string>& argv, const SubprocessOptions&) {
  throw Error(Errc::not_supported, "start '" + argv.front() + "'");
}

}  // namespace twinloop
