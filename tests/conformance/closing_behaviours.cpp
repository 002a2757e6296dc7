// The closing table of docs/guide/closing.md, cell by cell: what ends a stream, in which state it is, and who hears of it, in which order.
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "carriers.h"
#include "fixtures.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr std::size_t kWanted = 1000;            // by the pending read
constexpr std::size_t kMuch = 12 * 1024 * 1024;  // more than all buffers take, and than a peer that closes throws away
constexpr std::size_t kSmallLimit = 1024;        // max_buffer_size of a stream with bytes below it
constexpr std::size_t kBelow = 2000;             // one segment, one TLS record, one frame: more than that stream takes
constexpr std::size_t kBeyond = 40 * 1024;       // more than a stream reads ahead, less than a pair and the kernel hold

// ---- the cells

enum class Event {
  peer_half_closes,
  peer_closes,
  peer_resets,
  peer_vanishes,
  cut_below,
  garbage,
  overflows,
  closed_here,
  closed_twice,
  closed_by_both,
  aborted_here,
  destroyed,
};

constexpr std::pair<Event, const char*> kEvents[] = {
    {Event::peer_half_closes, "the peer half-closes"},
    {Event::peer_closes, "the peer closes"},
    {Event::peer_resets, "the peer resets"},
    {Event::peer_vanishes, "the peer vanishes and the idle timeout notices"},
    {Event::cut_below, "the connection below ends without a goodbye"},
    {Event::garbage, "the peer sends garbage"},
    {Event::overflows, "the input overflows"},
    {Event::closed_here, "it is closed here"},
    {Event::closed_twice, "it is closed twice"},
    {Event::closed_by_both, "both ends close at once"},
    {Event::aborted_here, "it is aborted here"},
    {Event::destroyed, "it is destroyed"},
};

enum class Deed { nothing, closes, destroys };

constexpr std::pair<Deed, const char*> kDeeds[] = {
    {Deed::nothing, ""},
    {Deed::closes, ", and its callback closes it"},
    {Deed::destroys, ", and its callback destroys it"},
};

enum class Unread { nothing, in_the_stream, below_it, beyond_read_ahead };

struct Cell {
  Event event;
  Deed deed;  // of the close callback
  bool read_pending;
  bool write_pending;
  Unread unread;
  bool half_open;  // of the close callback

  std::string text() const {
    std::string words = read_pending ? "read pending" : "no read";
    words += write_pending ? ", write pending" : ", no write";
    words += unread == Unread::nothing         ? ", nothing unread"
             : unread == Unread::in_the_stream ? ", bytes unread in the stream"
             : unread == Unread::below_it      ? ", bytes unread below it"
                                               : ", more bytes unread than are read ahead";
    return words + (half_open ? ", half-open callback" : "");
  }
};

// What a carrier holds then: a piece of a TLS record or of a frame that is too much for the stream, what follows it, or all.
bool leaves_bytes_below(const Cell& cell) { return cell.unread >= Unread::below_it; }

bool is_filters_own(Event event) { return event == Event::cut_below || event == Event::garbage; }

// What would have left the stream open: the callback ends it.
bool ends_in_callback(const Cell& cell) { return cell.event == Event::peer_half_closes && cell.deed != Deed::nothing; }

bool is_the_peers_end(Event event) {
  return event == Event::peer_half_closes || event == Event::peer_closes || is_filters_own(event);
}

// A peer that closed takes what we go on writing for a while, and then resets.
bool may_be_reset(const Cell& cell) { return cell.event == Event::peer_closes && cell.write_pending; }

// Some carriers show an end only behind the bytes in front of it: the platform's doing, and the table says so.
bool end_is_hidden(const Carrier& carrier, const Cell& cell) {
  if (!leaves_bytes_below(cell) || carrier.url == nullptr) return false;
  const bool select = IOLoop::current().backend_name() == "select";
  if (cell.event == Event::peer_resets) return select && !cell.write_pending;
  return is_the_peers_end(cell.event) && (carrier.filter || select);
}

bool exists(const Carrier& carrier, const Cell& cell) {
  if (is_filters_own(cell.event) && !carrier.filter) return false;
  // Only a read that waits lets the input grow beyond what is read ahead, and it takes what lies below.
  if (cell.event == Event::overflows && !cell.read_pending) return false;
  if (cell.read_pending && leaves_bytes_below(cell)) return false;
  // What the callback does is tried once for each way to end, with nothing unread.  A half-open one does not run at the peer's end.
  if (cell.deed != Deed::nothing && cell.unread != Unread::nothing) return false;
  return !ends_in_callback(cell) || !cell.half_open;
}

