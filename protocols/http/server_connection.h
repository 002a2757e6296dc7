// HTTPServerConnection: one client of an HTTPServer, from accept to close.  serve_http() is its coroutine, one for the connection's
// whole life; everything here that waits is a coroutine of a handler, which ends before the connection does.
//
// What is read lies in the stream's buffer: `rest_` is what of the last read was not parsed yet, and nothing more is read before it
// is empty.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "protocols/http/content_decoder.h"
#include "protocols/http/parser.h"
#include "protocols/http/trailers.h"
#include "twinloop/detail/branch.h"
#include "twinloop/detail/list.h"
#include "twinloop/detail/task.h"
#include "twinloop/httpserver.h"
#include "twinloop/ioloop.h"

namespace twinloop::detail {

class HTTPServerConnection;

// What the connections of a server need of it; they may outlive it.
struct HTTPService {
  HTTPService(HTTPHandler h, HTTPServerOptions o);

  const std::string& usual_beginning(TimePoint now);
  // Of an answer with 200: the status line, Server and Date.

  HTTPHandler handler;
  HTTPServerOptions options;
  std::string server_line;  // "Server: twinloop\r\n"
  std::string beginning;    // see usual_beginning()
  std::uint64_t requests = 0;
  std::size_t active = 0;
  bool draining = false;
  List<HTTPServerConnection> connections;
};

Future<void> serve_http(std::shared_ptr<HTTPService> service, IOStream stream);

// It is the operation that stands for its handler, so that the handler can be dropped from the loop.
class HTTPServerConnection final : public ListNode, private OperationBase, private Timer {
 public:
  HTTPServerConnection(std::shared_ptr<HTTPService> service, IOStream stream);
  ~HTTPServerConnection();

  // ---- for serve_http

  enum class Head : unsigned char { complete, wants_input, refused };
  Head parse_head();
  Future<std::string_view> read_for_head();
  bool take_head_input(const Result<std::string_view>& input);
  // False when the connection is over.
  Future<void> start_handler();
  void end_answer(const Result<void>& outcome);
  bool owes_flush() const noexcept { return interested() && !client_gone() && !detached_; }
  void note_flushed(const Result<void>& flushed);
  bool owes_notice() const noexcept { return close_function_ && client_gone() && !detached_; }
  bool owes_body() const noexcept { return keep_ && !body_ended_ && !client_gone(); }
  Future<void> skip_body();
  void end_request();
  bool goes_on() const noexcept { return keep_ && !detached_ && !client_gone(); }

  void close_if_idle() noexcept;

  // ---- the request

  const MessageHead& head() const noexcept { return head_; }
  const HTTPHeaders& trailers() noexcept { return parser_.trailers(); }
  const HTTPArguments& query_arguments();
  const std::string* cookie(std::string_view name);
  std::string_view host() const noexcept;
  std::string remote_ip() const;
  std::string protocol() const;
  Duration request_time() const noexcept;
  IOStream& stream() noexcept { return stream_; }

  Future<std::string> body();
  Future<std::optional<std::string_view>> next_chunk();
  bool body_ended() const noexcept { return body_ended_; }
  void set_max_body_size(std::size_t bytes) noexcept { max_body_size_ = bytes; }
  void set_body_timeout(Duration time) noexcept;

  // ---- the answer

  Future<void> respond(int status, const HTTPHeaders& headers, std::string body);
  Future<void> write_headers(int status, const HTTPHeaders& headers, std::string_view reason);
  Future<void> write(std::string_view bytes);
  Future<void> write_file(std::shared_ptr<OpenFile> file, std::uint64_t offset, std::uint64_t size);
  void add_trailer(std::string_view name, std::string_view value);
  Future<void> flush();
  Future<void> finish();
  void write_continue();
  bool headers_written() const noexcept { return answer_ != Answer::none; }
  bool finished() const noexcept { return finished_; }

  // ---- the client that goes

  void set_close_function(Function<void()> callback);
  void cancel_when_client_goes();
  void set_sent_function(Function<void()> callback) { sent_function_ = std::move(callback); }
  // Called when the answer is complete and flushed, unless the client counts as gone before.
  bool client_gone() const noexcept { return gone_ || !stream_ || stream_.is_closed(); }
  std::error_code close_reason() const noexcept;
  bool server_drains() const noexcept { return service_->draining; }

