// Where there is no zlib: compression is never agreed on.
#include "protocols/websocket/deflate.h"

namespace twinloop::detail {

struct Deflater::Stream {};
struct Inflater::Stream {};

bool can_deflate() noexcept { return false; }

Deflater::Deflater(const DeflateSettings& settings, bool remembers) : settings_(settings), remembers_(remembers) {}
Deflater::~Deflater() = default;
void Deflater::forget() noexcept { forgets_once_ = true; }
std::string Deflater::compress(std::string_view message) { return std::string(message); }

Inflater::Inflater(bool remembers) noexcept : remembers_(remembers) {}
Inflater::~Inflater() = default;
Inflated Inflater::add(std::string_view, std::string&, std::size_t) { return Inflated::malformed; }
Inflated Inflater::finish(std::string&, std::size_t) { return Inflated::malformed; }

}  // namespace twinloop::detail
