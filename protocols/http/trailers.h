// The fields that a message of ours has behind its chunked body (RFC 9110 §6.5).
#pragma once

#include <string>
#include <string_view>

#include "twinloop/httputil.h"

namespace twinloop::detail {

class Trailers {
 public:
  explicit Trailers(const HTTPHeaders& message) : announced_(message.joined("Trailer")) {}
  // Whose Trailer header says which there may be.

  void add(std::string_view name, std::string_view value);
  // Throws Error(protocol) for a name that was not announced, for one that may not stand there, and as HTTPHeaders::add.

  std::string end_of_chunks() const;
  // The last chunk with them behind it.

 private:
  std::string announced_;
  HTTPHeaders fields_;
};

}  // namespace twinloop::detail
