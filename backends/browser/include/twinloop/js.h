// Between Futures and JavaScript's promises, for programs that call the page's own interfaces:
//
//   Future<std::string> fetch_text(std::string url) {
//     JsValue response = co_await from_promise(emscripten::val::global("fetch")(url));
//     JsValue text = co_await from_promise(response.value.call<emscripten::val>("text"));
//     co_return text.value.as<std::string>();
//   }
//
// Values are emscripten::val, so this needs embind: link twinloop::js, which brings it, in place of twinloop::twinloop.  The npm
// package does without.
#pragma once

#include <emscripten/val.h>

#include "twinloop/ioloop.h"

namespace twinloop {

// What a promise gave: any JavaScript value, converted by `value.as<T>()`.
struct JsValue {
  explicit JsValue(emscripten::val v) : value(std::move(v)) {}
  JsValue(JsValue&&) noexcept = default;
  JsValue& operator=(JsValue&&) noexcept = default;
  ~JsValue() = default;

  emscripten::val value;
};

// What a promise was rejected with.  Its reason() is Errc::io, what() has the text of the JavaScript error.
class JsError : public Error {
 public:
  explicit JsError(emscripten::val thrown);
  const emscripten::val& thrown() const noexcept { return thrown_; }

 private:
  emscripten::val thrown_;
};

Future<JsValue> from_promise(const emscripten::val& promise);
// What the promise gives (of a value that is no promise, the value itself), or JsError when it is rejected.  Completes in a later
// turn.
//
// Dropping the Future leaves the promise to itself, nobody can cancel one: what it gives later is thrown away, and no
// rejection of it counts as unhandled.  Fails with loop_closed when the loop closes first.

namespace detail {

// A JavaScript promise and the two functions that settle it.  Destroyed before it was settled it is rejected: its loop closed.
class Deferred {
 public:
  Deferred();
  Deferred(Deferred&& other) noexcept
      : object_(std::move(other.object_)), pending_(std::exchange(other.pending_, false)) {}
  Deferred& operator=(Deferred&&) = delete;
  ~Deferred() {
    if (pending_) reject(Errc::loop_closed);
  }

  emscripten::val promise() const { return object_["promise"]; }
  void resolve(const emscripten::val& value);
  void reject(const Failure& failure);

 private:
  emscripten::val object_;
  bool pending_ = true;
};

template <class T>
emscripten::val as_js(T&& value) {
  if constexpr (std::is_same_v<T, JsValue>) {
    return std::move(value.value);
  } else if constexpr (std::is_same_v<T, Unit>) {
    return emscripten::val::undefined();
  } else {
    return emscripten::val(std::move(value));
  }
}

template <class T>
Future<void> settle(Deferred deferred, Future<T> work) {
  Result<T> result = co_await as_result(std::move(work));
  if (!result.ok()) {
    deferred.reject(result.failure());
  } else {
    deferred.resolve(as_js(std::move(*result)));
  }
}

}  // namespace detail

template <class T>
emscripten::val to_promise(Future<T> work, IOLoop& loop = IOLoop::current()) {
  detail::Deferred deferred;
  emscripten::val promise = deferred.promise();
  loop.spawn(detail::settle(std::move(deferred), std::move(work)));
  return promise;
}
// A promise for JavaScript code: resolved with the value (undefined for Future<void>; else what emscripten::val can be made of),
// rejected with an Error whose `code` is the reason's name and whose `message` is the failure's; a JsError's own value is handed on.
// The work goes on by itself, as if spawned; when the loop closes first the promise is rejected with the code loop_closed.

}  // namespace twinloop
