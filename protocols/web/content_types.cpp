#include <algorithm>
#include <array>
#include <utility>

#include "twinloop/static_files.h"

namespace twinloop {
namespace {

// In the order of the endings, which are looked up by halves.
constexpr std::array<std::pair<std::string_view, std::string_view>, 41> kTypes = {{
    {"avif", "image/avif"},
    {"bin", "application/octet-stream"},
    {"bmp", "image/bmp"},
    {"br", "application/octet-stream"},
    {"css", "text/css; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"gif", "image/gif"},
    {"gz", "application/gzip"},
    {"htm", "text/html; charset=utf-8"},
    {"html", "text/html; charset=utf-8"},
    {"ico", "image/x-icon"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"jsonld", "application/ld+json"},
    {"m4a", "audio/mp4"},
    {"map", "application/json"},
    {"md", "text/markdown; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"oga", "audio/ogg"},
    {"ogg", "audio/ogg"},
    {"ogv", "video/ogg"},
    {"otf", "font/otf"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"svg", "image/svg+xml"},
    {"tar", "application/x-tar"},
    {"ttf", "font/ttf"},
    {"txt", "text/plain; charset=utf-8"},
    {"wasm", "application/wasm"},
    {"wav", "audio/wav"},
    {"webm", "video/webm"},
    {"webmanifest", "application/manifest+json"},
    {"webp", "image/webp"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xml", "application/xml"},
    {"zip", "application/zip"},
}};

constexpr bool is_before(const std::pair<std::string_view, std::string_view>& known, std::string_view ending) noexcept {
  return known.first < ending;
}

static_assert(std::is_sorted(kTypes.begin(), kTypes.end()));

}  // namespace

std::string_view content_type_of(std::string_view path) noexcept {
  constexpr std::string_view kUnknown = "application/octet-stream";
  const std::string_view name = path.substr(path.rfind('/') + 1);
  const std::size_t dot = name.rfind('.');
  std::array<char, 16> lower{};
  if (dot == std::string_view::npos || name.size() - dot - 1 > lower.size()) return kUnknown;
  const std::string_view ending = name.substr(dot + 1);
  std::transform(ending.begin(), ending.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const std::string_view wanted(lower.data(), ending.size());
  const auto* const found = std::lower_bound(kTypes.begin(), kTypes.end(), wanted, is_before);
  return found != kTypes.end() && found->first == wanted ? found->second : kUnknown;
}

}  // namespace twinloop
