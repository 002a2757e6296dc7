// The files of a folder, read once and served from memory: as much of a web server as a demonstration needs.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

class StaticFiles {
 public:
  void load(const std::filesystem::path& folder);
  // Adds every file in it and below.  Throws where one cannot be read; a folder that does not exist has none.

  void add(std::string path, std::string type, std::string body);
  // add("/config.json", "application/json", "{}")

  bool has(std::string_view path) const { return files_.find(path) != files_.end(); }

  std::string answer(std::string_view method, std::string_view target, bool keep_alive) const;
  // The whole HTTP/1.1 response: 200, 404, or 405 for all but GET and HEAD.

 private:
  struct File {
    std::string type;
    std::string body;
  };
  std::map<std::string, File, std::less<>> files_;
};

std::string plain_answer(std::string_view status, std::string_view text, bool keep_alive);
// plain_answer("400 Bad Request", "no\n", false)
