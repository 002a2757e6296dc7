// Threads that give a loop callbacks until it is closed, and what becomes of each of those.
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <thread>
#include <utility>

#include "twinloop/ioloop.h"
#include "twinloop/remote.h"
#include "twinloop/testing.h"

namespace twinloop::testing {

// Eight of them, from now on.  Each gives by turns to add_callback and to a handle, and ends with one of each that is refused.
class Crowd {
 public:
  Crowd(IOLoop& loop, std::function<void()> close_or_stop) : loop_(loop), close_or_stop_(std::move(close_or_stop)) {
    for (int i = 0; i < 8; ++i) threads_.emplace_back(*this);
  }
  // Calls that, in a turn, when some hundred of their callbacks have run.

  ~Crowd() { disperse(); }
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  void disperse() {
    loop_.close();
    for (Giver& giver : threads_) {
      if (giver.thread.joinable()) giver.thread.join();
    }
  }
  // Closes the loop if that has not happened, and waits for the threads.

  void expect_each_run_or_destroyed() const {
    int given = 0, ran = 0, dropped = 0;
    for (const Giver& giver : threads_) {
      for (const Fate& fate : giver.fates) {
        expect_equal(fate.destroyed, 1);
        ++given;
        (fate.runs == 0 ? dropped : ran) += 1;
      }
      expect_equal(giver.fates.end()[-1].runs, 0);  // the loop was closed
      expect_equal(giver.fates.end()[-2].runs, 0);
    }
    expect_equal(ran, ran_);  // none twice
    expect_equal(ran + dropped, given);
    expect(ran >= kSome, "the loop ran before it closed");
  }

 private:
  static constexpr int kSome = 300;

  struct Fate {
    int runs = 0;
    int destroyed = 0;
  };

  // What they give.
  class Callback {
   public:
    Callback(Crowd& crowd, Fate& fate) noexcept : crowd_(crowd), fate_(&fate) {}
    Callback(Callback&& other) noexcept : crowd_(other.crowd_), fate_(std::exchange(other.fate_, nullptr)) {}
    Callback& operator=(Callback&&) = delete;
    ~Callback() {
      if (fate_ != nullptr) ++fate_->destroyed;
    }
    void operator()() {
      ++fate_->runs;
      if (++crowd_.ran_ == kSome) crowd_.close_or_stop_();
    }

   private:
    Crowd& crowd_;
    Fate* fate_;
  };

  struct Giver {
    explicit Giver(Crowd& crowd) : thread(&Giver::give, this, std::ref(crowd), crowd.loop_.remote()) {}

    void give(Crowd& crowd, RemoteLoop remote) {
      bool taken = true;
      while (taken) {
        crowd.loop_.add_callback(Callback(crowd, fates.emplace_back()));
        taken = remote.post(Callback(crowd, fates.emplace_back()));
      }
      crowd.loop_.add_callback(Callback(crowd, fates.emplace_back()));
    }

    std::deque<Fate> fates;  // the thread's until it ends, but for what the loop writes into those that it was given
    std::thread thread;
  };

  IOLoop& loop_;
  std::function<void()> close_or_stop_;
  int ran_ = 0;  // the loop's thread's
  std::list<Giver> threads_;
};

}  // namespace twinloop::testing
