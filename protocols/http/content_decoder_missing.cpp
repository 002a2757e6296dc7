// A build without zlib asks for no compressed answers, and passes those that come all the same on as they are.
#include "protocols/http/content_decoder.h"

namespace twinloop::detail {

std::unique_ptr<ContentDecoder> ContentDecoder::make(std::string_view) { return nullptr; }
std::string_view ContentDecoder::encodings() noexcept { return {}; }

}  // namespace twinloop::detail
