#include "twinloop/origin.h"

#include <string_view>

namespace twinloop {
namespace {

std::string_view without_folders(std::string_view path) noexcept {
  const std::size_t slash = path.find_last_of("/\\");
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

std::string Origin::text() const {
  const std::string_view file = without_folders(where_.file_name());
  if (file.empty()) return label_;
  std::string place(file);
  place.append(":").append(std::to_string(where_.line()));
  if (*label_ == '\0') return place;
  return std::string(label_) + " (" + place + ")";
}

}  // namespace twinloop