std::string unread_bytes(Unread unread) {
  const std::size_t size = unread == Unread::nothing         ? 0
                           : unread == Unread::in_the_stream ? 10
                           : unread == Unread::below_it      ? kBelow
                                                             : kBeyond;
  return numbered(size);
}

StreamOptions options_of_ours(Unread unread) {
  const std::size_t limit = unread == Unread::below_it            ? kSmallLimit
                            : unread == Unread::beyond_read_ahead ? 64 * 1024
                                                                  : 8 * 1024;
  return StreamOptions().max_buffer_size(limit).high_water_mark(1024);
}

// ---- what must happen

enum class Fate { stays, fails };

struct Outcome {
  Errc reason;  // of error(), and of what fails
  Fate closed;  // fails: the stream is closed
  Fate read;    // fails: also later reads that the buffer cannot satisfy
  Errc read_reason;
};

Outcome outcome_of(const Cell& cell) {
  if (ends_in_callback(cell)) return {Errc::local, Fate::fails, Fate::fails, Errc::end};
  switch (cell.event) {
    case Event::peer_half_closes:
    case Event::peer_closes:
      return {Errc::end, Fate::stays, Fate::fails, Errc::end};
    case Event::peer_resets:
      return {Errc::reset, Fate::fails, Fate::fails, Errc::reset};
    case Event::peer_vanishes:
      return {Errc::idle_timeout, Fate::fails, Fate::fails, Errc::idle_timeout};
    case Event::cut_below:
      return {Errc::truncated, Fate::fails, Fate::fails, Errc::truncated};
    case Event::garbage:
      return {Errc::protocol, Fate::fails, Fate::fails, Errc::protocol};
    case Event::overflows:
      return {Errc::overflow, Fate::fails, Fate::fails, Errc::overflow};
    case Event::closed_here:
    case Event::closed_twice:
    case Event::closed_by_both:
    case Event::aborted_here:
    case Event::destroyed:
      break;
  }
  return {Errc::local, Fate::fails, Fate::fails, Errc::local};
}

// In which order the waiting learn of an ending that closes at once.
std::string order_of(const Cell& cell) {
  std::string order;
  if (cell.read_pending) order += "read ";
  if (cell.write_pending) order += "write flush ";
  return order + "peer_ended closed callback ";
}

// In which order they learn of the peer's end, which leaves the writes alone.
std::string beginning_of(const Cell& cell) { return cell.read_pending ? "read peer_ended " : "peer_ended "; }

// ---- what happens

struct Output {
  const char* name;
  bool done = false;
  Errc failure = Errc::end;
};

struct Record {
  std::string order;
  Errc read = Errc::end;
  Output write{"write"};
  Output flush{"flush"};
  int callbacks = 0;

  bool has(std::string_view what) const { return order.find(std::string(what) + " ") != std::string::npos; }
};

Future<void> note_read(Future<std::string> reading, Record& record) {
  const Result<std::string> result = co_await as_result(std::move(reading));
  record.order += "read ";
  record.read = result.ok() ? Errc::busy : result.reason();
}

Future<void> note_output(Future<void> writing, Output& output, Record& record) {
  const Result<void> result = co_await as_result(std::move(writing));
  record.order += output.name;
  record.order += ' ';
  output.done = result.ok();
  if (!result.ok()) output.failure = result.reason();
}

Future<void> note(Future<void> fact, const char* name, Record& record) {
  co_await std::move(fact);
  record.order += name;
  record.order += ' ';
}

Future<void> some_turns() {
  for (int i = 0; i < 10; ++i) co_await moment();
  co_await sleep_for(2ms);
}

class Trial {
 public:
  Trial(const Carrier& carrier, const Cell& cell)
      : carrier_(carrier), cell_(cell), expected_(outcome_of(cell)), unread_(unread_bytes(cell.unread)) {}

  Future<void> run() {
    const StreamOptions options = options_of_ours(cell_.unread);
    Future<Ends> opening =
        is_filters_own(cell_.event) ? relay_.open_ends(carrier_, options) : open_ends(carrier_, options);
    Ends ends = co_await std::move(opening);
    ours_ = std::make_unique<IOStream>(std::move(ends.ours));
    peer_ = std::move(ends.peer);
    co_await prepare();
    set_close_callback();
    happen();
    if (end_is_hidden(carrier_, cell_)) co_await uncover_end();
    const TimePoint late = IOLoop::current().after(20s);  // a busy machine takes its time
    while (!settled() && IOLoop::current().clock() < late) co_await sleep_for(1ms);
    co_await some_turns();
    check();
    co_await check_unread();
    ours_.reset();  // runs a half-open callback that had nothing to tell yet
    peer_ = IOStream();
    co_await some_turns();
  }