  IOStream detach(std::string& leftover);

 private:
  // How the client knows where the answer's body ends.
  enum class Answer : unsigned char { none, bodiless, fixed, chunked, until_close };

  // Lets what the stream calls back find out whether the connection is still there.  Made with the first interest.
  struct Notice {
    HTTPServerConnection* connection;
  };

  bool begin_request();
  void refuse(int status, std::string_view why);
  void answer_error(int status, std::string_view why);
  void lose_answer();
  bool body_is_refused() const noexcept;
  bool body_is_short() const noexcept;

  struct Given;
  std::optional<Failure> begin_answer(int status, const HTTPHeaders& headers, std::string_view reason,
                                      std::optional<std::uint64_t> whole);
  std::optional<Failure> look_at(const HTTPHeaders& headers, Given& given) const;
  std::optional<Failure> choose_framing(int status, const Given& given, std::optional<std::uint64_t> whole);
  void format_head(int status, std::string_view reason, const HTTPHeaders& headers, const Given& given);
  std::error_code write_refusal() const noexcept;
  Future<void> fail_answer(const char* what);
  Future<void> write_whole(std::string body);

  Future<std::string_view> read_for_body();
  Failure fail_body(int status, Errc reason, std::string_view why);
  Failure fail_body_read(const std::error_code& error);
  std::optional<std::string_view> decode_some(std::optional<Failure>& failure);
  std::optional<Failure> count_body(std::size_t bytes);
  void choose_decoder();

  bool interested() const noexcept { return close_function_ || cancel_; }
  void watch_client(bool half_open);
  void on_client_notice();
  void cut_handler() noexcept;
  void watch_answer();
  void forget_client() noexcept;

  void note_idle();
  void fire() override;
  void expire() noexcept override {}

  static void on_handler_done(Branch& branch);
  static void on_answer_sent(Branch& branch);
  static void on_dropped(OperationBase& operation) noexcept;
  static void on_deliver(OperationBase& operation, FutureBase& future);
  static FutureBase* inner(OperationBase& operation) noexcept;
  static constexpr Hooks kHooks{&HTTPServerConnection::on_dropped, &HTTPServerConnection::on_deliver,
                                &HTTPServerConnection::inner};

  std::shared_ptr<HTTPService> service_;
  IOLoop& loop_;
  IOStream stream_;
  HTTP1Parser parser_;
  MessageHead& head_;
  HTTPServerRequest request_;
  std::string_view rest_;  // received, not parsed
  std::string out_;        // where heads are formatted
  TimePoint head_deadline_ = kNever;
  TimePoint idle_since_{};
  std::size_t served_ = 0;
  bool idle_ = false;
  bool keep_ = true;
  bool detached_ = false;

  // ---- of the request
  bool active_ = false;
  bool expects_continue_ = false;
  bool body_ended_ = false;
  bool finished_ = false;
  Answer answer_ = Answer::none;
  bool is_head_ = false;
  std::uint64_t left_ = 0;              // of the answer's announced length
  std::unique_ptr<Trailers> trailers_;  // where it announces some
  std::uint64_t received_ = 0;
  std::size_t max_body_size_ = 0;
  TimePoint begun_{};
  TimePoint body_deadline_ = kNever;
  int body_status_ = 0;  // what a body at fault deserves
  Failure body_failure_;
  std::unique_ptr<ContentDecoder> decoder_;
  std::string decoded_;
  std::string_view encoded_;  // a piece that is not decoded yet
  std::optional<HTTPArguments> query_;
  std::optional<std::vector<std::pair<std::string, std::string>>> cookies_;

  // ---- the handler, and who asked for news of the client
  Future<void> work_;
  Branch branch_{&HTTPServerConnection::on_handler_done};
  std::shared_ptr<Notice> notice_;
  Function<void()> close_function_;
  Function<void()> sent_function_;
  Future<void> sent_;  // the flush behind an answer that somebody asked about
  Branch sent_branch_{&HTTPServerConnection::on_answer_sent};
  std::error_code reason_;
  bool cancel_ = false;
  bool gone_ = false;
};

}  // namespace twinloop::detail
