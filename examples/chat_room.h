// A chat room with a line protocol that a person can type:
//
//   name ADA      first of all; answered by "welcome ADA (3 here)", with another name if that one is taken
//   say TEXT      everyone, the speaker too, gets "ADA: TEXT"
//   who           "here ADA, bob, eve"
//   ping TOKEN    "pong TOKEN"
//   quit          "bye", and the server ends the stream
//
// Others hear "joined ADA" and "left ADA", the latter at once however ADA left.  A mistake is answered by "error: …".  Lines are
// UTF-8, end in "\n" and hold at most 1 KiB.  The room neither knows nor asks what carries its streams.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "twinloop/iostream.h"

class Member;

class Room {
 public:
  bool full() const noexcept;
  std::size_t size() const noexcept { return members_.size(); }
  std::string names() const;
  // "ADA, bob, eve", in the order of their coming.

  std::string free_name(const std::string& wanted) const;
  // The name itself, or with the first suffix that makes it unique: "ADA-2".

  void add(Member& member) { members_.push_back(&member); }
  void remove(Member& member) { std::erase(members_, &member); }
  void tell_all(const std::string& line, const Member* except = nullptr);

 private:
  std::vector<Member*> members_;
};

twinloop::Future<void> handle_stream(twinloop::IOStream stream, Room& room);
// One visitor's stay, from the first line to the last.  The room must outlive it.
