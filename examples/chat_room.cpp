#include "chat_room.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "text.h"
#include "twinloop/log.h"

using namespace twinloop;

namespace {

constexpr std::size_t kMaxLine = 1024;
constexpr std::size_t kMaxName = 20;
constexpr std::size_t kMaxMembers = 500;
constexpr std::size_t kMaxUnsent = 256 * 1024;

// "say hello" is the command "say" with the argument "hello".
std::pair<std::string_view, std::string_view> split_command(std::string_view line) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) return {line, {}};
  return {line.substr(0, space), line.substr(space + 1)};
}

// "ADA: hello" must not be mistaken for anything else that the room says.
bool is_name(std::string_view text) {
  const std::size_t length = count_characters(text);
  return length >= 1 && length <= kMaxName && text.find_first_of(":,") == text.npos && text != "error";
}

}  // namespace

// Someone connected; one of the room's members as soon as there is a name, and until the end of its lifetime.
class Member {
 public:
  Member(IOStream& stream, Room& room) noexcept : stream_(stream), room_(room) {}
  ~Member() {
    if (name_.empty()) return;
    room_.remove(*this);
    room_.tell_all("left " + name_);
  }
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  const std::string& name() const noexcept { return name_; }

  // Never waits: a member who does not read is dropped before the memory grows.
  void tell(const std::string& line) {
    if (stream_.is_closed()) return;
    stream_.write(line + "\n").ignore();
    if (stream_.unsent() <= kMaxUnsent) return;
    log(LogLevel::info, name_ + " reads too slowly and is dropped");
    stream_.write("error: you read too slowly\n").ignore();
    stream_.close();
  }

  // False when that was the last line.
  bool obey(std::string_view line) {
    if (line.size() > kMaxLine) return refuse("line too long"), false;
    if (!is_text(line)) return refuse("a line is UTF-8 without control characters"), true;
    const auto [command, argument] = split_command(line);
    if (command == "quit") return tell("bye"), false;
    if (command == "ping") return tell("pong " + std::string(argument)), true;
    if (command == "name") return enter(trimmed(argument));
    if (name_.empty()) return refuse("first say who you are: name ADA"), true;
    if (command == "who") return tell("here " + room_.names()), true;
    if (command != "say") return refuse("there is only: say TEXT, who, ping TOKEN, quit"), true;
    room_.tell_all(name_ + ": " + std::string(argument));
    return true;
  }

 private:
  bool enter(std::string_view wanted) {
    if (!name_.empty()) return refuse("you are " + name_ + " already"), true;
    if (!is_name(wanted)) return refuse("a name has 1 to 20 characters, no colon, no comma, and is not error"), true;
    if (room_.full()) return refuse("the room is full"), false;
    name_ = room_.free_name(std::string(wanted));
    room_.add(*this);
    tell("welcome " + name_ + " (" + std::to_string(room_.size()) + " here)");
    room_.tell_all("joined " + name_, this);
    return true;
  }

  void refuse(const std::string& why) { tell("error: " + why); }

  IOStream& stream_;
  Room& room_;
  std::string name_;
};

bool Room::full() const noexcept { return members_.size() >= kMaxMembers; }

std::string Room::names() const {
  std::string names;
  for (const Member* member : members_) names += (names.empty() ? "" : ", ") + member->name();
  return names;
}

std::string Room::free_name(const std::string& wanted) const {
  std::string name = wanted;
  const auto has_it = [&name](const Member* member) { return member->name() == name; };
  for (int number = 2; std::any_of(members_.begin(), members_.end(), has_it); ++number) {
    name = wanted + "-" + std::to_string(number);
  }
  return name;
}

void Room::tell_all(const std::string& line, const Member* except) {
  for (Member* member : members_) {
    if (member != except) member->tell(line);
  }
}

namespace {

// The next line without its end, or nothing when there is none.  One that is too long comes as far as it is known, so that it
// can be answered; IOStream's own next_line would close the stream.
Future<std::optional<std::string>> next_line(IOStream& stream, std::string& received) {
  std::size_t end = 0;
  while ((end = received.find('\n')) == std::string::npos && received.size() <= kMaxLine + 1) {
    Result<std::string> more = co_await as_result(stream.read_some(kMaxLine));
    if (more.ok()) {
      received += *more;
      continue;
    }
    if (received.empty()) co_return std::nullopt;
    break;
  }
  std::string line = received.substr(0, end);
  received.erase(0, end == std::string::npos ? end : end + 1);
  if (line.ends_with('\r')) line.pop_back();
  co_return line;
}

}  // namespace

Future<void> handle_stream(IOStream stream, Room& room) {
  Member member(stream, room);
  std::string received;
  while (std::optional<std::string> line = co_await next_line(stream, received)) {
    if (!member.obey(*line)) break;
  }
}
