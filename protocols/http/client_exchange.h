// One request and its answer over one connection.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocols/http/client_pool.h"
#include "protocols/http/client_request.h"
#include "protocols/http/content_decoder.h"
#include "protocols/http/trailers.h"
#include "twinloop/detail/http_engine.h"
#include "twinloop/locks.h"

namespace twinloop::detail {

// While it lives it owns the connection.  That goes back to the pool when the answer is complete and was framed so that another may
// follow; otherwise it is closed.
class HTTPExchange final : public HTTPBodySource, private HTTPBodyWriter {
 public:
  HTTPExchange(std::shared_ptr<HTTPPool> from, HTTPTurn turn, std::unique_ptr<HTTPConnection> connection,
               std::shared_ptr<const HTTPRequest> request, const HTTPHop& hop, std::size_t max_body_size);
  ~HTTPExchange() override;

  Future<HTTPResponse> begin(std::string head, HTTPProgress& progress);
  // Sends the request and reads the head of its answer; sending may go on beside the body.

  Future<std::optional<std::string_view>> next_chunk() override;
  HTTPHeaders& trailers() noexcept override { return trailers_; }

  bool heard_nothing() const noexcept { return !heard_; }
  // Not a byte of an answer has come.
  Future<void> discard(std::size_t max_bytes);
  // Reads the body away, to keep the connection; a long one is not worth it.  Never fails.

 private:
  Future<void> write(std::string_view bytes) override;
  void add_trailer(std::string_view name, std::string_view value) override;

  Future<void> send(std::string head);
  Future<void> send_all(std::string head);
  Future<void> send_string(std::string_view body);
  Future<void> send_produced(const HTTPBodyProducer& produce);
  Future<void> put(std::string bytes);
  bool waits_for_permission() const noexcept { return !sent_ && !permission_.is_set(); }
  void stop_sending() noexcept;

  Future<void> receive_head();
  Future<HTTP1Parser::Step> next_step();
  Future<std::optional<std::string_view>> raw_chunk();
  Future<std::optional<std::string_view>> decoded_chunk();
  HTTPResponse take_head();
  void check_head(const MessageHead& head);
  void choose_decoder(HTTPHeaders& headers);
  std::string_view counted(std::string_view chunk);
  void end_of_message();
  [[noreturn]] void fail(const Failure& failure, std::string_view step);
  [[noreturn]] void fail_to_parse();
  [[noreturn]] void fail_at_end();
  void give_up() noexcept;

  const std::shared_ptr<HTTPPool> pool_;
  HTTPTurn turn_;
  std::unique_ptr<HTTPConnection> connection_;  // null once the answer is complete
  const std::shared_ptr<const HTTPRequest> request_;
  const std::string what_;  // "GET http://example.org/"
  const bool answers_head_;
  const bool with_body_;
  const bool chunked_;
  const std::size_t max_body_size_;

  std::uint64_t unwritten_ = 0;  // of the Content-Length that a producer has announced
  Trailers sent_trailers_;
  Event permission_;  // to send the body, after Expect: 100-continue
  Failure producer_failure_;
  bool cannot_write_ = false;
  bool sent_ = false;

  std::string_view input_;       // read and not parsed, in the stream's buffer
  std::uint64_t body_size_ = 0;  // as it was given out
  bool keep_alive_ = false;
  bool heard_ = false;
  bool ended_ = false;
  HTTPHeaders trailers_;
  std::unique_ptr<ContentDecoder> decoder_;
  std::string_view encoded_;   // input of the decoder
  std::vector<char> decoded_;  // its output

  Future<void> sending_;  // last: it uses all the others
};

}  // namespace twinloop::detail
