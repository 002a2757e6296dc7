// What carries the requests of an AsyncHTTPClient: connections natively, the host's fetch() in a browser.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "twinloop/httpclient.h"

namespace twinloop::detail {

// How far a request has come, for the message when its time is up.
struct HTTPProgress {
  enum class Step : unsigned char { queued, connecting, waiting, receiving };

  TimePoint began{};
  Step step = Step::queued;
  std::string where;  // the URL of this hop
};

// The body of one answer.
class HTTPBodySource {
 public:
  virtual ~HTTPBodySource() = default;

  virtual Future<std::optional<std::string_view>> next_chunk() = 0;
  // As HTTPStreamedResponse's.  This object outlives it.
  virtual HTTPHeaders& trailers() noexcept = 0;
};

struct HTTPAnswer {
  HTTPResponse head;  // without a body
  std::shared_ptr<HTTPBodySource> body;
};

class HTTPEngine {
 public:
  virtual ~HTTPEngine() = default;

  virtual Future<HTTPAnswer> start(std::shared_ptr<const HTTPRequest> request, std::size_t max_body_size,
                                   HTTPProgress& progress) = 0;
  // Up to the headers of the answer, redirects followed.  The request was looked at already.  `progress` outlives it.
  virtual void close() noexcept = 0;
  virtual HTTPClientStats stats() const noexcept = 0;
  virtual const HTTPClientOptions& options() const noexcept = 0;
};

std::shared_ptr<HTTPEngine> make_http_engine(const HTTPClientOptions& options);

}  // namespace twinloop::detail