 private:
  // In the stream: all.  Below it: what is more than the stream's limit, or than it reads while nobody asks.
  Future<void> put_unread() {
    co_await peer_.write(unread_);
    if (cell_.unread == Unread::nothing) co_return;
    if (cell_.unread == Unread::beyond_read_ahead) {
      co_await some_turns();
    } else {
      const std::string seen = co_await ours_->peek(std::min(unread_.size(), kSmallLimit));
      expect(seen == unread_.substr(0, kSmallLimit), "what the stream holds");
    }
    expect((ours_->buffered() < unread_.size()) == leaves_bytes_below(cell_), cell_.text() + ": where they are");
  }

  Future<void> prepare() {
    co_await put_unread();
    const std::size_t wanted = cell_.event == Event::overflows ? kMuch : kWanted;
    if (cell_.read_pending) waiting_.push_back(note_read(ours_->read_bytes(wanted), record_));
    if (cell_.write_pending) {
      waiting_.push_back(note_output(ours_->write(std::string(kMuch, 'w')), record_.write, record_));
      waiting_.push_back(note_output(ours_->flush(), record_.flush, record_));
    }
    waiting_.push_back(note(ours_->peer_ended(), "peer_ended", record_));
    waiting_.push_back(note(ours_->closed(), "closed", record_));
    co_await some_turns();
    expect_equal(record_.order, "");
  }

  void set_close_callback() {
    const auto callback = [this] {
      record_.order += "callback ";
      ++record_.callbacks;
      if (cell_.deed == Deed::closes && !is_gone()) ours_->close();
      if (cell_.deed == Deed::destroys) ours_.reset();
    };
    ours_->set_close_callback(callback, cell_.half_open);
  }

  void happen() {
    switch (cell_.event) {
      case Event::peer_half_closes:
        peer_.shutdown_write().ignore();
        break;
      case Event::peer_closes:
        peer_.close();
        break;
      case Event::peer_resets:
        peer_.abort();
        break;
      case Event::peer_vanishes:
        ours_->set_idle_timeout(10ms);
        break;
      case Event::cut_below:
        relay_.cut();
        break;
      case Event::garbage:
        relay_.send_garbage();
        break;
      case Event::overflows:
        peer_.write(std::string(kMuch, 'o')).ignore();
        break;
      case Event::closed_here:
        ours_->close();
        break;
      case Event::closed_twice:
        ours_->close();
        ours_->close();
        break;
      case Event::closed_by_both:
        peer_.close();
        ours_->close();
        break;
      case Event::aborted_here:
        ours_->abort();
        break;
      case Event::destroyed:
        ours_.reset();
        break;
    }
  }

  // Nobody can know of it before the bytes in front of it are read.
  Future<void> uncover_end() {
    co_await some_turns();
    if (may_be_reset(cell_)) co_return co_await read_until_end_or_reset();
    expect_equal(record_.order, "");
    co_await read_unread(unread_.size());
  }

  // The reset takes away what had not been read, whenever it comes.
  Future<void> read_until_end_or_reset() {
    std::string unread;
    for (;;) {
      Result<std::string> some = co_await as_result(ours_->read_some(1000));
      if (!some.ok()) {
        const bool all = unread == unread_;
        expect(some.reason() == Errc::reset || (some.reason() == Errc::end && all), cell_.text() + ": how it ends");
        break;
      }
      unread += *some;
    }
    expect(unread_.starts_with(unread), cell_.text() + ": what it had received");
  }

  // In pieces that any limit allows.
  Future<void> read_unread(std::size_t count) {
    std::string unread;
    while (unread.size() < count) {
      unread += co_await ours_->read_bytes(std::min(count - unread.size(), std::size_t{1000}));
    }
    expect(unread == unread_.substr(0, count), cell_.text() + ": what it had received");
  }

  bool closes() const { return expected_.closed == Fate::fails; }

  bool settled() const {
    if (!record_.has("peer_ended") || (closes() && !record_.has("closed"))) return false;
    if (cell_.read_pending && !record_.has("read")) return false;
    if (cell_.write_pending && closes() && !(record_.has("write") && record_.has("flush"))) return false;
    return record_.callbacks > 0 || (cell_.half_open && !closes());
  }

  void check() const {
    const std::string where = cell_.text() + ": " + record_.order;
    if (cell_.read_pending) expect(record_.read == expected_.read_reason, where + name(record_.read).data());
    if (cell_.write_pending) {
      check_output(record_.write, where);
      check_output(record_.flush, where);
    }
    expect_equal(record_.callbacks, closes() || !cell_.half_open || closed_late() ? 1 : 0);
    const bool reset_first =
        may_be_reset(cell_) && end_is_hidden(carrier_, cell_) && record_.order.starts_with("write ");
    if ((!ends_in_callback(cell_) && closes()) || reset_first) {
      expect(record_.order == order_of(cell_), where + "instead of " + order_of(cell_));
    } else {
      expect(record_.order.starts_with(beginning_of(cell_)), where + "instead of " + beginning_of(cell_));
    }
    if (is_gone() || closed_late()) return;
    expect(ours_->is_closed() == closes(), where);
    expect(reason_of(ours_->error()) == expected_.reason, where + name(reason_of(ours_->error())).data());
    expect(ours_->input_ended() || closes(), where);
  }

  bool is_gone() const { return ours_ == nullptr; }

  bool closed_late() const { return may_be_reset(cell_) && record_.has("closed"); }

  void check_output(const Output& output, const std::string& where) const {
    if (cell_.event == Event::peer_closes) {
      expect(!record_.has(output.name) || output.done || output.failure == Errc::reset, where);
    } else if (closes()) {
      expect(!output.done && output.failure == expected_.reason, where + name(output.failure).data());
    } else {
      expect(!record_.has(output.name), where + "a half-close leaves the writes alone");
    }
  }

  // What lies below the stream goes with a close.
  std::size_t still_readable() const {
    if (end_is_hidden(carrier_, cell_)) return 0;  // it has been read
    return may_lose_below() ? std::min(unread_.size(), ours_->buffered()) : unread_.size();
  }
  bool may_lose_below() const { return leaves_bytes_below(cell_) && (closes() || may_be_reset(cell_)); }

  // What the stream had received can still be read, whatever ended it; then comes the reason.
  Future<void> check_unread() {
    if (is_gone()) co_return;
    const bool all_is_known = !may_be_reset(cell_) || !leaves_bytes_below(cell_);
    co_await read_unread(still_readable());
    if (cell_.event == Event::overflows || closed_late() || !all_is_known) co_return;
    const Result<std::string> more = co_await as_result(ours_->read_bytes(kWanted));
    const bool reset_since = may_be_reset(cell_) && more.reason() == Errc::reset;
    expect(!more.ok() && (more.reason() == expected_.reason || reset_since), cell_.text() + ": the read after it");
    if (!closes()) co_return;
    const Result<void> written = co_await as_result(ours_->write("late"));
    expect(!written.ok() && written.reason() == expected_.reason, cell_.text() + ": the write after it");
    const Result<void> ended = co_await as_result(ours_->peer_ended());
    const Result<void> closed = co_await as_result(ours_->closed());
    expect(ended.ok() && closed.ok(), "the facts stay facts");
  }

  const Carrier& carrier_;
  const Cell cell_;
  const Outcome expected_;
  const std::string unread_;
  Record record_;
  Relay relay_;
  std::unique_ptr<IOStream> ours_;
  IOStream peer_;
  std::vector<Future<void>> waiting_;
};

Future<void> try_all(const Carrier& carrier, Event event, Deed deed) {
  for (const bool read : {false, true}) {
    for (const bool write : {false, true}) {
      for (const Unread unread :
           {Unread::nothing, Unread::in_the_stream, Unread::below_it, Unread::beyond_read_ahead}) {
        for (const bool half_open : {false, true}) {
          const Cell cell{event, deed, read, write, unread, half_open};
          if (!exists(carrier, cell)) continue;
          Trial trial(carrier, cell);
          co_await trial.run();
        }
      }
    }
  }
}

void register_cells(const Carrier& carrier, Event event, const std::string& words,
                    std::vector<std::unique_ptr<Registration>>& all) {
  for (const auto& [deed, doing] : kDeeds) {
    if (event == Event::peer_closes && deed != Deed::nothing) continue;  // to the callback it is the half-close
    const std::string sentence = "closing: " + words + doing + ", over " + carrier.name;
    // clang 14 does not let a lambda capture a structured binding.
    all.push_back(std::make_unique<Registration>(
        sentence, carrier.needs, [&carrier, event, what = deed] { return try_all(carrier, event, what); }));
  }
}

const std::vector<std::unique_ptr<Registration>> registered = [] {
  std::vector<std::unique_ptr<Registration>> all;
  for (const Carrier& carrier : carriers()) {
    for (const auto& [event, words] : kEvents) {
      if (is_filters_own(event) && !carrier.filter) continue;
      if (event == Event::peer_resets && !carrier.resets) continue;
      register_cells(carrier, event, words, all);
    }
  }
  return all;
}();

}  // namespace
